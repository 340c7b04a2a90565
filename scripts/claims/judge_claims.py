"""Judge the paper's claims on what a study measured (claims.json, claims.md)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.claims.evidence_files import read_evidence
from plw.claims.judging import judge_all
from plw.claims.reading import claims_record, read_claims
from plw.claims.seeds import verdicts_by_seed
from plw.claims.simulation.noise import estimate_noise
from plw.claims.text import to_markdown
from plw.files import write_json, write_text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--claims", default="config/claims.yaml", help="the claims and their rules")
    flags.add_argument("--study", required=True, help="name of the study, for the heading")
    flags.add_argument("--scores", required=True, help="scores.csv")
    flags.add_argument("--runs", help="runs.csv: which runs belong to which experiment, and which are missing")
    flags.add_argument("--mechanism", help="mechanism.csv; without it claims about the mechanism are inconclusive")
    flags.add_argument("--regressions", nargs="*", default=[], help="regression/DATASET.json of each data set")
    flags.add_argument("--checks", nargs="*", default=[], help="regression/DATASET.checks.json of each data set")
    flags.add_argument("--gam", help="regression/gam.json")
    flags.add_argument("--loss", help="loss_identities.json: what was tried of the loss itself")
    flags.add_argument("--statistics", nargs="*", default=[], help="data/DATASET/statistics.json of each data set")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--ptlms", required=True, type=json.loads, help="the same of ptlms, with `parameters` if known")
    flags.add_argument("--paper-numbers", default="config/paper_numbers.yaml", help="what the paper prints")
    flags.add_argument("--worlds", default="config/paper_worlds.yaml", help="worlds in which the claims are tried")
    flags.add_argument("--out", required=True, help="written: claims.json")
    flags.add_argument("--md", required=True, help="written: claims.md")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Judge all claims and write both files."""
    arguments = vars(parser().parse_args(argv))
    numbers = yaml.safe_load(Path(arguments.pop("paper_numbers")).read_text(encoding="utf-8"))
    worlds = yaml.safe_load(Path(arguments.pop("worlds")).read_text(encoding="utf-8"))
    claims = read_claims(arguments.pop("claims"))
    study, out, markdown = (arguments.pop(name) for name in ("study", "out", "md"))
    evidence = read_evidence(**arguments, numbers=numbers)
    record = claims_record(
        study,
        claims,
        judge_all(claims, evidence, worlds),
        noise=estimate_noise(evidence.scores, evidence.mechanism).words(),
        by_seed=verdicts_by_seed(claims, evidence, worlds),
    )
    write_json(out, record)
    write_text(markdown, to_markdown(record))


if __name__ == "__main__":
    run_program(main)

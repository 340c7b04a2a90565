"""report.html: figures and tables beside the paper's sentences, verdicts, samples and cost on one page."""

from plw.program import run_program

import argparse
from pathlib import Path

from plw.files import write_text
from plw.report.inputs import read_inputs
from plw.report.page import build_page, page_context

REQUIRED = {
    "study": "the resolved study (YAML)",
    "scores": "scores.csv",
    "artifacts": "titles and captions of the artifacts (YAML)",
    "out": "page to write",
}
FILES = {
    "sentences": "what the paper says of each artifact, and its headline claims (YAML)",
    "runs": "runs.csv",
    "missing": "missing.json",
    "gam": "regression/gam.json",
    "claims": "claims.json",
    "contradictions": "the paper's own contradictions (YAML)",
    "deviations": "where this differs from the paper, with reasons (YAML)",
    "paper-study": "config/studies/paper.yaml, to show where the study's settings differ",
    "mechanism": "mechanism.csv",
    "showing": "showing.json",
    "beside": "claims.json of another study, whose verdicts are shown beside",
    "times": "folder of Snakemake's benchmark files, RULE/JOB.tsv",
}
MANY = {
    "files": "figures (PNG) and tables (Markdown), in any order",
    "run-records": "run.json of every run that there is; none: the page is made from a score table alone",
    "readings": "rows.json of every data set",
    "preflights": "preflight.json of every data set",
    "regressions": "regression/DATASET.json",
    "checks": "regression/DATASET.checks.json",
    "mechanisms": "mechanism.json of runs, for samples of what was learnt by heart",
}


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=__doc__)
    for name, about in REQUIRED.items():
        flags.add_argument(f"--{name}", type=Path, required=True, help=about)
    for name, about in FILES.items():
        flags.add_argument(f"--{name}", type=Path, help=about)
    for name, about in MANY.items():
        flags.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=about)
    flags.add_argument("--generations", nargs="*", default=[], metavar="RUN=FILE", help="alpaca_eval.outputs.json")
    flags.add_argument("--planned", type=int, help="number of runs that the study plans (default: rows of --runs)")
    return flags


def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    write_text(given.pop("out"), build_page(page_context(**read_inputs(**given))))


if __name__ == "__main__":
    run_program(main)

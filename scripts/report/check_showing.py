"""showing.json: what a finished study can and cannot show, by the rules of docs/demo.md."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import pandas as pd
import yaml
from plw.files import read_json, write_json
from plw.report.showing import check_showing
from plw.scores.collection import merge_measurements, read_evaluations, read_judgements
from plw.scores.table import planned_runs, primary_scores, read_scores, select_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--scores", required=True, type=Path, help="scores.csv")
    flags.add_argument("--runs", required=True, type=Path, help="runs.csv")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--targets", required=True, type=Path, help="config/showing.yaml")
    flags.add_argument("--numbers", required=True, type=Path, help="config/paper_numbers.yaml")
    flags.add_argument("--mechanism", type=Path, help="mechanism.csv")
    flags.add_argument("--statistics", nargs="*", default=[], metavar="ROLE=FILE",
                       help="statistics.json of a data set, by the paper's whose place it takes")  # fmt: skip
    flags.add_argument("--ptlms", nargs="*", default=[], help="the weaker and the stronger ptlm")
    flags.add_argument("--evaluations", nargs="*", default=[], help="ptlms/PTLM/evaluation.json before fine-tuning")
    flags.add_argument("--judgements", nargs="*", default=[], help="ptlms/judgements/BENCHMARK.json")
    flags.add_argument("--judge", type=Path, help="judge.json of a judge that the study trained")
    flags.add_argument("--out", required=True, type=Path, help="written: showing.json")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write showing.json."""
    arguments = parser().parse_args(argv)
    metrics = {entry["name"]: entry["metric"] for entry in arguments.benchmarks}
    main_runs = planned_runs(arguments.runs, "main")
    scores = primary_scores(select_runs(read_scores(arguments.scores), runs=main_runs), metrics)
    memorised = None
    if arguments.mechanism:
        rows = pd.read_csv(arguments.mechanism)
        memorised = rows[(rows["measure"] == "memorisation_bleu") & rows["run"].isin(main_runs["run"])]
    numbers = yaml.safe_load(arguments.numbers.read_text(encoding="utf-8"))["table_1"]["rows"]
    found = check_showing(
        scores=scores,
        targets=yaml.safe_load(arguments.targets.read_text(encoding="utf-8")),
        memorised=memorised,
        before=_before(arguments.evaluations, arguments.judgements, metrics),
        ptlms=arguments.ptlms,
        judge=read_json(arguments.judge)["heldout"] if arguments.judge else None,
        ratios={role: read_json(Path(file))["r_g"]["ratio_of_mean_tokens"]
                for role, file in (text.split("=", 1) for text in arguments.statistics)},
        printed_ratios={role: row["r_g"] for role, row in numbers.items()},
    )  # fmt: skip
    write_json(arguments.out, found)
    for rule in found["rules"]:
        print(
            {True: "met", False: "NOT MET", None: "not said"}[rule["met"]],
            rule["rule"],
            rule["value"],
            rule["about"],
            sep=": ",
        )


def _before(evaluations: list[str], judgements: list[str], metrics: dict[str, str]) -> pd.DataFrame | None:
    """Primary scores of the ptlms before fine-tuning; None where they were not measured."""
    if not evaluations:
        return None
    merged = merge_measurements(read_evaluations(evaluations) + read_judgements(judgements))
    rows = [
        {"ptlm": ptlm, "benchmark": name, "score": measured.metrics[metrics[name]]["score"]}
        for (ptlm, name), measured in merged.items()
        if measured.metrics.get(metrics.get(name, ""), {}).get("score") is not None
    ]
    return pd.DataFrame(rows, columns=["ptlm", "benchmark", "score"])


if __name__ == "__main__":
    run_program(main)

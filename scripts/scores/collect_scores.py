"""All scores of the study as one tidy table, and a list of what is missing (§5)."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.files import write_json, write_text
from plw.scores.collection import collect_scores, read_evaluations, read_judgements
from plw.study.layout import of_measured_runs
from plw.study.runs import read_runs_csv


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--runs", required=True, help="runs.csv")
    flags.add_argument("--folder", required=True, help="of the runs: RUN/evaluation.json is read where it is there")
    flags.add_argument("--judgements", nargs="*", default=[], help="judgements/BENCHMARK/BATCH.json of each batch")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument(
        "--experiments",
        type=json.loads,
        default={},
        help="JSON: experiment -> benchmarks that it asks for; experiments that are absent ask for all",
    )
    flags.add_argument("--scores", required=True, help="written: scores.csv")
    flags.add_argument("--missing", required=True, help="written: what is missing and what was run, as JSON")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write scores.csv and missing.json."""
    arguments = parser().parse_args(argv)
    runs = pd.DataFrame(read_runs_csv(arguments.runs))
    evaluations = of_measured_runs(arguments.folder, runs["run"], "evaluation.json")
    measurements = read_evaluations(evaluations) + read_judgements(arguments.judgements)
    scores, report = collect_scores(runs, measurements, arguments.benchmarks, arguments.experiments)
    write_text(arguments.scores, scores.to_csv(index=False))
    write_json(arguments.missing, report)
    for item in report["missing"]:
        print(f"missing: {item['run']} {item['benchmark']}: {item['reason']}")
    print(f"{report['runs']['complete']} of {report['runs']['planned']} runs are complete")


if __name__ == "__main__":
    run_program(main)

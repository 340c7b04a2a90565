"""An analyst's score table: checked against the study, completed with run ids, ready for statistics and figures."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.files import write_json, write_text
from plw.scores.collection import collect_scores
from plw.scores.given import as_measurements, check_asked, match_runs, read_given_scores
from plw.study.runs import read_runs_csv


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--given", required=True, help="the analyst's table (CSV)")
    flags.add_argument("--runs", required=True, help="runs.csv of the study whose design the table follows")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument(
        "--experiments", type=json.loads, default={}, help="JSON: experiment -> benchmarks that it asks for"
    )
    flags.add_argument("--normalization", required=True, help="the loss normalization that rows without one had")
    flags.add_argument("--scores", required=True, help="written: scores.csv")
    flags.add_argument("--missing", required=True, help="written: what the table lacks, as JSON")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write scores.csv and missing.json from the given table."""
    arguments = parser().parse_args(argv)
    runs = pd.DataFrame(read_runs_csv(arguments.runs))
    given = read_given_scores(arguments.given, benchmarks=arguments.benchmarks)
    matched = match_runs(given, runs, normalization=arguments.normalization, where=arguments.given)
    names = [entry["name"] for entry in arguments.benchmarks]
    check_asked(matched, runs, names, arguments.experiments, where=arguments.given)
    scores, report = collect_scores(runs, as_measurements(matched), arguments.benchmarks, arguments.experiments)
    write_text(arguments.scores, scores.to_csv(index=False))
    write_json(arguments.missing, report)
    print(f"{len(matched)} rows of {arguments.given}; {report['runs']['complete']} of {len(runs)} runs are complete")


if __name__ == "__main__":
    run_program(main)

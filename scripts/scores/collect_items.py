"""Item scores of all runs as one table, for the bootstrap over benchmark items."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.scores.items import harness_items, has_items, item_table, judged_items, write_items
from plw.study.layout import of_measured_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--runs", required=True, help="runs.csv: only its runs are kept")
    flags.add_argument(
        "--folder", required=True, help="of the runs: RUN/evaluation.json, where it is there, and what lies beside it"
    )
    flags.add_argument("--judgements", nargs="*", default=[], help="judgements/BENCHMARK/BATCH.json")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--out", required=True, help="written: items.parquet")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write items.parquet and say which benchmarks are not in it."""
    arguments = parser().parse_args(argv)
    planned = pd.read_csv(arguments.runs, usecols=["run"], dtype=str)["run"]
    evaluations = of_measured_runs(arguments.folder, planned, "evaluation.json")
    rows, absent = harness_items(evaluations, arguments.benchmarks)
    frame = item_table(rows + judged_items(arguments.judgements, arguments.benchmarks))
    frame = frame[frame["run"].isin(planned)].reset_index(drop=True)
    write_items(arguments.out, frame)
    for text in absent:
        print(f"missing: {text}")
    without = [entry["name"] for entry in arguments.benchmarks if not has_items(entry)]
    print(f"{len(frame)} items of {frame['run'].nunique()} runs; no items by nature: {', '.join(without) or 'none'}")


if __name__ == "__main__":
    run_program(main)

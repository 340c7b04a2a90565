"""Table of the experiment `losses` (ours): the same runs with another denominator of the loss."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.scores.flags import primary_metrics, score_flags
from plw.scores.table import primary_scores, read_scores
from plw.tables.flags import table_flags, write_table
from plw.tables.table_losses import compared_runs, loss_rows, table_losses


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    score_flags(flags, experiment="losses")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label}")
    flags.add_argument("--mechanism", help="mechanism.csv; without it there are scores alone")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write the table in three formats."""
    arguments = parser().parse_args(argv)
    runs = compared_runs(pd.read_csv(arguments.runs, keep_default_na=False))
    scores = primary_scores(read_scores(arguments.scores), primary_metrics(arguments))
    mechanism = pd.read_csv(arguments.mechanism) if arguments.mechanism else None
    write_table(table_losses(loss_rows(runs, scores, mechanism), arguments.datasets), arguments)


if __name__ == "__main__":
    run_program(main)

"""Table 4: PLW and other regularizers beside the paper's numbers (§6.1)."""

from plw.program import run_program

import argparse
from pathlib import Path

import yaml
from plw.scores.flags import design_flags, primary_metrics, score_flags
from plw.scores.pooled import compared_benchmarks
from plw.scores.regularizer_comparison import compared_scores, comparison_data, comparison_dataset, comparison_runs
from plw.scores.table import coverage_note, primary_scores, read_scores
from plw.tables.flags import table_flags, write_table
from plw.tables.table_4 import table_4


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    score_flags(flags, experiment="regularizers")
    flags.add_argument("--sweep", default="main", help="experiment whose runs without a regularizer are the PLW row")
    design_flags(flags)
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 4 in three formats."""
    arguments = parser().parse_args(argv)
    dataset = comparison_dataset(arguments.datasets)
    experiments = (arguments.experiment, arguments.sweep)
    runs = comparison_runs(arguments.runs, experiments, dataset) if arguments.runs else None
    scores = primary_scores(read_scores(arguments.scores), primary_metrics(arguments))
    data = comparison_data(compared_scores(scores, dataset, runs=runs), arguments.benchmarks)
    benchmarks = len(compared_benchmarks(arguments.benchmarks))
    note = coverage_note(data, planned=None if runs is None else len(runs), benchmarks=benchmarks, used="used")
    numbers = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))["table_4"]
    write_table(table_4(data, ptlms=arguments.ptlms, runs=runs, numbers=numbers, notes=[note]), arguments)


if __name__ == "__main__":
    run_program(main)

"""Figure 8: PLW beside other regularizers (App. C.1)."""

from plw.program import run_program

import argparse

from plw.figures.figure_8 import draw
from plw.figures.flags import figure_style, score_figure_flags, write_figure
from plw.scores.flags import primary_metrics
from plw.scores.pooled import compared_benchmarks
from plw.scores.regularizer_comparison import compared_scores, comparison_data, comparison_dataset, comparison_runs
from plw.scores.table import coverage_note, primary_scores, read_scores


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = score_figure_flags(__doc__, experiment="regularizers")
    flags.add_argument("--sweep", default="main", help="experiment whose runs without a regularizer are the PLW sweep")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw figure 8 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = figure_style(arguments)
    dataset = comparison_dataset(arguments.datasets)
    experiments = (arguments.experiment, arguments.sweep)
    runs = comparison_runs(arguments.runs, experiments, dataset) if arguments.runs else None
    scores = primary_scores(read_scores(arguments.scores), primary_metrics(arguments))
    data = comparison_data(compared_scores(scores, dataset, runs=runs), arguments.benchmarks)
    figure = draw(
        data,
        dataset=dataset,
        ptlms=arguments.ptlms,
        style=style,
        note=coverage_note(
            data,
            planned=None if runs is None else len(runs),
            benchmarks=len(compared_benchmarks(arguments.benchmarks)),
        ),
    )
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

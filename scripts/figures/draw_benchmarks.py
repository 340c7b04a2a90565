"""Figures 5, 6 and 7: scores on the benchmarks of group I, II or III (App. B)."""

from plw.program import run_program

import argparse

from plw.figures.benchmarks import benchmarks_of_group, draw, figure_data, score_note
from plw.figures.flags import figure_style, score_figure_flags, write_figure
from plw.scores.flags import experiment_scores


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = score_figure_flags(__doc__)
    flags.add_argument("--group", required=True, choices=["I", "II", "III"], help="group of benchmarks")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw the figure of one group as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = figure_style(arguments)
    names = [entry["name"] for entry in arguments.datasets]
    benchmarks = benchmarks_of_group(arguments.benchmarks, arguments.group)
    scores, runs = experiment_scores(arguments)
    data = figure_data(scores[scores["dataset"].isin(names)], benchmarks)
    planned = None if runs is None else int(runs["dataset"].isin(names).sum())
    figure = draw(
        data,
        group=arguments.group,
        benchmarks=benchmarks,
        datasets=arguments.datasets,
        ptlms=arguments.ptlms,
        style=style,
        note=score_note(data, benchmarks, planned=planned),
    )
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

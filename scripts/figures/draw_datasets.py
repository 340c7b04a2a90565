"""Figures 3 and 9: PLW on other instruction data sets (§6.2, App. C.2)."""

from plw.program import run_program

import argparse

from plw.figures.datasets import draw_figure_3, draw_figure_9, figure_data, without_panel
from plw.figures.flags import figure_style, score_figure_flags, write_figure
from plw.scores.flags import experiment_scores
from plw.scores.pooled import compared_benchmarks
from plw.scores.table import coverage_note

DRAW = {3: draw_figure_3, 9: draw_figure_9}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = score_figure_flags(__doc__, experiment="datasets")
    flags.add_argument("--figure", required=True, type=int, choices=sorted(DRAW), help="which of the two")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw figure 3 or 9 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = figure_style(arguments)
    scores, runs = experiment_scores(arguments)
    data = figure_data(scores, datasets=arguments.datasets, benchmarks=arguments.benchmarks)
    names = [entry["name"] for entry in arguments.datasets]
    planned = None if runs is None else int(runs["dataset"].isin(names).sum())
    notes = [coverage_note(data, planned=planned, benchmarks=len(compared_benchmarks(arguments.benchmarks)))]
    others = without_panel(arguments.datasets)
    if arguments.figure == 3 and others:
        notes.append(f"no panel for {', '.join(others)} (see Figure 9)")
    note = "; ".join(filter(None, notes))
    figure = DRAW[arguments.figure](data, datasets=arguments.datasets, ptlms=arguments.ptlms, style=style, note=note)
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

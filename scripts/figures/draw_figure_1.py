"""Figure 1: performance by transformed prompt loss weight (§5)."""

import argparse

from plw.errors import run_program
from plw.figures.axes import coverage_note
from plw.figures.figure_1 import draw, figure_data
from plw.figures.flags import figure_flags
from plw.figures.saving import save_figure
from plw.figures.style import style_with
from plw.files import write_text
from plw.scores.flags import design_flags, experiment_scores, primary_metrics, score_flags


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    score_flags(flags)
    design_flags(flags)
    figure_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw figure 1 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = style_with(arguments.style)
    names = [entry["name"] for entry in arguments.datasets]
    scores, runs = experiment_scores(arguments)
    data = figure_data(scores[scores["dataset"].isin(names)])
    planned = None if runs is None else int(runs["dataset"].isin(names).sum())
    figure = draw(
        data,
        datasets=arguments.datasets,
        ptlms=arguments.ptlms,
        style=style,
        note=coverage_note(data, planned=planned, benchmarks=len(primary_metrics(arguments))),
    )
    save_figure(figure, pdf=arguments.pdf, png=arguments.png, style=style)
    write_text(arguments.csv, data.to_csv(index=False))


if __name__ == "__main__":
    run_program(main)

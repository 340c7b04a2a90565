"""Figures 5, 6 and 7: scores on the benchmarks of group I, II or III (App. B)."""

import argparse

from plw.errors import run_program
from plw.figures.benchmarks import benchmarks_of_group, draw, figure_data, score_note
from plw.figures.flags import figure_flags
from plw.figures.saving import save_figure
from plw.figures.style import style_with
from plw.files import write_text
from plw.scores.flags import design_flags, experiment_scores, score_flags


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--group", required=True, choices=["I", "II", "III"], help="group of benchmarks")
    score_flags(flags)
    design_flags(flags)
    figure_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw the figure of one group as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = style_with(arguments.style)
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
    save_figure(figure, pdf=arguments.pdf, png=arguments.png, style=style)
    write_text(arguments.csv, data.to_csv(index=False))


if __name__ == "__main__":
    run_program(main)

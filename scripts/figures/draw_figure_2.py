"""Figure 2: what may explain the effect of the prompt loss weight (§5.3)."""

from plw.program import run_program

import argparse

import pandas as pd
from plw.figures.figure_2 import draw, figure_data, missing_note, read_measures
from plw.figures.flags import figure_flags, figure_style, write_figure
from plw.scores.flags import design_flags
from plw.scores.table import planned_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--mechanism", required=True, help="mechanism.csv")
    flags.add_argument("--windows", required=True, help="rsd_windows.csv")
    flags.add_argument("--runs", required=True, help="runs.csv: which runs are drawn, and how many are missing")
    flags.add_argument("--experiment", default="main", help="experiment to draw")
    flags.add_argument("--losses", default="losses", help="experiment with other loss normalizations: extra lines")
    design_flags(flags)
    figure_flags(flags)
    return flags


def experiment_runs(arguments: argparse.Namespace, experiment: str) -> pd.DataFrame:
    """Rows of the run table of one experiment, on the data sets that are drawn."""
    runs = planned_runs(arguments.runs, experiment)
    return runs[runs["dataset"].isin([entry["name"] for entry in arguments.datasets])]


def main(argv: list[str] | None = None) -> None:
    """Draw figure 2 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = figure_style(arguments)
    runs = experiment_runs(arguments, arguments.experiment)
    measures, windows = read_measures(arguments.mechanism), pd.read_csv(arguments.windows, dtype={"run": str})
    data = figure_data(measures, windows, main=runs, arm=experiment_runs(arguments, arguments.losses))
    figure = draw(
        data,
        datasets=arguments.datasets,
        ptlms=arguments.ptlms,
        style=style,
        note=missing_note(data, planned=runs),
    )
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

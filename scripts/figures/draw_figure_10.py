"""Figure 10: the GAMs' interaction of PLW and completion-prompt ratio (App. D)."""

from plw.program import run_program

import argparse
import json

from plw.figures.figure_10 import draw, figure_data, note_of
from plw.figures.flags import figure_flags, figure_style, write_figure
from plw.files import read_json


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--gam", required=True, help="regression/gam.json")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    figure_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw figure 10 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style, gam = figure_style(arguments), read_json(arguments.gam)
    data = figure_data(gam)
    note = note_of(gam, arguments.datasets)
    figure = draw(data, gam=gam, datasets=arguments.datasets, style=style, note=note)
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

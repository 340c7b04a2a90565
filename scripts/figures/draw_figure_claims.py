"""The claims at a glance: each claim's estimate, the paper's region, and what chance alone would give (ours)."""

from plw.program import run_program

import argparse

from plw.figures.figure_claims import draw, figure_data
from plw.figures.flags import figure_flags, figure_style, write_figure
from plw.files import read_json


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--claims", required=True, help="claims.json")
    figure_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw the figure as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    record = read_json(arguments.claims)
    data = figure_data(record)
    style = figure_style(arguments, record["noise"], data["text"].tolist())
    write_figure(draw(data, style=style, note=record["noise"]), data, style, arguments)


if __name__ == "__main__":
    run_program(main)

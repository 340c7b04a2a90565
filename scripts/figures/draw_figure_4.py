"""Figure 4: examples of prompt inversion (App. A)."""

from plw.program import run_program

import argparse
import csv
import io

from plw.figures.figure_4 import draw_examples, example_rows
from plw.figures.flags import figure_flags
from plw.figures.saving import save_figure
from plw.figures.style import style_with
from plw.files import write_text


def main(argv: list[str] | None = None) -> None:
    """Write the figure as PDF and PNG, and its texts, word counts and ratios as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    figure_flags(parser)
    arguments = parser.parse_args(argv)
    style = style_with(arguments.style)
    save_figure(draw_examples(style), pdf=arguments.pdf, png=arguments.png, style=style)
    rows = example_rows()
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(arguments.csv, table.getvalue())


if __name__ == "__main__":
    run_program(main)

"""Figure 4: examples of prompt inversion (App. A)."""

import argparse
import csv
from pathlib import Path

from plw.errors import run_program
from plw.figure_4 import draw_examples, example_rows
from plw.files import atomic_path


def main(argv: list[str] | None = None) -> None:
    """Write the figure as PDF and PNG and its data as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pdf", required=True, type=Path, help="written: the figure as PDF")
    parser.add_argument("--png", required=True, type=Path, help="written: the figure as PNG")
    parser.add_argument("--csv", required=True, type=Path, help="written: texts, word counts and ratios")
    arguments = parser.parse_args(argv)
    figure = draw_examples()
    with atomic_path(arguments.pdf) as temporary:
        # Without a creation date the same figure is the same file.
        figure.savefig(temporary, metadata={"CreationDate": None})
    with atomic_path(arguments.png) as temporary:
        figure.savefig(temporary, dpi=200)
    rows = example_rows()
    with (
        atomic_path(arguments.csv) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run_program(main)

"""Flags that all programs of tables share, and the files that they name."""

import argparse

from plw.files import write_text
from plw.tables.table import Table, to_csv, to_latex, to_markdown


def table_flags(flags: argparse.ArgumentParser) -> None:
    """What the paper prints and the three files that a table becomes."""
    flags.add_argument("--paper-numbers", default="config/paper_numbers.yaml", help="what the paper prints")
    flags.add_argument("--csv", required=True, help="written: the values")
    flags.add_argument("--md", required=True, help="written: the table as Markdown")
    flags.add_argument("--tex", required=True, help="written: the table as LaTeX")


def write_table(table: Table, arguments: argparse.Namespace) -> None:
    """The table as CSV, Markdown and LaTeX."""
    write_text(arguments.csv, to_csv(table))
    write_text(arguments.md, to_markdown(table))
    write_text(arguments.tex, to_latex(table))

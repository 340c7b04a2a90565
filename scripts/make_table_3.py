"""Table 3: p-values and coefficients of w_p beside the paper's (§5.2)."""

import argparse
import json
from pathlib import Path

import yaml
from plw.errors import run_program
from plw.files import read_json, write_text
from plw.table_3 import table_3
from plw.tables import to_csv, to_latex, to_markdown


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--regressions", required=True, nargs="+", help="regression/DATASET.json of each data set")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--alpha", type=float, default=0.05, help="significance level (§3)")
    flags.add_argument("--paper-numbers", default="config/paper_numbers.yaml", help="what the paper prints")
    flags.add_argument("--csv", required=True, help="written: the values")
    flags.add_argument("--md", required=True, help="written: the table as Markdown")
    flags.add_argument("--tex", required=True, help="written: the table as LaTeX")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 3 in three formats."""
    arguments = parser().parse_args(argv)
    printed = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))
    results = {found["dataset"]: found for found in map(read_json, arguments.regressions)}
    table = table_3(arguments.datasets, results, printed["table_3"], alpha=arguments.alpha)
    write_text(arguments.csv, to_csv(table))
    write_text(arguments.md, to_markdown(table))
    write_text(arguments.tex, to_latex(table))


if __name__ == "__main__":
    run_program(main)

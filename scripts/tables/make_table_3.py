"""Table 3: p-values and coefficients of w_p beside the paper's (§5.2)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.files import read_json
from plw.tables.flags import table_flags, write_table
from plw.tables.table_3 import table_3


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--regressions", required=True, nargs="+", help="regression/DATASET.json of each data set")
    flags.add_argument("--checks", nargs="*", default=[], help="regression/DATASET.checks.json of each data set")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--alpha", type=float, default=0.05, help="significance level (§3)")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 3 in three formats."""
    arguments = parser().parse_args(argv)
    printed = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))
    results = {found["dataset"]: found for found in map(read_json, arguments.regressions)}
    checks = {found["dataset"]: found for found in map(read_json, arguments.checks)}
    table = table_3(arguments.datasets, results, printed["table_3"], alpha=arguments.alpha, checks=checks)
    write_table(table, arguments)


if __name__ == "__main__":
    run_program(main)

"""Table 1: statistics of the data sets beside the paper's (§4.3)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.files import read_json
from plw.tables.flags import table_flags, write_table
from plw.tables.table_1 import table_1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--statistics", required=True, nargs="+", help="statistics.json of each data set")
    flags.add_argument("--rows", nargs="*", default=[], help="rows.json of each data set")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 1 in three formats."""
    arguments = parser().parse_args(argv)
    printed = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))
    statistics = {found["dataset"]: found for found in map(read_json, arguments.statistics)}
    table = table_1(arguments.datasets, statistics, printed["table_1"], list(map(read_json, arguments.rows)))
    write_table(table, arguments)


if __name__ == "__main__":
    run_program(main)

"""Table 5: optimal PLW by completion-prompt ratio beside the paper's (App. D)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.files import read_json
from plw.tables.flags import table_flags, write_table
from plw.tables.table_5 import table_5


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--gam", required=True, help="regression/gam.json")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 5 in three formats."""
    arguments = parser().parse_args(argv)
    printed = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))
    write_table(table_5(read_json(arguments.gam), arguments.datasets, printed["table_5"]), arguments)


if __name__ == "__main__":
    run_program(main)

"""Table 6: licences of external resources, from the registry of sources (App. F)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.study.sources import load_registry
from plw.tables.flags import table_flags, write_table
from plw.tables.table_6 import table_6


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--sources", required=True, type=Path, help="registry of sources (YAML)")
    flags.add_argument("--used", type=json.loads, help="JSON list of the study's sources, as names or mappings")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 6 in three formats."""
    arguments = parser().parse_args(argv)
    numbers = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))["table_6"]
    write_table(table_6(load_registry(arguments.sources), numbers, used=arguments.used), arguments)


if __name__ == "__main__":
    run_program(main)

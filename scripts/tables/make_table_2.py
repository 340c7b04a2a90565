"""Table 2: the benchmarks as they were run beside the paper's (§4.4)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.files import read_json
from plw.tables.flags import table_flags, write_table
from plw.tables.table_2 import table_2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--missing", required=True, help="missing.json: what was run of each benchmark")
    table_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write table 2 in three formats."""
    arguments = parser().parse_args(argv)
    printed = yaml.safe_load(Path(arguments.paper_numbers).read_text(encoding="utf-8"))
    table = table_2(arguments.benchmarks, read_json(arguments.missing), printed["table_2"])
    write_table(table, arguments)


if __name__ == "__main__":
    run_program(main)

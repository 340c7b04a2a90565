"""All benchmark rows of a study, read and checked before its first training; a fault is said with file and row."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.evaluation.checking import check_benchmarks
from plw.files import read_json, write_json
from plw.study.configuration import load_configuration
from plw.study.parameters import measured_entries
from plw.study.runs import benchmarks_of, list_runs

HARNESS_FOLDER = Path("config") / "harness"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    flags.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    flags.add_argument("--record", type=Path, help="written: rows of each benchmark (JSON)")
    flags.add_argument("--known", type=Path, help="such a record, if it is there: what it knows is not read again")
    flags.add_argument(
        "--local", action="store_true", help="only what lies on this machine: a node may have no network"
    )
    return flags


def main(argv: list[str] | None = None) -> None:
    """Read, and write the record where one is asked for."""
    arguments = parser().parse_args(argv)
    study = load_configuration(arguments.config, root=arguments.root)
    asked = {name for run in list_runs(study) for name in benchmarks_of(run, study)}
    entries = measured_entries(study, [name for name in study["benchmarks"] if name in asked])
    if arguments.local:
        entries = [entry for entry in entries if "path" in entry["source"]]
    found = check_benchmarks(
        entries,
        folder=arguments.root / HARNESS_FOLDER,
        evaluation=study["evaluation"],
        judges=study["judges"],
        known=_known(arguments.known),
    )
    if arguments.record:
        write_json(arguments.record, found)


def _known(record: Path | None) -> dict:
    try:
        return read_json(record) if record else {}
    except (OSError, ValueError):  # not there yet, or being written
        return {}


if __name__ == "__main__":
    run_program(main)

"""Data set: read instruction data, or derive them by prompt inversion (§4.3, §6.2, App. A and D)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.data.instances import instance_rows, instances_of
from plw.data.preparation import derive_dataset, read_dataset
from plw.data.reading import in_one_line
from plw.data.token_counts import token_counter
from plw.files import read_jsonl, write_json, write_jsonl
from plw.study.sources import load_registry, resolve_source


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--name", required=True, help="name of the data set in the study")
    flags.add_argument("--dataset", required=True, type=json.loads, help="its entry in the study, as JSON")
    flags.add_argument("--parent", type=Path, help="instances.jsonl of the data set that is inverted")
    flags.add_argument("--tokenizer", type=json.loads, help="source of the tokenizer that counts, as JSON")
    flags.add_argument("--sources", type=Path, default="config/sources.yaml", help="sources that go by a name")
    flags.add_argument("--instances", required=True, type=Path, help="written: one instance per line")
    flags.add_argument("--rows", required=True, type=Path, help="written: report on the rows")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write instances.jsonl and rows.json of one data set."""
    arguments = parser().parse_args(argv)
    registry = load_registry(arguments.sources) if arguments.sources.is_file() else {}

    def load_counter():
        if arguments.tokenizer is None:
            return None
        return token_counter(resolve_source(arguments.tokenizer, registry, where="--tokenizer"))

    if arguments.parent is None:
        instances, report = read_dataset(arguments.name, arguments.dataset, registry)
    else:
        parent = instances_of(read_jsonl(arguments.parent))
        instances, report = derive_dataset(arguments.name, arguments.dataset, parent, load_counter)
    write_jsonl(arguments.instances, instance_rows(instances))
    write_json(arguments.rows, report)
    if said := in_one_line(report):
        print(f"Data set {said}")


if __name__ == "__main__":
    run_program(main)

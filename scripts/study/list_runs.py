"""The run table and the resolved study, so that results say by themselves what was asked for."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import yaml
from plw.files import write_text
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs, runs_csv


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    parser.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    parser.add_argument("--runs", help="run table to write (CSV)")
    parser.add_argument("--study", help="resolved study to write (YAML)")
    arguments = parser.parse_args(argv)

    study = load_configuration(arguments.config, root=arguments.root)
    if arguments.study:
        write_text(arguments.study, yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=110))
    if arguments.runs:
        write_text(arguments.runs, runs_csv(list_runs(study)))


if __name__ == "__main__":
    run_program(main)

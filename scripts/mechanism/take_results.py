"""Take what a borrowed machine found into a study's results, as the files that the workflow's own jobs write."""

from plw.program import run_program

import argparse
import json
import logging
from pathlib import Path

from plw.mechanism.returned import take_results
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> None:
    """Write the files and say what is done and what is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    parser.add_argument("--returned", required=True, nargs="+", type=Path, help="folders that run_packed.py wrote its "
                        "results to")  # fmt: skip
    arguments = parser.parse_args(argv)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns about options that are set on purpose
    study = load_configuration(arguments.config, root=ROOT)
    for folder in arguments.returned:
        counts = take_results(
            study, list_runs(study), folder, root=Path.cwd(), harness_folder=ROOT / "config" / "harness"
        )
        print(f"{folder}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    run_program(main)

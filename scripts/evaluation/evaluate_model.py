"""Measure one model on its benchmarks (§4.4): the harness's tasks, and the texts that the judges compare.

The model is loaded once. Results that exist for the same weights, settings and data are kept.
"""

from plw.program import run_program

import argparse
import json
import logging
from pathlib import Path

from plw.evaluation.measuring import evaluate_model
from plw.files import write_json
from plw.models.flags import thread_flag, use_threads
from plw.study.sources import source_argument

HARNESS_FOLDER = Path(__file__).resolve().parents[2] / "config" / "harness"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--model", required=True, type=source_argument, help="model folder, or its source as JSON")
    flags.add_argument(
        "--benchmarks", required=True, type=json.loads, help="registry entries with their names, as JSON list"
    )
    flags.add_argument(
        "--evaluation", type=json.loads, default={}, help="settings as JSON; keys: plw.evaluation.measuring.DEFAULTS"
    )
    flags.add_argument("--run-dir", required=True, type=Path, help="results go to its folder benchmarks/")
    flags.add_argument("--index", required=True, type=Path, help="written last: index of all results")
    flags.add_argument("--harness", type=Path, default=HARNESS_FOLDER, help="folder with the task definitions")
    flags.add_argument("--requests", type=Path, help="folder where requests are kept for other models")
    thread_flag(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Measure what is missing, and write the index."""
    arguments = parser().parse_args(argv)
    use_threads(arguments.threads)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns about options that are set on purpose
    index = evaluate_model(
        arguments.model,
        arguments.benchmarks,
        arguments.evaluation,
        run_dir=arguments.run_dir,
        harness_folder=arguments.harness,
        requests=arguments.requests,
    )
    write_json(arguments.index, index)


if __name__ == "__main__":
    run_program(main)

"""Measure one model on its benchmarks (§4.4): the harness's tasks, and the texts that the judges compare.

The model is loaded once. Results that exist for the same weights, settings and data are kept.
"""

import argparse
import json
import logging
from pathlib import Path

import torch
from plw.errors import run_program
from plw.evaluation import evaluate_model
from plw.files import write_json

HARNESS_FOLDER = Path(__file__).resolve().parents[1] / "config" / "harness"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="model folder, or its source as JSON")
    parser.add_argument(
        "--benchmarks", required=True, type=json.loads, help="JSON list of registry entries with `name`"
    )
    parser.add_argument(
        "--evaluation", type=json.loads, default={}, help="settings as JSON (evaluation.DEFAULTS)"
    )
    parser.add_argument("--run-dir", required=True, type=Path, help="results go to its folder benchmarks/")
    parser.add_argument("--index", required=True, type=Path, help="index of all results, written last")
    parser.add_argument(
        "--harness", type=Path, default=HARNESS_FOLDER, help="folder with the harness's task definitions"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's own choice")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    logging.getLogger("lm_eval").setLevel(
        logging.ERROR
    )  # its warnings are about options that are set on purpose
    model = arguments.model
    source = json.loads(model) if model.lstrip().startswith("{") else {"path": model}
    index = evaluate_model(
        source,
        arguments.benchmarks,
        arguments.evaluation,
        run_dir=arguments.run_dir,
        harness_folder=arguments.harness,
    )
    write_json(arguments.index, index)


if __name__ == "__main__":
    run_program(main)

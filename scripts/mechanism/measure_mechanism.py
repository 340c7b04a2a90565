"""Measure what fine-tuning did to one model: distance from its ptlm, and memorised training data (§5.3)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.files import write_json
from plw.mechanism.measuring import measure_run
from plw.models.flags import thread_flag, use_threads
from plw.study.sources import source_argument


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--run", required=True, help="name of the run")
    flags.add_argument("--model", required=True, help="its model folder; run.json lies beside it")
    flags.add_argument(
        "--ptlm",
        required=True,
        type=source_argument,
        help="the model it was trained from: a folder, or its source as JSON",
    )
    flags.add_argument("--instances", required=True, type=Path, help="instances.jsonl that it was trained on")
    flags.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help='JSON: {"weight_distance": bool, "memorisation": null or {"prompts", "seed", "max_new_tokens"}}',
    )
    flags.add_argument("--evaluation", type=json.loads, default={}, help="JSON; batch_size, dtype, device are used")
    thread_flag(flags)
    flags.add_argument("--out", required=True, type=Path, help="written: mechanism.json")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write mechanism.json; what the settings leave out is null."""
    arguments = parser().parse_args(argv)
    use_threads(arguments.threads)
    result = measure_run(
        arguments.run,
        Path(arguments.model),
        arguments.ptlm,
        arguments.instances,
        settings=arguments.settings,
        evaluation=arguments.evaluation,
    )
    write_json(arguments.out, result)


if __name__ == "__main__":
    run_program(main)

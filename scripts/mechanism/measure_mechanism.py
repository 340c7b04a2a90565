"""Measure what fine-tuning did to one model: distance from its ptlm, and memorised training data (§5.3)."""

from plw.program import run_program

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from plw.files import read_jsonl, write_json
from plw.mechanism.weight_distance import recorded_distance, weight_distance
from plw.models.flags import thread_flag, use_threads


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--run", required=True, help="name of the run")
    flags.add_argument("--model", required=True, help="its model folder; run.json lies beside it")
    flags.add_argument("--ptlm", required=True, type=json.loads, help="source of the model it was trained from, JSON")
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
    started, model, evaluation = time.perf_counter(), {"path": arguments.model}, arguments.evaluation
    result: dict = {"run": arguments.run, "weight_distance": None, "memorisation": None}
    if arguments.settings.get("weight_distance"):
        # Where the saved model has its changes rounded away, its training measured before and wrote it down.
        recorded = recorded_distance(Path(arguments.model).parent / "run.json")
        result["weight_distance"] = recorded or asdict(weight_distance(model, arguments.ptlm))
    if arguments.settings.get("memorisation"):
        from plw.mechanism.memorisation import (
            memorisation,  # loads transformers, seconds that a distance alone does not need
        )
        from plw.models.loading import choose_device

        result["memorisation"] = memorisation(
            model,
            read_jsonl(arguments.instances),
            arguments.settings["memorisation"],
            dtype=evaluation.get("dtype", "float32"),
            device=choose_device(evaluation.get("device", "auto")),
            batch_size=evaluation.get("batch_size", 16),
        )
    write_json(arguments.out, result | {"seconds": round(time.perf_counter() - started, 3)})


if __name__ == "__main__":
    run_program(main)

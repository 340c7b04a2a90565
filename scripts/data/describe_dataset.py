"""Data set: one row of Table 1 and the pre-flight table of what training will make of it (§4.3)."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.data.description import describe_instances
from plw.data.instances import instances_of
from plw.data.preflight import check_instances
from plw.data.token_counts import token_counter
from plw.data.tokenization import SPECIAL_TOKENS
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.files import read_jsonl, write_json
from plw.study.sources import load_registry, resolve_source


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--name", required=True, help="name of the data set in the study")
    flags.add_argument("--instances", required=True, type=Path, help="instances.jsonl")
    flags.add_argument(
        "--tokenizer", required=True, type=json.loads, help="source of the tokenizer of Table 1, as JSON"
    )
    flags.add_argument(
        "--training-tokenizer",
        required=True,
        type=json.loads,
        help="source of the tokenizer that trains, as JSON",
    )
    flags.add_argument("--sources", type=Path, default="config/sources.yaml", help="sources that go by a name")
    flags.add_argument("--max-length", type=int, default=512, help="tokens of an example in training (§1 of Alpaca)")
    flags.add_argument(
        "--special-tokens", choices=SPECIAL_TOKENS, default="keep", help="what a special token's text in a row becomes"
    )
    flags.add_argument("--statistics", required=True, type=Path, help="written: Table 1's row")
    flags.add_argument("--preflight", required=True, type=Path, help="written: the pre-flight table")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write statistics.json and preflight.json of one data set."""
    arguments = parser().parse_args(argv)
    registry = load_registry(arguments.sources) if arguments.sources.is_file() else {}
    counting = resolve_source(arguments.tokenizer, registry, where="--tokenizer")
    training = resolve_source(arguments.training_tokenizer, registry, where="--training-tokenizer")
    instances = instances_of(read_jsonl(arguments.instances))

    count_tokens = token_counter(counting, where="--tokenizer")
    statistics = describe_instances(instances, count_tokens)
    tokenizer = load_tokenizer(training)
    prepare_tokenizer(tokenizer)
    preflight = check_instances(
        instances, tokenizer, max_length=arguments.max_length, special_tokens=arguments.special_tokens
    )
    counted = {"tokenizer": counting, "counted_with": count_tokens.counted_with}
    write_json(arguments.statistics, {"dataset": arguments.name, **counted, **statistics})
    write_json(arguments.preflight, {"dataset": arguments.name, "tokenizer": training, **preflight})


if __name__ == "__main__":
    run_program(main)

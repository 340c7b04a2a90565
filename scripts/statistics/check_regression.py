"""Checks of one data set's regression: permutation test, leaving out each benchmark, bootstrap over items (§5.2)."""

from plw.program import run_program

import argparse
import json

from plw.files import write_json
from plw.scores.flags import experiment_scores, score_flags
from plw.scores.items import read_items
from plw.statistics.checks import check_regression


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    score_flags(flags)
    flags.add_argument("--dataset", required=True, help="name of the data set")
    flags.add_argument("--items", help="items.parquet; without it there is no bootstrap")
    flags.add_argument("--settings", type=json.loads, default={},
                       help="changes to plw.statistics.checks.DEFAULTS as JSON")  # fmt: skip
    flags.add_argument("--seed", type=int, default=123, help="seed of permutations and resampling")
    flags.add_argument("--out", required=True, help="written: regression/DATASET.checks.json")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Make the checks and write them as JSON."""
    arguments = parser().parse_args(argv)
    scores, _ = experiment_scores(arguments)
    result = check_regression(
        scores[scores["dataset"] == arguments.dataset],
        dataset=arguments.dataset,
        items=read_items(arguments.items) if arguments.items else None,
        settings=arguments.settings,
        seed=arguments.seed,
    )
    write_json(arguments.out, result)
    for name, seconds in result["seconds"].items():
        print(f"{name}: {seconds:.2f} s {result['reasons'].get(name, '')}".rstrip())


if __name__ == "__main__":
    run_program(main)

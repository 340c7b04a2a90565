"""Regression of one data set's relative scores on w_p: the paper's mixed model with its checks (§5.2)."""

from plw.program import run_program

import argparse
import json

from plw.files import write_json
from plw.scores.flags import experiment_scores, primary_metrics, score_flags
from plw.statistics.regression import fit_dataset


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    score_flags(flags)
    flags.add_argument("--dataset", required=True, help="name of the data set")
    flags.add_argument(
        "--settings", type=json.loads, default={}, help="changes to plw.statistics.regression.DEFAULTS as JSON"
    )
    flags.add_argument("--seed", type=int, default=123, help="seed of the residual tests' simulations")
    flags.add_argument("--allow-partial", action="store_true", help="fit even when rows of the design are missing")
    flags.add_argument("--engine", choices=("rpy2", "rscript"), default="rpy2", help="how R is started")
    flags.add_argument("--out", required=True, help="written: regression/DATASET.json")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Fit the model of one data set and write everything about it as JSON."""
    arguments = parser().parse_args(argv)
    scores, runs = experiment_scores(arguments)
    result = fit_dataset(
        scores[scores["dataset"] == arguments.dataset],
        dataset=arguments.dataset,
        settings={**arguments.settings, "seed": arguments.seed},
        benchmarks=list(primary_metrics(arguments)),
        runs=None if runs is None else int((runs["dataset"] == arguments.dataset).sum()),
        allow_partial=arguments.allow_partial,
        engine=arguments.engine,
    )
    write_json(arguments.out, result)


if __name__ == "__main__":
    run_program(main)

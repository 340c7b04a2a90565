"""Flags that the programs after the score table share, and the scores that they ask for."""

import argparse
import json

import pandas as pd

from plw.scores.table import planned_runs, primary_scores, read_scores, select_runs


def score_flags(flags: argparse.ArgumentParser, *, experiment: str = "main") -> None:
    """Which scores: the table, the registry's benchmarks, the run table and the experiment."""
    flags.add_argument("--scores", required=True, help="scores.csv")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--runs", help="runs.csv: use only the runs of --experiment and count the missing ones")
    flags.add_argument("--experiment", default=experiment, help="experiment when --runs is given")


def design_flags(flags: argparse.ArgumentParser) -> None:
    """What ptlms and data sets are called and which of the paper's they stand for."""
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--ptlms", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")


def primary_metrics(arguments: argparse.Namespace) -> dict[str, str]:
    """The primary metric of each benchmark of --benchmarks."""
    return {entry["name"]: entry["metric"] for entry in arguments.benchmarks}


def experiment_scores(
    arguments: argparse.Namespace, experiment: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Primary scores of an experiment's runs (--experiment if not named), and its rows of the run table (or None)."""
    runs = planned_runs(arguments.runs, experiment or arguments.experiment) if arguments.runs else None
    scores = primary_scores(read_scores(arguments.scores), primary_metrics(arguments))
    return select_runs(scores, runs=runs), runs

"""Flags that the programs of many artifacts share, and what they stand for. Not a program."""

import argparse
import json

import pandas as pd
from plw.files import write_text
from plw.scores import planned_runs, primary_scores, read_scores, select_runs
from plw.tables import Table, to_csv, to_latex, to_markdown


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


def figure_flags(flags: argparse.ArgumentParser) -> None:
    """How a figure looks and the three files that it becomes."""
    flags.add_argument("--style", type=json.loads, default={}, help="changes to plw.figure_style.STYLE as JSON")
    flags.add_argument("--pdf", required=True, help="written")
    flags.add_argument("--png", required=True, help="written")
    flags.add_argument("--csv", required=True, help="written: the numbers that are drawn")


def table_flags(flags: argparse.ArgumentParser) -> None:
    """What the paper prints and the three files that a table becomes."""
    flags.add_argument("--paper-numbers", default="config/paper_numbers.yaml", help="what the paper prints")
    flags.add_argument("--csv", required=True, help="written: the values")
    flags.add_argument("--md", required=True, help="written: the table as Markdown")
    flags.add_argument("--tex", required=True, help="written: the table as LaTeX")


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


def write_table(table: Table, arguments: argparse.Namespace) -> None:
    """The table as CSV, Markdown and LaTeX."""
    write_text(arguments.csv, to_csv(table))
    write_text(arguments.md, to_markdown(table))
    write_text(arguments.tex, to_latex(table))

"""All measures of the mechanism as one tidy table, and the windows that the loss's stability is a mean of (§5.3)."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.files import write_text
from plw.mechanism.collection import collect_mechanism
from plw.study.layout import of_measured_runs
from plw.study.runs import read_runs_csv


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--runs", required=True, help="runs.csv")
    flags.add_argument(
        "--folder",
        required=True,
        help="of the runs: mechanism.json, loss.csv and evaluation.json of RUN where it has them",
    )
    flags.add_argument(
        "--settings",
        type=json.loads,
        default={},
        help='of the loss windows, JSON: {"window": 5, "windows": "disjoint" or "rolling", "ddof": 0 or 1, '
        '"skip_warmup": bool}',
    )
    flags.add_argument(
        "--max-grad-norm", type=float, default=0.0, help="what gradients were clipped at; 0: they were not"
    )
    flags.add_argument("--out", required=True, help="written: mechanism.csv")
    flags.add_argument("--windows", required=True, help="written: rsd_windows.csv")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write mechanism.csv and rsd_windows.csv; runs without files lack rows."""
    arguments = parser().parse_args(argv)
    runs = pd.DataFrame(read_runs_csv(arguments.runs))
    mechanisms, losses, evaluations = (
        of_measured_runs(arguments.folder, runs["run"], name)
        for name in ("mechanism.json", "loss.csv", "evaluation.json")
    )
    measures, windows = collect_mechanism(
        runs,
        mechanisms=mechanisms,
        losses=losses,
        evaluations=evaluations,
        settings=arguments.settings,
        max_grad_norm=arguments.max_grad_norm,
    )
    write_text(arguments.out, measures.to_csv(index=False))
    write_text(arguments.windows, windows.to_csv(index=False))
    counts = measures["measure"].value_counts(sort=False)
    print(f"of {len(runs)} runs: " + (", ".join(f"{name} {n}" for name, n in counts.items()) or "nothing measured"))


if __name__ == "__main__":
    run_program(main)

"""Figure 1: performance by transformed prompt loss weight (§5)."""

import argparse
import json

from plw.errors import run_program
from plw.figure_1 import coverage_note, draw, figure_data
from plw.figure_files import save_figure
from plw.figure_style import style_with
from plw.files import write_text
from plw.scores import planned_runs, primary_scores, read_scores, select_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--scores", required=True, help="scores.csv")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of {name, metric}")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--ptlms", required=True, type=json.loads, help="JSON list of {name, label}")
    flags.add_argument("--runs", help="runs.csv: draw only the runs of --experiment and count the missing ones")
    flags.add_argument("--experiment", default="main", help="experiment to draw when --runs is given")
    flags.add_argument("--style", type=json.loads, default={}, help="changes to plw.figure_style.STYLE as JSON")
    flags.add_argument("--pdf", required=True, help="written")
    flags.add_argument("--png", required=True, help="written")
    flags.add_argument("--csv", required=True, help="written: the numbers that are drawn")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Draw figure 1 as PDF and PNG and write its data."""
    arguments = parser().parse_args(argv)
    style = style_with(arguments.style)
    names = [entry["name"] for entry in arguments.datasets]
    metrics = {entry["name"]: entry["metric"] for entry in arguments.benchmarks}
    runs = planned_runs(arguments.runs, arguments.experiment) if arguments.runs else None
    scores = select_runs(primary_scores(read_scores(arguments.scores), metrics), runs=runs)
    data = figure_data(scores[scores["dataset"].isin(names)])
    planned = None if runs is None else int(runs["dataset"].isin(names).sum())
    figure = draw(
        data,
        datasets=arguments.datasets,
        ptlms=arguments.ptlms,
        style=style,
        note=coverage_note(data, planned=planned, benchmarks=len(metrics)),
    )
    save_figure(figure, pdf=arguments.pdf, png=arguments.png, style=style)
    write_text(arguments.csv, data.to_csv(index=False))


if __name__ == "__main__":
    run_program(main)

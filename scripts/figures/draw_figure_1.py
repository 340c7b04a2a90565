"""Figure 1: performance by transformed prompt loss weight (§5)."""

from plw.program import run_program

from pathlib import Path

from plw.figures.figure_1 import draw, figure_data
from plw.figures.flags import figure_style, score_figure_flags, write_figure
from plw.files import read_json
from plw.scores.flags import experiment_scores, primary_metrics
from plw.scores.table import coverage_note


def main(argv: list[str] | None = None) -> None:
    """Draw figure 1 as PDF and PNG and write its data."""
    flags = score_figure_flags(__doc__)
    flags.add_argument("--regressions", nargs="*", type=Path, default=[], help="regression/DATASET.json of Table 3")
    arguments = flags.parse_args(argv)
    style = figure_style(arguments)
    names = [entry["name"] for entry in arguments.datasets]
    scores, runs = experiment_scores(arguments)
    data = figure_data(scores[scores["dataset"].isin(names)])
    planned = None if runs is None else int(runs["dataset"].isin(names).sum())
    figure = draw(
        data,
        datasets=arguments.datasets,
        ptlms=arguments.ptlms,
        style=style,
        regressions={found["dataset"]: found for found in map(read_json, arguments.regressions)},
        note=coverage_note(data, planned=planned, benchmarks=len(primary_metrics(arguments))),
    )
    write_figure(figure, data, style, arguments)


if __name__ == "__main__":
    run_program(main)

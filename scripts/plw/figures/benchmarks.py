"""Figures 5, 6 and 7: the score on every benchmark of one group by transformed prompt loss weight (App. B)."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plw.figures.axes import (
    GREY,
    key_handles,
    legend_and_note,
    new_figure,
    plw_axis,
    ptlm_marks,
    runs_and_mean,
    say_no_scores,
)
from plw.figures.saving import drawing
from plw.figures.style import dataset_colours
from plw.scores.scale import is_constant
from plw.scores.table import add_w_p

CSV_COLUMNS = ["benchmark", "metric", "run", "ptlm", "dataset", "plw", "w_p", "seed", "score", "stderr", "n"]


def benchmarks_of_group(benchmarks: Sequence[dict], group: str) -> list[dict]:
    """The registry entries of a group (I, II or III), in the registry's order."""
    return [entry for entry in benchmarks if entry.get("group") == group]


def figure_data(frame: pd.DataFrame, benchmarks: Sequence[dict]) -> pd.DataFrame:
    """One row per run and benchmark with its raw score; what the figure draws and its CSV holds.

    frame  primary scores of the runs of one experiment; benchmarks: entries of one group
    """
    places = {entry["name"]: place for place, entry in enumerate(benchmarks)}
    rows = add_w_p(frame[frame["benchmark"].isin(places)])
    order = ["benchmark", "dataset", "ptlm", "plw", "seed"]
    rows = rows.sort_values(order, kind="stable", key=lambda column: column.map(places) if column.name == "benchmark"
                            else column)  # fmt: skip
    return rows[CSV_COLUMNS].reset_index(drop=True)


def score_note(data: pd.DataFrame, benchmarks: Sequence[dict], *, planned: int | None) -> str:
    """Which benchmarks lack scores of how many runs; an empty string when none does.

    planned  number of runs of the design; None: as many as have a score on any benchmark
    """
    if planned == 0 and data.empty:
        return "the study has no such runs"
    planned = max(planned or 0, data["run"].nunique())
    counts = {entry["name"]: int((data["benchmark"] == entry["name"]).sum()) for entry in benchmarks}
    lacking = [
        f"{entry.get('label', entry['name'])} {counts[entry['name']]}"
        for entry in benchmarks
        if counts[entry["name"]] < planned
    ]
    return f"runs with scores, of {planned}: {', '.join(lacking)}" if lacking else ""


def _axis_label(entry: dict, rows: pd.DataFrame) -> str:
    """Metric, and how far chance alone may move a point: the median standard error over the runs."""
    error = pd.to_numeric(rows["stderr"], errors="coerce").median()
    metric = entry.get("metric", "score")
    return metric if pd.isna(error) else f"{metric}  (SE ≈ {error:.2g})"


def _panel(axes: Axes, rows: pd.DataFrame, entry: dict, datasets: Sequence[dict], marks: dict, colours: dict) -> None:
    if rows.empty:
        say_no_scores(axes)
    elif len(rows) > 1 and is_constant(rows["score"].min(), rows["score"].max()):
        axes.text(0.5, 0.6, "all runs score the same", transform=axes.transAxes, ha="center", color=GREY)
    for dataset in datasets:
        part, colour = rows[rows["dataset"] == dataset["name"]], colours[dataset["name"]]
        runs_and_mean(axes, part, "score", marks, colour)
    axes.set_title(entry.get("label", entry["name"]))
    axes.set_ylabel(_axis_label(entry, rows))
    axes.margins(y=0.08)


def draw(
    data: pd.DataFrame,
    *,
    group: str,
    benchmarks: Sequence[dict],
    datasets: Sequence[dict],
    ptlms: Sequence[dict],
    style: dict,
    note: str = "",
) -> Figure:
    """Draw one panel for each benchmark of the group, each with its own vertical scale.

    data      from `figure_data`; benchmarks: entries of the group; datasets, ptlms: entries with name, label
    style     from `figure_style.style_with`
    note      shown below the panels
    """
    colours, marks = dataset_colours(datasets, style), ptlm_marks(ptlms, style)
    count = max(len(benchmarks), 1)
    columns = count if count <= 4 else 3
    lines = math.ceil(count / columns)
    width, height = style["sizes"]["benchmark_panel"]
    with drawing(style):
        figure = new_figure((width * max(columns, 3), height * lines + 0.5))
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, entry in zip(panels, benchmarks, strict=False):
            _panel(axes, data[data["benchmark"] == entry["name"]], entry, datasets, marks, colours)
        if not benchmarks:
            say_no_scores(panels[0], f"no benchmark of group {group}")
        for index, axes in enumerate(panels):
            axes.set_visible(index < count)
            plw_axis(axes)
        legend_and_note(figure, key_handles(datasets, colours, ptlms, marks), note)
    return figure

"""Figure 1: the simple and the relative performance aggregate by transformed prompt loss weight (§5)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plw.figures.axes import (
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
from plw.scores.table import aggregate

CSV_COLUMNS = ["run", "ptlm", "dataset", "plw", "w_p", "seed", "simple", "relative", "benchmarks", "complete"]


def figure_data(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per run with both aggregates; what the figure draws and its CSV holds.

    frame  primary scores of the runs of one experiment
    """
    order = ["dataset", "ptlm", "plw", "seed"]
    return aggregate(frame)[CSV_COLUMNS].sort_values(order, kind="stable").reset_index(drop=True)


def _simple_panel(axes: Axes, data: pd.DataFrame, datasets: Sequence[dict], marks: dict, colours: dict) -> None:
    for entry in datasets:
        rows = data[data["dataset"] == entry["name"]]
        runs_and_mean(axes, rows, "simple", marks, colours[entry["name"]], lines=False)
    axes.set_title("(a) Simple aggregate")
    axes.set_ylabel("mean benchmark score")


def _relative_panel(axes: Axes, rows: pd.DataFrame, marks: dict, colour: str) -> None:
    if rows.empty:
        say_no_scores(axes)
    runs_and_mean(axes, rows, "relative", marks, colour)


def draw(data: pd.DataFrame, *, datasets: Sequence[dict], ptlms: Sequence[dict], style: dict, note: str = "") -> Figure:
    """Draw panel (a) for all data sets together and one panel of relative scores for each data set.

    data      from `figure_data`; runs that lack benchmarks are not drawn: their means cannot be compared
    datasets  entries with name, label, stands_for, in the study's order; ptlms: entries with name, label
    style     from `figure_style.style_with`
    note      shown below the panels
    """
    data = data[data["complete"]]
    colours = dataset_colours(datasets, style)
    marks = ptlm_marks(ptlms, style)
    width, height = style["sizes"]["figure_1"]
    with drawing(style):
        figure = new_figure((width * (1 + len(datasets)) / 4, height))
        panels = figure.subplots(1, 1 + len(datasets), squeeze=False)[0]
        _simple_panel(panels[0], data, datasets, marks, colours)
        for index, entry in enumerate(datasets):
            axes = panels[1 + index]
            _relative_panel(axes, data[data["dataset"] == entry["name"]], marks, colours[entry["name"]])
            axes.set_title(f"({chr(ord('b') + index)}) Relative, {entry.get('label', entry['name'])}")
            axes.set_ylim(-0.02, 1.02)
            axes.set_ylabel("relative aggregate" if index == 0 else "")
        for axes in panels:
            plw_axis(axes)
        legend_and_note(figure, key_handles(datasets, colours, ptlms, marks), note)
    return figure

"""Figures 3 and 9: the relative aggregate by PLW on other instruction data sets (§6.2, App. C.2)."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plw.figures.axes import (
    key_handles,
    legend_and_note,
    new_figure,
    plw_axis,
    ptlm_handles,
    ptlm_marks,
    runs_and_mean,
    say_no_scores,
)
from plw.figures.saving import drawing
from plw.figures.style import dataset_colours
from plw.scores.pooled import MEASURES, pooled_aggregate

PANELS_3 = (  # title and the paper's data sets of each panel of Figure 3
    ("(a) Unshortened data sets", ("UltraFeedback", "DatabricksDolly")),
    ("(b) Short forms", ("UltraFeedbackShort", "DatabricksDollyShort")),
)
ROLES = tuple(role for _, roles in PANELS_3 for role in roles)
ROWS_9 = (("relative", "groups I and II"), ("relative_I", "group I"), ("relative_II", "group II"))
# A thin broken line with crosses: a wide pale one would pass for a confidence band.
BROKEN = (0, (6, 1.5, 1, 1.5, 1, 1.5))
BOTH_LOOK: dict[str, Any] = {"color": "#555555", "lw": 1.1, "linestyle": BROKEN, "marker": "x", "markersize": 4.5}


def figure_data(frame: pd.DataFrame, *, datasets: Sequence[dict], benchmarks: Sequence[dict]) -> pd.DataFrame:
    """One row per run of the data sets, with aggregates on one scale for all of them; the CSV of both figures.

    frame  primary scores; benchmarks: registry entries, of which those of groups I and II are used
    """
    labels = {entry["name"]: entry.get("stands_for") for entry in datasets}
    data = pooled_aggregate(frame[frame["dataset"].isin(labels)], benchmarks)
    data.insert(data.columns.get_loc("dataset") + 1, "stands_for", data["dataset"].map(labels))
    columns = ["run", "ptlm", "dataset", "stands_for", "plw", "w_p", "seed", *MEASURES, "benchmarks", "complete"]
    return data[columns].sort_values(["dataset", "ptlm", "plw", "seed"], kind="stable").reset_index(drop=True)


def without_panel(datasets: Sequence[dict]) -> list[str]:
    """Labels of the data sets that Figure 3 has no panel for: they stand for none of the paper's four."""
    return [entry.get("label", entry["name"]) for entry in datasets if entry.get("stands_for") not in ROLES]


def in_paper_order(datasets: Sequence[dict]) -> list[dict]:
    """The data sets in the order of ROLES, others behind them."""
    return sorted(datasets, key=lambda entry: (*ROLES, entry.get("stands_for")).index(entry.get("stands_for")))


def _relative_axis(axes: Axes, label: str) -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel(label)


def _both(axes: Axes, rows: pd.DataFrame, datasets: Sequence[dict]) -> None:
    """The mean of the data sets' means at the PLWs that all of them have."""
    means = [
        part.pivot_table(index="w_p", columns="ptlm", values="relative", aggfunc="mean").mean(axis=1, skipna=False)
        for _, part in rows.groupby("dataset", sort=False)
    ]
    if len(means) == len(datasets) > 1:
        line = pd.concat(means, axis=1).mean(axis=1, skipna=False)
        axes.plot(line.index, line.values, zorder=1.9, **BOTH_LOOK)


def draw_figure_3(
    data: pd.DataFrame, *, datasets: Sequence[dict], ptlms: Sequence[dict], style: dict, note: str = ""
) -> Figure:
    """Two panels: (a) the data sets as they are, (b) their short forms; the relative aggregate of groups I and II.

    data      from `figure_data`; runs that lack benchmarks are not drawn
    datasets  entries with name, label, stands_for: found by role; ptlms: entries with name, label
    """
    data, colours, marks = data[data["complete"]], dataset_colours(datasets, style), ptlm_marks(ptlms, style)
    with drawing(style):
        figure = new_figure(style["sizes"]["figure_3"])
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (title, roles) in zip(panels, PANELS_3, strict=True):
            shown = [entry for entry in in_paper_order(datasets) if entry.get("stands_for") in roles]
            rows = data[data["dataset"].isin([entry["name"] for entry in shown])]
            if rows.empty:
                say_no_scores(axes)
            _both(axes, rows, shown)
            for entry in shown:
                part = rows[rows["dataset"] == entry["name"]]
                runs_and_mean(axes, part, "relative", marks, colours[entry["name"]])
            axes.set_title(title)
            _relative_axis(axes, "relative aggregate" if axes is panels[0] else "")
            plw_axis(axes)
        both = Line2D([], [], label="mean of both data sets", **BOTH_LOOK)
        placed = [entry for entry in in_paper_order(datasets) if entry.get("stands_for") in ROLES]
        legend_and_note(figure, [*key_handles(placed, colours, ptlms, marks), both], note)
    return figure


def draw_figure_9(
    data: pd.DataFrame, *, datasets: Sequence[dict], ptlms: Sequence[dict], style: dict, note: str = ""
) -> Figure:
    """A column for each data set: groups I and II together, group I, group II; ptlms apart and their mean.

    Arguments as for `draw_figure_3`; data sets without a role in the paper are drawn as well.
    """
    data, colours, marks = data[data["complete"]], dataset_colours(datasets, style), ptlm_marks(ptlms, style)
    ordered = in_paper_order(datasets)
    width, height = style["sizes"]["figure_9"]
    with drawing(style):
        figure = new_figure((width * max(len(ordered), 1) / 4, height))
        panels = figure.subplots(len(ROWS_9), max(len(ordered), 1), squeeze=False)
        if not ordered:
            for axes in panels[:, 0]:
                say_no_scores(axes)
        for (line, (value, label)), (column, entry) in (
            (line, column) for line in enumerate(ROWS_9) for column in enumerate(ordered)
        ):
            axes, rows = panels[line, column], data[data["dataset"] == entry["name"]].dropna(subset=[value])
            if rows.empty:
                say_no_scores(axes)
            runs_and_mean(axes, rows, value, marks, colours[entry["name"]])
            axes.set_title(entry.get("label", entry["name"]) if line == 0 else "")
            _relative_axis(axes, f"relative, {label}" if column == 0 else "")
            plw_axis(axes, label=line == len(ROWS_9) - 1)
        legend_and_note(figure, ptlm_handles(ptlms, marks), note)
    return figure

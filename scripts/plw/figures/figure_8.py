"""Figure 8: PLW beside other regularizers on short-completion data (App. C.1).

Each panel has two parts with one vertical axis: on the left the sweep of PLWs without a regularizer, on the right a
column for each regularizer and strength at PLW 0 (open) and PLW 1 (filled).
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plw.figures.axes import (
    dataset_handles,
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
from plw.scores.regularizer_comparison import (
    NONE,
    PLW,
    arm_label,
    arms_of,
    equal_budget,
    search_budget,
    settings,
)

PANELS = (
    ("simple", "(a) Simple aggregate", "mean benchmark score"),
    ("relative", "(b) Relative aggregate, combined", "relative aggregate"),
    ("relative_I", "(c) Relative aggregate, group I", "relative aggregate"),
    ("relative_II", "(d) Relative aggregate, group II", "relative aggregate"),
)
GREY = "#404040"  # regularizers: the colour of a data set belongs to the sweep
GAP = 0.9  # between the columns of two arms, in columns


def _columns(found: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Arm, strength and place of every column; an arm without scores has one column and no strength."""
    columns, place = [], 0.0
    for arm in arms_of(found):
        if arm == PLW:
            continue
        strengths = sorted(found.loc[found["arm"] == arm, "strength"].unique()) or [float("nan")]
        columns += [(arm, strength, place + index) for index, strength in enumerate(strengths)]
        place += len(strengths) + GAP
    return columns


def _arm_names(axes: Axes, columns: list[tuple[str, float, float]]) -> None:
    """Strengths as ticks, and the names of the arms below them."""
    names = ["" if arm == NONE or strength != strength else f"{strength:g}" for arm, strength, _ in columns]
    axes.set_xticks([place for *_, place in columns], names, rotation=90, fontsize=6.5)
    axes.set_xlim(columns[0][2] - 0.9, columns[-1][2] + 0.9)
    arms: dict[str, list[float]] = {}
    for arm, _, place in columns:
        arms.setdefault(arm, []).append(place)
    middles = [sum(places) / len(places) for places in arms.values()]
    below = axes.secondary_xaxis(-0.16)
    below.set_xticks(middles, [arm_label(arm).replace(" ", "\n") for arm in arms], fontsize=6.5)
    below.tick_params(length=0, pad=1)
    below.spines["bottom"].set_visible(False)
    for places in list(arms.values())[1:]:
        axes.axvline(places[0] - (1 + GAP) / 2, color="#DDDDDD", linewidth=0.7)
    axes.grid(False, axis="x")


def _sweep(axes: Axes, data: pd.DataFrame, value: str, marks: dict, colour: str) -> None:
    rows = data[data["arm"].isin([NONE, PLW])].dropna(subset=[value])
    if rows.empty:
        say_no_scores(axes)
    runs_and_mean(axes, rows, value, marks, colour)
    plw_axis(axes)


def _alternatives(
    axes: Axes, found: pd.DataFrame, columns: list[tuple[str, float, float]], value: str, marks: dict, colour: str
) -> None:
    """Points of all settings but fractional PLWs; each ptlm's best fractional PLW as lines.

    Faint: the best of all, which more PLWs than strengths make larger by chance alone. Full: what the best of as many
    PLWs is expected to be as the arm with the fewest settings has (`equal_budget`, as in Table 4).
    """
    whole, found = found, found.dropna(subset=[value])
    places = {(arm, strength): place for arm, strength, place in columns}
    there = set(found["arm"]) - {PLW}
    if not there:
        say_no_scores(axes)
    middle: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "rotation": 90, "ha": "center", "va": "center"}
    for arm, _, place in columns if there else []:
        if arm not in there:
            axes.text(place, 0.5, "no scores", fontsize=7, color=GREY, **middle)
    for index, (ptlm, (marker, line)) in enumerate(marks.items()):
        rows = found[found["ptlm"] == ptlm]
        shift = 0.44 * ((index + 0.5) / len(marks) - 0.5)
        fractional = rows.loc[rows["arm"] == PLW, value]
        if len(fractional):
            axes.axhline(fractional.max(), color=colour, linestyle=line, linewidth=0.9, alpha=0.35)
        fair = equal_budget(fractional, search_budget(whole, ptlm))
        if fair is not None:
            axes.axhline(fair, color=colour, linestyle=line, linewidth=1.3, alpha=0.9)
        for (arm, strength), part in rows[rows["arm"] != PLW].groupby(["arm", "strength"]):
            x, tone = places[arm, strength] + shift, colour if arm == NONE else GREY
            axes.vlines(x, part[value].min(), part[value].max(), color=tone, linewidth=0.6, alpha=0.6)
            for row in part.itertuples():
                face = "white" if row.plw == 0 else tone
                axes.plot(x, getattr(row, value), marker, color=tone, markerfacecolor=face, markersize=4.4)


def _handles(dataset: dict, ptlms: Sequence[dict], marks: dict, colour: str) -> list[Line2D]:
    point: dict[str, Any] = {"linestyle": "", "marker": "o", "color": GREY, "markersize": 4.4}
    return [
        *dataset_handles([{**dataset, "label": f"{dataset.get('label', dataset['name'])}, no regularizer"}],
                         {dataset["name"]: colour}),
        *ptlm_handles(ptlms, marks),
        Line2D([], [], label="regularized, PLW 0", markerfacecolor="white", **point),
        Line2D([], [], label="regularized, PLW 1", **point),
        Line2D([], [], color=colour, linewidth=0.9, linestyle="--", alpha=0.35, label="best fractional PLW of a PTLM"),
        Line2D([], [], color=colour, linewidth=1.3, linestyle="--", label="the same, of as many PLWs as strengths"),
    ]  # fmt: skip


def draw(data: pd.DataFrame, *, dataset: dict | None, ptlms: Sequence[dict], style: dict, note: str = "") -> Figure:
    """Draw four panels: simple aggregate, relative aggregate, and that of groups I and II alone.

    data     from `regularizer_comparison.comparison_data`; runs that lack benchmarks are not drawn
    dataset  entry with name, label, stands_for (None: no such data set); ptlms: entries with name, label
    """
    dataset = dataset or {"name": "", "label": "no data set"}
    data, found, marks = data[data["complete"]], settings(data), ptlm_marks(ptlms, style)
    colour = dataset_colours([dataset], style)[dataset["name"]]
    columns = _columns(found)
    with drawing(style):
        figure = new_figure(style["sizes"]["figure_8"])
        grid = figure.add_gridspec(2, 4, width_ratios=[3, 3, 3, 3])
        for index, (value, title, label) in enumerate(PANELS):
            line, column = divmod(index, 2)
            left = figure.add_subplot(grid[line, 2 * column])
            right = figure.add_subplot(grid[line, 2 * column + 1], sharey=left)
            _sweep(left, data, value, marks, colour)
            _alternatives(right, found, columns, value, marks, colour)
            _arm_names(right, columns)
            right.tick_params(axis="y", labelleft=False)
            left.set_title(title, loc="left")
            left.set_ylabel(label)
            if value != "simple":
                left.set_ylim(-0.02, 1.02)
        legend_and_note(figure, _handles(dataset, ptlms, marks, colour), note)
    return figure

"""What figures of scores by PLW share: both axes, marks of ptlms, mean lines, legend and the note below.

Used by Figures 1, 3 and 5 to 9. All of them have w_p below, PLW above, one colour for each data set, one marker and
line for each ptlm, and a solid line for the mean over ptlms.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from plw.scores.transform import to_w_p

PLW_TICKS = (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)  # upper axis: weights that readers think in
W_P_LABEL = "$w_p$ = PLW$^{0.30103}$"
GREY, NOTE_RED = "#555555", "#AA0000"
FITTED_RED = "#C8102E"  # the best weight by a fitted model
NOTE_ROW_INCHES, NOTE_CHARACTER_INCHES = 0.125, 0.055  # of 7 points
LEGEND_GAP_INCHES = 0.08  # between the panels and the legend


def new_figure(size: Sequence[float]) -> Figure:
    """An empty figure of width and height in inches whose panels are laid out by constrained layout."""
    figure = Figure(figsize=cast(tuple[float, float], tuple(size)), layout="constrained")
    FigureCanvasAgg(figure)
    _layout(figure).set(w_pad=0.07)  # inches: labels of a panel clear of the last tick of the one before
    return figure


def _layout(figure: Figure) -> ConstrainedLayoutEngine:
    return cast(ConstrainedLayoutEngine, figure.get_layout_engine())  # new_figure set it


def ptlm_marks(ptlms: Sequence[dict], style: dict) -> dict[str, tuple]:
    """Marker and line style of each ptlm, in the study's order."""
    markers, lines = style["markers"], style["lines"]
    return {entry["name"]: (markers[i % len(markers)], lines[i % len(lines)]) for i, entry in enumerate(ptlms)}


def mean_line(axes: Axes, rows: pd.DataFrame, value: str, **style: Any) -> None:
    """Line of the mean over ptlms, each the mean of its seeds; a gap where one of the ptlms is missing."""
    if rows.empty:
        return
    means = rows.pivot_table(index="w_p", columns="ptlm", values=value, aggfunc="mean").mean(axis=1, skipna=False)
    look: dict[str, Any] = {"marker": ".", "markersize": 5, **style}
    axes.plot(means.index, means.values, **look)


def ptlm_points(axes: Axes, rows: pd.DataFrame, value: str, marks: dict, colour: str, *, lines: bool = True) -> None:
    """Every run as a point with its ptlm's marker; with `lines`, also each ptlm's own mean over seeds."""
    for ptlm, (marker, line) in marks.items():
        part = rows[rows["ptlm"] == ptlm]
        axes.plot(part["w_p"], part[value], marker, color=colour, alpha=0.5, markeredgewidth=0)
        if lines:
            mean_line(axes, part, value, color=colour, alpha=0.6, linestyle=line, linewidth=0.9, marker="")


def seed_errors(rows: pd.DataFrame, value: str) -> pd.Series:
    """Standard error over seeds of the mean over ptlms, by w_p: only where each ptlm has two seeds or more.

    Seeds are replicates within a ptlm; how far ptlms are apart is no error of their mean.
    """
    cells = rows.groupby(["w_p", "ptlm"])[value].agg(["var", "size"])
    squares = (cells["var"] / cells["size"]).unstack("ptlm")
    return (squares.sum(axis=1, skipna=False) ** 0.5 / max(squares.shape[1], 1)).dropna()


def seed_bars(axes: Axes, rows: pd.DataFrame, value: str, colour: str) -> None:
    """Bars of one standard error over seeds (`seed_errors`) about the mean line."""
    if rows.empty:
        return
    errors = seed_errors(rows, value)
    means = rows.groupby(["w_p", "ptlm"])[value].mean().groupby("w_p").mean()
    if len(errors):
        look: dict[str, Any] = {"fmt": "none", "ecolor": colour, "elinewidth": 1.0, "capsize": 2}
        axes.errorbar(errors.index, means[errors.index], yerr=errors, **look)


def runs_and_mean(axes: Axes, rows: pd.DataFrame, value: str, marks: dict, colour: str, *, lines: bool = True) -> None:
    """Every run (`ptlm_points`), and on top the line of the mean over ptlms, with `seed_bars`."""
    ptlm_points(axes, rows, value, marks, colour, lines=lines)
    mean_line(axes, rows, value, color=colour)
    seed_bars(axes, rows, value, colour)


def plw_axis(axes: Axes, *, label: bool = True) -> None:
    """w_p from 0 to 1 below and the PLWs above."""
    axes.set_xticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(W_P_LABEL if label else "", parse_math=True)
    upper = axes.secondary_xaxis("top")
    upper.set_xticks([to_w_p(plw) for plw in PLW_TICKS], [f"{plw:g}" for plw in PLW_TICKS])
    upper.tick_params(length=2, pad=1, labelsize=6.5, colors=GREY)
    upper.spines["top"].set_visible(False)
    upper.set_xlabel("PLW", fontsize=6.5, color=GREY, labelpad=1)


def say_no_scores(axes: Axes, text: str = "no scores") -> None:
    """Words in the middle of a panel that has nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def dataset_handles(datasets: Sequence[dict], colours: dict) -> list[Line2D]:
    """Legend entries of data sets."""
    return [Line2D([], [], color=colours[entry["name"]], label=entry.get("label", entry["name"])) for entry in datasets]


def ptlm_handles(ptlms: Sequence[dict], marks: dict) -> list[Line2D]:
    """Legend entries of ptlms, and of the mean over them."""
    shapes = [
        Line2D([], [], color="#444444", alpha=0.7, marker=marks[entry["name"]][0],
               linestyle=marks[entry["name"]][1], linewidth=0.9, label=entry.get("label", entry["name"]))
        for entry in ptlms
    ]  # fmt: skip
    return [*shapes, Line2D([], [], color="#444444", label="mean of the PTLMs")]


def key_handles(datasets: Sequence[dict], colours: dict, ptlms: Sequence[dict], marks: dict) -> list[Line2D]:
    """Legend entries of data sets by colour, and of ptlms by mark."""
    return [*dataset_handles(datasets, colours), *ptlm_handles(ptlms, marks)]


def legend_and_note(figure: Figure, handles: Sequence[Artist], note: str) -> None:
    """A legend below the panels in as few rows as fit, the note in red below it, and room for both.

    Called once, after the panels are there.
    """
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(note, int(width / NOTE_CHARACTER_INCHES))
    below = len(lines) * NOTE_ROW_INCHES + 0.02
    for rows in range(1, len(handles) + 1):
        legend = figure.legend(
            handles=handles,
            loc="lower center",
            ncols=math.ceil(len(handles) / rows),
            bbox_to_anchor=(0.5, (below - 0.04) / height),
            columnspacing=1.6,
            handlelength=2.4,
        )
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or rows == len(handles):
            break
        legend.remove()
    room = (below + box.height / figure.dpi + LEGEND_GAP_INCHES) / height
    _layout(figure).set(rect=(0, room, 1, 1 - room))
    if lines:
        figure.text(0.5, 0.015 / height, "\n".join(lines), ha="center", va="bottom", fontsize=7, color=NOTE_RED)

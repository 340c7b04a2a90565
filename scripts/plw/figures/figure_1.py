"""Figure 1: the simple and the relative performance aggregate by transformed prompt loss weight (§5).

The paper's figure has points and means alone. Ours adds what they can be off by: bars over seeds, a band of the items'
standard error, and the critical weight λ of the paper's mixed model (§5.2) with its interval.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from plw.figures.axes import (
    FITTED_RED,
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
from plw.scores.transform import to_w_p

CSV_COLUMNS = [
    *("run", "ptlm", "dataset", "plw", "w_p", "seed", "simple", "relative", "benchmarks", "complete"),
    *("simple_se", "relative_se"),
]
BAND = 0.13  # opacity


def item_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Standard errors of both aggregates by the luck of the items, with the run as index.

    frame  primary scores with their `stderr`; an aggregate of a benchmark without one has none (NaN)
    Benchmarks count as independent, and the range that scores are scaled by (§5.1) as known; a constant benchmark
    has no scale, so nothing of its luck reaches the relative aggregate.
    """
    groups = frame.groupby(["benchmark", "dataset"], sort=False)["score"]
    span = groups.transform("max") - groups.transform("min")
    squares = frame.assign(
        simple_se=frame["stderr"] ** 2, relative_se=((frame["stderr"] / span) ** 2).where(span > 0, 0.0)
    )
    found = squares.groupby("run")[["simple_se", "relative_se"]]
    return found.agg(lambda part: part.sum(skipna=False) ** 0.5 / len(part))


def figure_data(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per run with both aggregates and their items' errors; what the figure draws and its CSV holds.

    frame  primary scores of the runs of one experiment
    """
    order = ["dataset", "ptlm", "plw", "seed"]
    rows = aggregate(frame).join(item_errors(frame), on="run")
    return rows[CSV_COLUMNS].sort_values(order, kind="stable").reset_index(drop=True)


def _item_band(axes: Axes, rows: pd.DataFrame, value: str, colour: str) -> None:
    """A band of one standard error of the items about the mean line.

    All runs answer the same items, so their luck is taken as shared: the error of a mean is the mean of the errors.
    """
    if rows.empty or rows[f"{value}_se"].isna().any():
        return
    cells = rows.groupby(["w_p", "ptlm"])[[value, f"{value}_se"]].mean().unstack("ptlm")
    middle, error = cells[value].mean(axis=1, skipna=False), cells[f"{value}_se"].mean(axis=1, skipna=False)
    axes.fill_between(middle.index, middle - error, middle + error, color=colour, alpha=BAND, linewidth=0)


def critical_weight(regression: dict) -> dict | None:
    """λ as w_p, the ends of its interval as w_p (cut to [0, 1]), and whether the paper's mark is earned.

    regression  content of a regression/DATASET.json; None where its parabola has no maximum inside (0, 1)
    """
    fit = regression.get("fit") or {}
    critical = fit.get("critical") or {}
    if critical.get("plw") is None:
        return None
    ends = [critical.get("plw_ci_low"), critical.get("plw_ci_high")]
    low, high = (None if end is None else to_w_p(end) for end in ends)
    return {
        "w_p": critical["vertex"]["w_p"],
        "plw": critical["plw"],
        "low": low,
        "high": high,
        "significant": bool(regression.get("significant")),
    }


def _mark_critical_weight(axes: Axes, regression: dict) -> None:
    found = critical_weight(regression)
    place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "fontsize": 6.5, "color": FITTED_RED}
    if found is None:
        axes.text(0.98, 0.02, "no λ inside (0, 1)", ha="right", va="bottom", **place)
        return
    look = "-" if found["significant"] else ":"
    axes.axvline(found["w_p"], color=FITTED_RED, linewidth=1.0, linestyle=look)
    if found["low"] is not None and found["high"] is not None:
        axes.plot([found["low"], found["high"]], [0.012, 0.012], color=FITTED_RED, linewidth=2.4, alpha=0.6,
                  solid_capstyle="butt", transform=axes.get_xaxis_transform())  # fmt: skip
    left = found["w_p"] > 0.5
    axes.text(
        found["w_p"] + (-0.015 if left else 0.015),
        0.03,
        f"λ = {found['plw']:.3g}" + ("" if found["significant"] else ", not significant"),
        ha="right" if left else "left",
        va="bottom",
        **place,
    )


def _simple_panel(axes: Axes, data: pd.DataFrame, datasets: Sequence[dict], marks: dict, colours: dict) -> None:
    for entry in datasets:
        rows = data[data["dataset"] == entry["name"]]
        _item_band(axes, rows, "simple", colours[entry["name"]])
        runs_and_mean(axes, rows, "simple", marks, colours[entry["name"]], lines=False)
    axes.set_title("(a) Simple aggregate")
    axes.set_ylabel("mean benchmark score")


def _relative_panel(axes: Axes, rows: pd.DataFrame, marks: dict, colour: str) -> None:
    if rows.empty:
        say_no_scores(axes)
    _item_band(axes, rows, "relative", colour)
    runs_and_mean(axes, rows, "relative", marks, colour)


def _handles(datasets: Sequence[dict], colours: dict, ptlms: Sequence[dict], marks: dict, marked: bool) -> list[Artist]:
    """Legend entries: data sets, ptlms, the band, and λ where one of the panels has it."""
    band = Patch(color="#444444", alpha=BAND, label="± 1 standard error of the items")
    red = [
        Line2D(
            [], [], color=FITTED_RED, linewidth=1.0, label="λ of Table 3; bar: 95 % interval; dotted: not significant"
        )
    ]
    return [*key_handles(datasets, colours, ptlms, marks), band, *(red if marked else [])]


def draw(
    data: pd.DataFrame,
    *,
    datasets: Sequence[dict],
    ptlms: Sequence[dict],
    style: dict,
    note: str = "",
    regressions: Mapping[str, dict] | None = None,
) -> Figure:
    """Draw panel (a) for all data sets together and one panel of relative scores for each data set.

    data         from `figure_data`; runs that lack benchmarks are not drawn: their means cannot be compared
    datasets     entries with name, label, stands_for, in the study's order; ptlms: entries with name, label
    style        from `plw.figures.style.style_with`
    note         shown below the panels
    regressions  data set -> content of its regression/DATASET.json: λ is marked in the data set's panel
    """
    regressions = regressions or {}
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
            if entry["name"] in regressions:
                _mark_critical_weight(axes, regressions[entry["name"]])
            axes.set_title(f"({chr(ord('b') + index)}) Relative, {entry.get('label', entry['name'])}")
            axes.set_ylim(-0.02, 1.02)
            axes.set_ylabel("relative aggregate" if index == 0 else "")
        for axes in panels:
            plw_axis(axes)
        marked = any(critical_weight(found) for found in regressions.values())
        legend_and_note(figure, _handles(datasets, colours, ptlms, marks, marked), note)
    return figure

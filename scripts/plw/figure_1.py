"""Figure 1: the simple and the relative performance aggregate by transformed prompt loss weight (§5)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plw.figure_style import dataset_colours
from plw.scores import aggregate
from plw.transform import w_p_from_plw

PLW_TICKS = (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)  # upper axis: weights that readers think in
CSV_COLUMNS = ["run", "ptlm", "dataset", "plw", "w_p", "seed", "simple", "relative", "benchmarks", "complete"]


def figure_data(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per run with both aggregates; what the figure draws and its CSV holds.

    frame  primary scores of the runs of one experiment
    """
    order = ["dataset", "ptlm", "plw", "seed"]
    return aggregate(frame)[CSV_COLUMNS].sort_values(order, kind="stable").reset_index(drop=True)


def coverage_note(data: pd.DataFrame, *, planned: int | None, benchmarks: int | None) -> str:
    """What is not in the figure: runs without scores or lacking benchmarks, benchmarks that no run has.

    planned, benchmarks  numbers of runs and benchmarks of the whole design; None: those that are there
    Returns an empty string when nothing is missing.
    """
    drawn = int(data["complete"].sum())
    planned = max(planned or 0, len(data))
    notes = []
    if drawn < planned:
        parts = [f"{planned - len(data)} without scores"] if planned > len(data) else []
        parts += [f"{len(data) - drawn} lacking benchmarks"] if len(data) > drawn else []
        notes.append(f"{drawn} of {planned} runs are drawn ({', '.join(parts)})")
    most = data.groupby("dataset", sort=False)["benchmarks"].max()
    if len(most) and benchmarks and most.min() < benchmarks:
        counts = sorted(set(most))
        notes.append(f"means over {' or '.join(map(str, counts))} of {benchmarks} benchmarks")
    return "; ".join(notes)


def _mean_line(axes: Axes, rows: pd.DataFrame, value: str, **style: object) -> None:
    """Line of the mean over ptlms, each the mean of its seeds; a gap where one of the ptlms is missing."""
    if rows.empty:
        return
    means = rows.pivot_table(index="w_p", columns="ptlm", values=value, aggfunc="mean").mean(axis=1, skipna=False)
    axes.plot(means.index, means.values, **{"marker": ".", "markersize": 5, **style})


def _plw_axis(axes: Axes) -> None:
    upper = axes.secondary_xaxis("top")
    upper.set_xticks([w_p_from_plw(plw) for plw in PLW_TICKS], [f"{plw:g}" for plw in PLW_TICKS])
    upper.tick_params(length=2, pad=1, labelsize=6.5, colors="#555555")
    upper.spines["top"].set_visible(False)
    upper.set_xlabel("PLW", fontsize=6.5, color="#555555", labelpad=1)


def _simple_panel(axes: Axes, data: pd.DataFrame, datasets: Sequence[dict], marks: dict, colours: dict) -> None:
    for entry in datasets:
        rows = data[data["dataset"] == entry["name"]]
        colour = colours[entry["name"]]
        for ptlm, (marker, _) in marks.items():
            part = rows[rows["ptlm"] == ptlm]
            axes.plot(part["w_p"], part["simple"], marker, color=colour, alpha=0.45, markeredgewidth=0)
        _mean_line(axes, rows, "simple", color=colour)
    axes.set_title("(a) Simple aggregate")
    axes.set_ylabel("mean benchmark score")


def _relative_panel(axes: Axes, rows: pd.DataFrame, marks: dict, colour: str) -> None:
    if rows.empty:
        axes.text(0.5, 0.5, "no scores", transform=axes.transAxes, ha="center", va="center", color="#555555")
    for ptlm, (marker, line) in marks.items():
        part = rows[rows["ptlm"] == ptlm]
        axes.plot(part["w_p"], part["relative"], marker, color=colour, alpha=0.5, markeredgewidth=0)
        _mean_line(axes, part, "relative", color=colour, alpha=0.6, linestyle=line, linewidth=0.9, marker="")
    _mean_line(axes, rows, "relative", color=colour)


def _legend(
    figure: Figure,
    datasets: Sequence[dict],
    ptlms: Sequence[dict],
    marks: dict,
    colours: dict,
    *,
    height: float,
) -> None:
    names = [
        Line2D([], [], color=colours[entry["name"]], label=entry.get("label", entry["name"])) for entry in datasets
    ]
    shapes = [
        Line2D([], [], color="#444444", alpha=0.7, marker=marks[entry["name"]][0],
               linestyle=marks[entry["name"]][1], linewidth=0.9, label=entry.get("label", entry["name"]))
        for entry in ptlms
    ]  # fmt: skip
    mean = [Line2D([], [], color="#444444", label="mean of the PTLMs")]
    figure.legend(
        handles=[*names, *shapes, *mean],
        loc="lower center",
        ncols=len(names) + len(shapes) + 1,
        bbox_to_anchor=(0.5, height),
        columnspacing=1.6,
        handlelength=2.4,
    )


def draw(data: pd.DataFrame, *, datasets: Sequence[dict], ptlms: Sequence[dict], style: dict, note: str = "") -> Figure:
    """Draw panel (a) for all data sets together and one panel of relative scores for each data set.

    data      from `figure_data`; runs that lack benchmarks are not drawn: their means cannot be compared
    datasets  entries with name, label, stands_for, in the study's order; ptlms: entries with name, label
    style     from `figure_style.style_with`
    note      shown below the panels
    """
    data = data[data["complete"]]
    colours = dataset_colours(datasets, style)
    marks = {
        entry["name"]: (style["markers"][i % len(style["markers"])], style["lines"][i % len(style["lines"])])
        for i, entry in enumerate(ptlms)
    }
    width, height = style["sizes"]["figure_1"]
    with rc_context(style["matplotlib"]):
        figure = Figure(figsize=(width * (1 + len(datasets)) / 4, height), layout="constrained")
        FigureCanvasAgg(figure)
        room = 0.14 if note else 0.1  # for the legend and the note
        figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))
        panels = figure.subplots(1, 1 + len(datasets))
        _simple_panel(panels[0], data, datasets, marks, colours)
        for index, entry in enumerate(datasets):
            axes = panels[1 + index]
            _relative_panel(axes, data[data["dataset"] == entry["name"]], marks, colours[entry["name"]])
            axes.set_title(f"({chr(ord('b') + index)}) Relative, {entry.get('label', entry['name'])}")
            axes.set_ylim(-0.02, 1.02)
            axes.set_ylabel("relative aggregate" if index == 0 else "")
        for axes in panels:
            axes.set_xlim(-0.02, 1.02)
            axes.set_xlabel("$w_p$ = PLW$^{0.30103}$")
            _plw_axis(axes)
        _legend(figure, datasets, ptlms, marks, colours, height=0.035 if note else -0.005)
        if note:
            figure.text(0.5, 0.005, note, ha="center", va="bottom", fontsize=7, color="#AA0000")
    return figure

"""Figure 10: the interaction of PLW and completion-prompt ratio in the three GAMs, as contours (App. D)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from plw.figures.axes import FITTED_RED, GREY, legend_and_note, new_figure, plw_axis, say_no_scores
from plw.figures.saving import drawing
from plw.figures.style import dataset_colours
from plw.scores.transform import from_w_p

PANELS = {"All": "all benchmarks", "MC": "multiple choice", "Gen": "generation without translation"}
COLOURS = "viridis"  # light to dark in even steps, also with red-green blindness
BANDS = 12
CSV_COLUMNS = ["fit", "covariate", "kind", "r_g", "w_p", "plw", "value", "starred", "extrapolated"]


def figure_data(gam: dict, *, covariate: str | None = None) -> pd.DataFrame:
    """What is drawn: rows of kind `surface` (value of the smooth on a grid) and `optimum` (largest over w_p at an R_g).

    gam        content of regression/gam.json; covariate: w_p | plw, the one that the file names if not given
    `value` is in units of the relative score, centred as mgcv centres a smooth; `plw` = w_p ** (1 / 0.30103).
    """
    covariate = covariate or gam["covariate"]
    rows = []
    for name in PANELS:
        fit = gam["fits"].get(name, {}).get(covariate, {})
        if not fit.get("grid"):
            continue
        grid, ridge = fit["grid"], {row["r_g"]: row for row in fit["ridge"]}
        for r_g, values in zip(grid["r_g"], grid["value"], strict=True):
            outside = ridge[r_g]["extrapolated"]
            rows += [
                (name, covariate, "surface", r_g, w_p, from_w_p(w_p), value, None, outside)
                for w_p, value in zip(grid["w_p"], values, strict=True)
            ]
        rows += [
            (name, covariate, "optimum", row["r_g"], row["w_p"], row["plw"], row["value"], row["starred"],
             row["extrapolated"])
            for row in fit["ridge"]
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=CSV_COLUMNS)


def note_of(gam: dict, datasets: Sequence[dict]) -> str:
    """What the fits lack: data sets, runs, benchmarks. Empty when nothing does."""
    labels = {entry["name"]: entry.get("label", entry["name"]) for entry in datasets}
    notes = [f"without {labels.get(e['dataset'], e['dataset'])}: {e['reason']}" for e in gam.get("left_out", [])]
    design = gam.get("design", {})
    if design.get("runs", 0) < design.get("runs_planned", 0):
        notes.append(f"{design['runs']} of {design['runs_planned']} runs")
    there = {entry.get("stands_for") for entry in datasets if entry["name"] in gam["levels"]}
    lacking = [name for name in ("AlpacaDataMedium", "AlpacaDataTiny") if name not in there]
    notes += [f"no data set in the place of {' and '.join(lacking)}"] if lacking else []
    for name in PANELS:
        absent = gam["fits"].get(name, {}).get("missing_benchmarks") or []
        notes += [f"{name} lacks {', '.join(absent)}"] if absent else []
    return "; ".join(notes)


def _surface(axes: Axes, rows: pd.DataFrame, bounds: Sequence[float] | np.ndarray):
    wide = rows[rows["kind"] == "surface"].pivot(index="r_g", columns="w_p", values="value")
    filled = axes.contourf(wide.columns, wide.index, wide, levels=bounds, cmap=COLOURS, extend="neither")
    axes.contour(wide.columns, wide.index, wide, levels=bounds, colors="white", linewidths=0.3, alpha=0.6)
    return filled


def _ridge(axes: Axes, rows: pd.DataFrame) -> None:
    """The optimum over R_g: solid with a dark edge where the weight matters, dotted where it hardly does."""
    best = rows[rows["kind"] == "optimum"].sort_values("r_g")
    starred = best["starred"].astype(bool).to_numpy()
    w_p, r_g = best["w_p"].to_numpy(), best["r_g"].to_numpy()
    # One piece from each R_g to the next; a jump from one border to the other is not a line.
    for place in range(len(best) - 1):
        if abs(w_p[place + 1] - w_p[place]) > 0.3:
            continue
        faint = starred[place] or starred[place + 1]
        part = slice(place, place + 2)
        line: dict[str, Any] = {"color": FITTED_RED, "clip_on": False, "zorder": 4}
        axes.plot(w_p[part], r_g[part], ":" if faint else "-", linewidth=1.4 if faint else 2.4, **line)


def _outside(axes: Axes, levels: Sequence[float], top: float) -> None:
    for low, high in ((0.0, min(levels)), (max(levels), top)):
        if high > low:
            axes.axhspan(low, high, facecolor="none", edgecolor="white", hatch="///", linewidth=0, alpha=0.5, zorder=2)


def _levels(axes: Axes, datasets: Sequence[dict], gam: dict, colours: dict) -> None:
    """A mark in the data set's colour on the right border at each R_g that the fit has seen."""
    for entry in datasets:
        if entry["name"] in gam["levels"]:
            axes.plot([1.035], [gam["levels"][entry["name"]]], marker="<", markersize=6, color=colours[entry["name"]],
                      markeredgecolor="white", markeredgewidth=0.4, clip_on=False, zorder=5)  # fmt: skip


def _handles(datasets: Sequence[dict], gam: dict, colours: dict) -> list:
    there = sorted((e for e in datasets if e["name"] in gam["levels"]), key=lambda e: gam["levels"][e["name"]])
    marks = [
        Line2D([], [], marker="<", linestyle="", color=colours[entry["name"]],
               label=f"{entry.get('label', entry['name'])}, R_g = {gam['levels'][entry['name']]:.3g}")
        for entry in there
    ]  # fmt: skip
    return [
        *marks,
        Line2D([], [], color=FITTED_RED, linewidth=2.4, label="best w_p"),
        Line2D([], [], color=FITTED_RED, linewidth=1.4, linestyle=":", label="best w_p, range under 5 %"),
        Patch(facecolor="#7C7B78", edgecolor="white", hatch="///", label="outside the data"),
    ]


def draw(data: pd.DataFrame, *, gam: dict, datasets: Sequence[dict], style: dict, note: str = "") -> Figure:
    """Draw one panel for each fit on one colour scale; a panel without a fit says why.

    data      from `figure_data`; gam: content of regression/gam.json
    datasets  entries with name, label, stands_for, in the study's order; note: shown below the panels
    """
    colours = dataset_colours(datasets, style)
    surface = data.loc[data["kind"] == "surface", "value"]
    with drawing(style):
        figure = new_figure(style["sizes"]["figure_10"])
        panels = figure.subplots(1, len(PANELS), sharey=True)
        filled = None
        bounds = MaxNLocator(BANDS).tick_values(surface.min(), surface.max()) if len(surface) else np.zeros(0)
        for index, (name, words) in enumerate(PANELS.items()):
            axes, rows = panels[index], data[data["fit"] == name]
            axes.grid(False)
            axes.set_title(f"({chr(ord('a') + index)}) {name}: {words}")
            if rows.empty:
                reason = gam["fits"].get(name, {}).get(gam["covariate"], {}).get("reason") or "not fitted"
                say_no_scores(axes, reason.replace("; ", ";\n"))
            else:
                filled = _surface(axes, rows, bounds)
                _outside(axes, list(gam["levels"].values()), float(rows["r_g"].max()))
                _ridge(axes, rows)
                _levels(axes, datasets, gam, colours)
                axes.set_ylim(0, float(rows["r_g"].max()))
            plw_axis(axes)
            axes.set_xlim(0, 1)
            axes.set_ylabel("$R_g$ (completion tokens / prompt tokens)" if index == 0 else "", parse_math=True)
        if filled is not None:
            bar = figure.colorbar(filled, ax=list(panels), pad=0.03, aspect=30, format="%.2f")
            bar.set_label("smooth, in units of the relative score", color=GREY)
            bar.outline.set_visible(False)
        legend_and_note(figure, _handles(datasets, gam, colours), note)
    return figure

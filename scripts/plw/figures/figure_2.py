"""Figure 2: what may explain the effect of the prompt loss weight (§5.3).

(a) stability of the training loss, (b) distance of the weights from the ptlm, (c) memorised training data, (d) length
of the answers to AlpacaEval's instructions. A third row is ours, not the paper's: (e) stability of the completion's
loss alone, (f) share of clipped updates, (g) size of the gradient; they tell a loss whose scale changes from a training
that does. Panel (a) has boxes of single windows, of all ptlms together; the other panels have one point per run. Runs
that normalise the loss in another way (experiment `losses`) are hollow marks, because the jump of the RSD above PLW 0
depends on it (docs/loss.md); a study has few of them, so no line joins them.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
from plw.scores.transform import to_w_p

# Panel -> (measure, title, label of the axis)
PANELS = {
    "a": ("rsd", "(a) Training loss stability", "RSD of five-step windows"),
    "b": ("weight_distance", "(b) Weight distance", "distance from the PTLM"),
    "c": ("memorisation_bleu", "(c) Training data memorisation", "corpus BLEU"),
    "d": ("generation_tokens", "(d) AlpacaEval generation length", "mean tokens"),
    "e": ("rsd_completion", "(e) Ours: completion's loss alone", "RSD of five-step windows"),
    "f": ("clipped_updates", "(f) Ours: clipped updates", "share of all updates"),
    "g": ("gradient_norm", "(g) Ours: gradient before clipping", "mean L2 norm"),
}
PANELS_WITH_ARM = ("a", "b", "e", "f", "g")
LAYOUT = ["aaabbb", "cccddd", "eeffgg"]
ARM_FILLS = ("white", "#B8B8B8")  # one per normalization, in alphabetical order
# Caption of Figure 2: quartiles, and whiskers at these quantiles.
QUANTILES = {"whisker_low": 0.09, "quartile_low": 0.25, "median": 0.5, "quartile_high": 0.75, "whisker_high": 0.91}
BOX_ROOM = 0.84  # share of the distance between neighbouring weights that the boxes of all data sets fill
COLUMNS = [
    "panel", "series", "normalization", "dataset", "ptlm", "plw", "w_p", "seed", "run", "measure", "statistic",
    "value", "n",
]  # fmt: skip


def read_measures(path: str | Path) -> pd.DataFrame:
    """mechanism.csv, with text where a name could pass for a number or for nothing."""
    text = dict.fromkeys(("run", "ptlm", "dataset", "normalization", "regularizer", "measure"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])


def figure_data(
    measures: pd.DataFrame, windows: pd.DataFrame, *, main: pd.DataFrame, arm: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All that is drawn, one number per row (COLUMNS); also the figure's CSV.

    measures  mechanism.csv;  windows  rsd_windows.csv
    main      rows of the run table that are drawn;  arm  those of the extra line (runs of main are left out)
    series is main or arm. statistic is `value` (of one run), or one of QUANTILES or `mean` of panel (a)'s boxes: over
    the windows of all ptlms and seeds, n of them, with empty ptlm, seed and run.
    """
    parts = [_run_rows(measures, main, "main", PANELS), _box_rows(windows, main)]
    if arm is not None:
        extra = arm[~arm["run"].isin(main["run"])]
        parts.append(_run_rows(measures, extra, "arm", PANELS_WITH_ARM))
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    order = ["panel", "series", "statistic", "dataset", "normalization", "ptlm", "plw", "seed"]
    rows = rows.sort_values(order, kind="stable", ascending=[True, False, False, *[True] * 5])
    return rows[COLUMNS].reset_index(drop=True)


def _run_rows(measures: pd.DataFrame, runs: pd.DataFrame, series: str, panels: Iterable[str]) -> pd.DataFrame:
    panel_of = {PANELS[panel][0]: panel for panel in panels}
    rows = measures[measures["run"].isin(runs["run"]) & measures["measure"].isin(panel_of)]
    return rows.assign(
        panel=rows["measure"].map(panel_of).astype(object),
        series=series,
        statistic="value",
        w_p=rows["plw"].astype(float).map(to_w_p),
    )


def _box_rows(windows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Quantiles and mean of the RSD over the windows of each data set and weight."""
    cells = runs[["run", "dataset", "plw", "normalization"]].astype({"plw": float})
    found = windows.dropna(subset="rsd").merge(cells, on="run")
    records = []
    for (dataset, plw, normalization), group in found.groupby(["dataset", "plw", "normalization"]):
        statistics = {name: group["rsd"].quantile(q) for name, q in QUANTILES.items()} | {"mean": group["rsd"].mean()}
        shared = {"panel": "a", "series": "main", "normalization": normalization, "dataset": dataset, "ptlm": ""}
        shared |= {"plw": plw, "w_p": to_w_p(plw), "run": "", "measure": "rsd", "n": len(group)}
        records += [shared | {"statistic": name, "value": value} for name, value in statistics.items()]
    return pd.DataFrame(records, columns=COLUMNS)


def missing_note(data: pd.DataFrame, *, planned: pd.DataFrame) -> str:
    """Which measures some of the runs lack; empty if none does.

    planned  rows of the run table that should be drawn
    A data set of which no run has a measure counts as left out on purpose, as memorisation is for most.
    """
    if planned.empty:
        return "the study has no such runs"
    notes = []
    for panel, (measure, _, _) in PANELS.items():
        rows = _main_values(data, panel)
        expected = int(planned["dataset"].isin(rows["dataset"]).sum())
        if 0 < rows["run"].nunique() < expected:
            notes.append(f"({panel}) {measure.replace('_', ' ')}: {rows['run'].nunique()} of {expected} runs")
    return "; ".join(notes)


def _main_values(data: pd.DataFrame, panel: str) -> pd.DataFrame:
    return data[(data["panel"] == panel) & (data["series"] == "main") & (data["statistic"] == "value")]


def _boxes(axes: Axes, data: pd.DataFrame, datasets: Sequence[dict], colours: dict) -> dict[str, float]:
    """Boxes of the RSD: those of the data sets stand side by side at each weight.

    Returns how far from the weight's place each data set's boxes stand, in w_p.
    """
    rows = data[(data["panel"] == "a") & (data["statistic"] != "value")]
    places = sorted(rows["w_p"].unique())
    gaps = [right - left for left, right in itertools.pairwise(places)]
    width = BOX_ROOM * min([*gaps, 0.1]) / max(len(datasets), 1)
    shifts = {entry["name"]: (index - (len(datasets) - 1) / 2) * width for index, entry in enumerate(datasets)}
    for name, shift in shifts.items():
        cells = rows[rows["dataset"] == name].pivot_table(index="w_p", columns="statistic", values="value")
        for w_p, cell in cells.iterrows():
            _box(axes, cell, w_p + shift, width=0.82 * width, colour=colours[name])
    return shifts


def _box(axes: Axes, cell: pd.Series, place: float, *, width: float, colour: str) -> None:
    line = {"color": colour, "linewidth": 0.8}
    axes.bxp(
        [{"whislo": cell["whisker_low"], "q1": cell["quartile_low"], "med": cell["median"],
          "q3": cell["quartile_high"], "whishi": cell["whisker_high"], "mean": cell["mean"]}],
        positions=[place],
        widths=width,
        patch_artist=True,
        showfliers=False,
        showmeans=True,
        manage_ticks=False,
        capwidths=0.6 * width,
        boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.55, "linewidth": 0.6},
        medianprops={"color": "black", "linewidth": 1.0},
        whiskerprops=line,
        capprops=line,
        meanprops={"marker": "D", "markersize": 2.2, "markerfacecolor": "white", "markeredgecolor": "black",
                   "markeredgewidth": 0.5},
    )  # fmt: skip


def _arm_fills(data: pd.DataFrame) -> dict[str, str]:
    """What a mark of each other normalization is filled with."""
    names = sorted(data.loc[data["series"] == "arm", "normalization"].unique())
    return {name: ARM_FILLS[index % len(ARM_FILLS)] for index, name in enumerate(names)}


def _arm_marks(axes: Axes, rows: pd.DataFrame, marks: dict, colours: dict, fills: dict, shifts: dict) -> None:
    """Every run of another normalization as a hollow mark, in (a) on the boxes of its own data set."""
    for (dataset, normalization, ptlm), part in rows.groupby(["dataset", "normalization", "ptlm"]):
        axes.plot(
            part["w_p"] + shifts.get(dataset, 0.0), part["value"], marker=marks[ptlm][0], linestyle="none",
            color=_darker(colours[dataset]), markerfacecolor=fills[normalization], markersize=4.5, zorder=5,
        )  # fmt: skip


def _darker(colour: str) -> tuple[float, float, float]:
    red, green, blue = to_rgb(colour)
    return 0.55 * red, 0.55 * green, 0.55 * blue


def _run_panel(axes: Axes, rows: pd.DataFrame, datasets: Sequence[dict], marks: dict, colours: dict) -> None:
    for entry in datasets:
        part = rows[rows["dataset"] == entry["name"]]
        runs_and_mean(axes, part, "value", marks, colours[entry["name"]])


def _legend_handles(
    data: pd.DataFrame, datasets: Sequence[dict], ptlms: Sequence[dict], marks: dict, colours: dict
) -> list[Line2D]:
    handles = key_handles(datasets, colours, ptlms, marks)
    labels = {entry["name"]: entry.get("label", entry["name"]) for entry in datasets}
    arm, fills = data[data["series"] == "arm"], _arm_fills(data)
    for dataset, normalization in arm[["dataset", "normalization"]].drop_duplicates().itertuples(index=False):
        if dataset in labels:
            text = f"{labels[dataset]}, loss by {normalization.replace('_', ' ')}"
            handles.append(
                Line2D([], [], color=_darker(colours[dataset]), linestyle="none", marker="o",
                       markerfacecolor=fills[normalization], markersize=4.5, label=text)
            )  # fmt: skip
    return handles


def draw(data: pd.DataFrame, *, datasets: Sequence[dict], ptlms: Sequence[dict], style: dict, note: str = "") -> Figure:
    """Draw the paper's four panels and our three; one that has no numbers says so.

    data      from `figure_data`
    datasets  entries with name, label, stands_for, in the study's order; ptlms: entries with name, label
    style     from `figure_style.style_with`
    note      shown below the panels
    """
    data = data[data["dataset"].isin([entry["name"] for entry in datasets])]
    colours, marks, fills = dataset_colours(datasets, style), ptlm_marks(ptlms, style), _arm_fills(data)
    with drawing(style):
        figure = new_figure(style["sizes"]["figure_2"])
        panels = figure.subplot_mosaic([list(row) for row in LAYOUT])
        for panel, (_, title, label) in PANELS.items():
            axes, shifts = panels[panel], {}
            axes.set_title(title)
            axes.set_ylabel(label)
            rows = _main_values(data, panel)
            if rows.empty:
                say_no_scores(axes, "not measured")
                axes.set_yticks([])
            elif panel == "a":
                shifts = _boxes(axes, data, datasets, colours)
            else:
                _run_panel(axes, rows, datasets, marks, colours)
            arm = data[(data["panel"] == panel) & (data["series"] == "arm")]
            _arm_marks(axes, arm, marks, colours, fills, shifts)
            plw_axis(axes)
            if panel == "a":
                axes.set_xlim(-0.045, 1.045)  # room for the boxes beside 0 and 1
            if len(axes.lines):
                highest = axes.dataLim.y1
                axes.set_ylim(0, max(axes.get_ylim()[1], 1.06 * highest))  # values that hardly differ stay inside
            if panel == "f":
                axes.set_ylim(-0.03, 1.03)  # a share
        legend_and_note(figure, _legend_handles(data, datasets, ptlms, marks, colours), note)
    return figure

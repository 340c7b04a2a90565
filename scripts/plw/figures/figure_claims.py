"""The claims at a glance (ours): where each estimate lies, the paper's region, and what chance alone would give.

Every claim has its own estimand, so all stand on one scale: how well the claim holds, in standard deviations of a world
without the effect, from that world's median. Right is in favour of the paper.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from plw.figures.saving import drawing

COLUMNS = [
    *(
        "claim",
        "family",
        "calibration",
        "verdict",
        "estimate",
        "low",
        "high",
        "region_low",
        "region_high",
        "region_from",
        "place",
    ),
    *("own_low", "own_high", "without_low", "without_high", "paper_low", "paper_high", "p_without", "p_paper", "text"),
]
MARKS = {"supported": ("✓", "#0a6b46"), "contradicted": ("✗", "#a02c1c"), "inconclusive": ("?", "#8a6d00")}
VERDICT, ESTIMATE, REGION = 1.03, 1.28, 1.74  # columns beside the axis, in its widths
REACH = (-5.0, 9.0)  # of the axis, in standard deviations; what lies beyond is drawn at the edge


def _pair(values: list | None) -> tuple[float, float]:
    low, high = values if values else (None, None)
    return (np.nan if low is None else low), (np.nan if high is None else high)


def figure_data(record: Mapping) -> pd.DataFrame:
    """COLUMNS of each claim of claims.json that is no diagnostic, families together, in their order of appearance."""
    rows = []
    for claim in record["claims"]:
        if claim["calibration"] == "diagnostic":
            continue
        scale, rates = claim.get("standardised") or {}, claim.get("rates") or {}
        place = scale.get("estimate")
        rows.append(
            {
                "claim": claim["id"],
                "family": claim["family"],
                "calibration": claim["calibration"],
                "verdict": claim["verdict"],
                "estimate": np.nan if claim["estimate"] is None else claim["estimate"],
                **dict(zip(("low", "high"), _pair(claim["interval"]), strict=True)),
                **dict(zip(("region_low", "region_high"), _pair(claim["region"]), strict=True)),
                "region_from": scale.get("region", np.nan),
                "place": np.nan if place is None else place,
                **dict(zip(("own_low", "own_high"), _pair(scale.get("own")), strict=True)),
                **dict(zip(("without_low", "without_high"), _pair(scale.get("without")), strict=True)),
                **dict(zip(("paper_low", "paper_high"), _pair(scale.get("paper")), strict=True)),
                "p_without": rates.get("p_without", np.nan),
                "p_paper": rates.get("p_paper", np.nan),
                "text": claim["text"].strip(),
            }
        )
    data = pd.DataFrame(rows, columns=COLUMNS)
    order = {name: place for place, name in enumerate(dict.fromkeys(data["family"]))}
    return data.sort_values("family", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def _number(value: float) -> str:
    return f"{value:.2g}".replace("-", "−") if abs(value) < 1e4 else f"{value:.1e}"


def _region(row) -> str:
    low, high = row.region_low, row.region_high
    if np.isnan(low) and np.isnan(high):
        return ""
    if np.isnan(low):
        return f"≤ {_number(high)}"
    if np.isnan(high):
        return f"> {_number(low)}" if low == 0 else f"≥ {_number(low)}"
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _estimate(row) -> str:
    if np.isnan(row.estimate):
        return "from other claims" if row.calibration == "verdicts" else "none" if row.p_paper >= 0 else "not measured"
    within = "" if np.isnan(row.low) else f" ({_number(row.low)}, {_number(row.high)})"
    return f"{_number(row.estimate)}{within}"


def _inside(values) -> np.ndarray:
    return np.clip(np.asarray(values, dtype=float), *REACH)


def draw(data: pd.DataFrame, *, style: dict, note: str = "") -> Figure:
    """One row a claim. data: as figure_data gives it."""
    with drawing(style):
        height = 1.2 + 0.235 * (len(data) + data["family"].nunique())
        figure = Figure(figsize=(10.6, height))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.31, right=0.66, bottom=0.62 / height, top=1 - 0.55 / height)
        at, labels, y = [], [], 0.0
        family = None
        for row in data.itertuples():
            if row.family != family:
                axes.text(REACH[0], y, row.family, fontweight="bold", va="center", ha="left", fontsize=8)
                family, y = row.family, y + 1
            _draw_row(axes, row, y)
            at.append(y)
            labels.append(f"{row.claim}  {_short(row.text)}")
            y += 1
        axes.set_yticks(at, labels, fontsize=7)
        axes.set_ylim(y - 0.4, -0.8)
        axes.set_xlim(*REACH)
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=0)
        axes.set_xlabel("how well the claim holds, in standard deviations of a world without the effect")
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        for x, title in ((VERDICT, "verdict"), (ESTIMATE, "estimate (95 %)"), (REGION, "by the paper")):
            axes.text(x, 1.005, title, transform=axes.transAxes, fontsize=7.5, fontweight="bold", va="bottom")
        handles = [
            Patch(color="#d9e9f5", label="in the paper's region"),
            Line2D([], [], color="#b0b0b0", linewidth=6, label="90 % of worlds without the effect"),
            Line2D([], [], color="#0072B2", linewidth=2, label="90 % of the paper's worlds"),
            Line2D([], [], color="black", marker="o", linewidth=1, label="this study, 90 %"),
        ]
        figure.legend(handles=handles, loc="upper left", ncols=4, fontsize=7.5)
        if note:
            figure.text(0.01, 0.1 / height, note, fontsize=7, color="#555555")
    return figure


def _short(text: str, *, most: int = 56) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rsplit(' ', 1)[0]} …"


def _draw_row(axes, row, y: float) -> None:
    mark, colour = MARKS[row.verdict]
    if not np.isnan(row.region_from):
        axes.barh(
            y,
            REACH[1] - _inside(row.region_from),
            left=_inside(row.region_from),
            height=0.86,
            color="#d9e9f5",
            zorder=0,
        )
        axes.plot(
            _inside([row.without_low, row.without_high]), [y, y], color="#b0b0b0", linewidth=6, solid_capstyle="butt"
        )
        axes.plot(
            _inside([row.paper_low, row.paper_high]), [y + 0.3] * 2, color="#0072B2", linewidth=2, solid_capstyle="butt"
        )
        axes.plot(_inside([row.own_low, row.own_high]), [y, y], color="black", linewidth=1)
        place = REACH[0] if np.isnan(row.place) else float(_inside(row.place))
        beyond = "<" if place <= REACH[0] else ">" if place >= REACH[1] else "o"
        axes.plot(place, y, color=colour, marker=beyond, markersize=5, markeredgecolor="black", clip_on=False, zorder=5)
    told = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 7}
    axes.text(VERDICT, y, f"{mark} {row.verdict}", color=colour, fontweight="bold", **told)
    axes.text(ESTIMATE, y, _estimate(row), color="#333333", **told)
    axes.text(REGION, y, _region(row), color="#333333", **told)

"""Aggregates of runs that are compared across data sets or regularizers (§6, App. C).

Unlike Figure 1, where each data set has a min-max scale of its own, all runs that stand on one figure or table share
one scale for each benchmark, so that their relative scores can be compared. Translation (group III) is left out, as in
the paper's supplemental experiments (§6).
"""

from collections.abc import Sequence

import pandas as pd

from plw.scores.table import add_w_p, relative_scores
from plw.study.runs import RUN_COLUMNS

GROUPS = ("I", "II")  # App. B; group III is translation
MEASURES = ("simple", "relative", "relative_I", "relative_II")


def compared_benchmarks(benchmarks: Sequence[dict]) -> list[dict]:
    """The registry entries of groups I and II."""
    return [entry for entry in benchmarks if entry.get("group") in GROUPS]


def pooled_aggregate(frame: pd.DataFrame, benchmarks: Sequence[dict]) -> pd.DataFrame:
    """One row per run: aggregates over the benchmarks of groups I and II on one scale for all runs of the frame.

    frame       primary scores of all runs that are compared
    benchmarks  registry entries with name and group
    Returns RUN_COLUMNS, w_p, MEASURES (0–1; NaN where a run has no benchmark of the group), `benchmarks` (how many the
    run has) and `complete` (has all that any run has: means over different benchmarks cannot be compared).
    """
    groups = {entry["name"]: entry["group"] for entry in compared_benchmarks(benchmarks)}
    frame = frame[frame["benchmark"].isin(groups)]
    scaled = add_w_p(relative_scores(frame, within=("benchmark",)))
    kind = scaled["benchmark"].map(groups)
    for group in GROUPS:
        scaled[f"relative_{group}"] = scaled["relative"].where(kind == group)
    rows = scaled.groupby([*RUN_COLUMNS, "w_p"], sort=False, dropna=False).agg(
        simple=("score", "mean"),
        relative=("relative", "mean"),
        relative_I=("relative_I", "mean"),
        relative_II=("relative_II", "mean"),
        benchmarks=("benchmark", "nunique"),
    )
    return rows.reset_index().assign(complete=lambda rows: rows["benchmarks"] == scaled["benchmark"].nunique())

"""The curve of a finished study's scores over the prompt loss weight at any ratio R_g, for `plw recommend`.

The paper's Table 5 reads the optimum off a GAM of scores by PLW and ratio (App. D). For a recommendation its
uncertainty counts as much, so runs are the units here and not scores of single benchmarks, which share a run's luck:
see curve_at_ratio in gam.R.
"""

from collections.abc import Sequence

import pandas as pd

from plw.scores.table import add_w_p, relative_scores
from plw.scores.transform import from_w_p
from plw.statistics.gam import GAM_FILES
from plw.statistics.r_calls import call_r

STEP = 0.01  # of the grid in w_p, as the paper's
LEVEL = 0.9  # of the interval
FLAT_ALPHA = 0.05  # surfaces are called flat above this p; calibrated in tests/statistics/test_weight_curve.py
LEAST_WEIGHTS = 3  # a parabola's


def run_curves(frame: pd.DataFrame, levels: dict[str, float], benchmarks: Sequence[str]) -> pd.DataFrame:
    """One row per run: score (mean relative score), w, r (R_g) and curve (ptlm, data set and seed).

    frame       primary scores of plain runs; levels: data set -> R_g
    benchmarks  that are averaged; a run that lacks one of those that its data set has is left out, as is a benchmark on
                which all runs of a data set score the same
    """
    frame = frame[frame["dataset"].isin(levels) & frame["benchmark"].isin(benchmarks)]
    scores = frame.groupby(["dataset", "benchmark"])["score"]
    frame = frame.loc[(scores.transform("max") > scores.transform("min")).astype(bool)]
    if frame.empty:
        return pd.DataFrame(columns=["score", "w", "r", "curve"])
    frame = add_w_p(relative_scores(frame))
    wanted = frame.groupby("dataset")["benchmark"].nunique()
    cells = ["run", "ptlm", "dataset", "seed", "w_p"]
    rows = frame.groupby(cells, sort=True).agg(score=("relative", "mean"), count=("benchmark", "nunique")).reset_index()
    rows = rows[rows["count"] == rows["dataset"].map(wanted)]
    curve = rows["ptlm"] + " " + rows["dataset"] + " " + rows["seed"].astype(str)
    rows = rows.assign(curve=curve, r=rows["dataset"].map(levels)).rename(columns={"w_p": "w"})
    several = rows.groupby("curve")["w"].transform("nunique") > 1  # one weight says nothing of a curve
    return rows.loc[several, ["score", "w", "r", "curve"]].reset_index(drop=True)


def why_no_curve(rows: pd.DataFrame) -> str | None:
    """Why `rows` of `run_curves` cannot say where the best weight is; None if they can."""
    if rows.empty:
        return "the study has no scores that differ on these benchmarks"
    if rows["w"].nunique() < LEAST_WEIGHTS:
        return f"the study has {rows['w'].nunique()} weights; where a curve bends takes {LEAST_WEIGHTS}"
    wanted = rows["curve"].nunique() + 2 * min(rows["r"].nunique(), 3)
    if len(rows) <= wanted + 1:
        return f"the study has {len(rows)} runs; its curves need more than {wanted + 1}"
    return None


def weight_curve(rows: pd.DataFrame, ratio: float, *, samples: int = 4000, seed: int = 123) -> dict:
    """Best weight at a ratio with its interval, and whether the curve is flat there.

    rows   from `run_curves`, for which `why_no_curve` is None
    ratio  R_g > 0; outside the ratios of `rows` the nearest of them is taken, and `extrapolated` says so
    Returns plw, low, high (LEVEL interval), p_flat, flat, range (of the curve, relative scores), r_g, extrapolated, rho
    (correlation of neighbouring runs), runs, and curve [{w_p, score}], centred.
    """
    lowest, highest = float(rows["r"].min()), float(rows["r"].max())
    at = min(max(ratio, lowest), highest)
    grid = [round(place * STEP, 10) for place in range(round(1 / STEP) + 1)]
    found = call_r(
        "curve_at_ratio",
        rows,
        files=GAM_FILES,
        packages=("mgcv", "nlme"),
        w_grid=grid,
        ratio=at,
        samples=samples,
        seed=seed,
        alpha=1 - LEVEL,
    )
    if found["error"]:
        return {"error": found["error"]}
    weights = {name: from_w_p(grid[int(found[name]) - 1]) for name in ("best", "low", "high")}
    return {
        "error": None,
        "plw": weights["best"],
        "low": weights["low"],
        "high": weights["high"],
        "p_flat": found["p_flat"],
        "flat": found["p_flat"] > FLAT_ALPHA,
        "range": found["range"],
        "rho": found["rho"],
        "runs": len(rows),
        "r_g": at,
        "ratios": [lowest, highest],
        "extrapolated": at != ratio,
        "curve": [{"w_p": w, "score": score} for w, score in zip(grid, found["predicted"], strict=True)],
    }

"""Item-level model of one data set's scores (ours): successes and failures as a smooth curve in w_p (item_model.R).

It stands beside the paper's regression (§5.2) and needs no min-max scale, no squeeze and no treatment of benchmarks on
which all runs score the same. Only the score table is read: a benchmark's number of items and standard errors say what
a score weighs.
"""

import numpy as np
import pandas as pd

from plw.scores.table import add_w_p
from plw.scores.transform import from_w_p
from plw.statistics.r_calls import R_FILES, call_r

ITEM_FILES = (*R_FILES, R_FILES[0].with_name("item_model.R"))
BINARY, GRADED = "binary", "graded"

DEFAULTS = {
    "knots": 4,  # degrees of freedom of the spline; fewer where there are fewer than six PLWs
    "samples": 2000,
    "alpha": 0.05,  # §3
    "seed": 123,
}


def item_weights(part: pd.DataFrame) -> dict:
    """How one benchmark's scores enter: {kind: binary | graded, size: items that a score weighs} or {reason}.

    part  primary scores of the benchmark with score, stderr and n
    binary  every score is a whole number of right answers out of n, and its standard error that of such a share
    graded  all else (BLEU, probability mass, verdicts with ties): a binomial share of `size` items has the variance
            that the scores' standard errors say, so `size` = Σ p (1 − p) / Σ stderr² over the runs
    """
    score, n = part["score"].to_numpy(float), part["n"].to_numpy(float)
    error = part["stderr"].to_numpy(float)
    if not np.isfinite(n).all() or (n < 1).any():
        return {"reason": "its number of items is not known"}
    if score.min() == score.max() and score.min() in (0.0, 1.0):
        return {"reason": f"all runs score {score.min():g}"}
    spread = score * (1 - score)
    known = np.isfinite(error)
    whole = np.allclose(score * n, np.round(score * n), atol=1e-6)
    if whole and np.allclose(error[known] ** 2 * np.maximum(n[known] - 1, 1), spread[known], rtol=0.05, atol=1e-6):
        return {"kind": BINARY, "size": float(n.max())}
    if not known.all() or np.sum(error**2) == 0:
        return {"reason": "its scores are no shares of right answers and have no standard errors"}
    return {"kind": GRADED, "size": float(max(np.sum(spread) / np.sum(error**2), 1.0))}


def item_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The rows that R fits (successes, failures, w_p, benchmark, ptlm, seed), and each benchmark's `item_weights`."""
    weights = {name: item_weights(part) for name, part in frame.groupby("benchmark", sort=False)}
    frame = add_w_p(frame[frame["benchmark"].map(lambda name: "kind" in weights[name])])
    binary = frame["benchmark"].map(lambda name: weights[name]["kind"] == BINARY).astype(bool)
    size = frame["n"].where(binary, frame["benchmark"].map(lambda name: weights[name]["size"])).astype(float)
    successes = (frame["score"] * size).where(~binary, (frame["score"] * size).round())
    rows = frame.assign(successes=successes.astype(float), failures=(size - successes).clip(lower=0.0))
    rows = rows.sort_values(["benchmark", "ptlm", "seed", "plw"])
    columns = {"successes": float, "failures": float, "w_p": float, "benchmark": str, "ptlm": str, "seed": str}
    return rows[list(columns)].astype(columns), weights


def fit_item_model(frame: pd.DataFrame, *, settings: dict | None = None) -> dict:
    """The model of one data set's primary scores: the key `item_model` of regression/DATASET.checks.json.

    settings  changes to DEFAULTS
    Returns formula, converged, warnings, error, n, treated {benchmark: `item_weights`}, curves (ptlm × seed), and
      test      {statistic, df, p}: F test of a flat mean curve, over the benchmarks' own curves
      optimum   {w_p, plw: the mean curve's largest value; set: all places that are not refuted as its maximum, as spans
                {low, high} in w_p and plw; inside: probability that the maximum lies inside (0, 1); inside_if_flat: the
                same for a flat curve; note}
      curve     {w_p, logit, se}: the mean curve about its own mean
      variances {term: {sd, …}}
      reason    None, or why there is no fit (the rest is then absent)
    """
    settings = {**DEFAULTS, **(settings or {})}
    rows, treated = item_rows(frame)
    plws = rows["w_p"].nunique()
    found = {"reason": None, "treated": treated, "curves": int(rows[["ptlm", "seed"]].drop_duplicates().shape[0])}
    if rows["benchmark"].nunique() < 3:
        return {**found, "reason": f"a mean over benchmarks needs three; {rows['benchmark'].nunique()} can be used"}
    if plws < 4:
        return {**found, "reason": f"a curve of any shape needs four PLWs; there are {plws}"}
    knots = float(min(settings["knots"], plws - 2))
    answer = call_r("fit_items", rows, files=ITEM_FILES, df=knots,
                    **{key: settings[key] for key in ("samples", "seed", "alpha")})  # fmt: skip
    optimum = answer.get("optimum")
    if optimum:
        for span in optimum["set"]:
            span |= {"plw_low": from_w_p(span["low"]), "plw_high": from_w_p(span["high"])}
        optimum["plw"] = from_w_p(optimum["w_p"])
        optimum["note"] = _one_seed(rows)
    return {**found, **answer, "knots": knots}


def _one_seed(rows: pd.DataFrame) -> str | None:
    if rows.groupby("ptlm")["seed"].nunique().max() > 1:
        return None
    return (
        "One seed for each PTLM: luck that all benchmarks of a run share cannot be told from an effect; where a third "
        "of the luck is shared, a flat curve is rejected in 20 % of simulated studies instead of 5 %."
    )

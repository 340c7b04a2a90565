"""GAMs of relative scores on the prompt loss weight and the completion-prompt ratio R_g (paper App. D).

The models are in gam.R. The paper's text names the weight itself as covariate; its printed optima lie on a grid of
w_p in steps of 0.01. Both readings are fitted, and both are searched on that grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from plw.errors import InputError
from plw.scores.scale import constant_groups, is_constant
from plw.scores.table import add_w_p, relative_scores, select_runs
from plw.scores.transform import from_w_p
from plw.statistics.r_calls import R_FILES, call_r

ROLES = ("AlpacaData", "AlpacaDataCleaned", "AlpacaDataShort", "AlpacaDataMedium", "AlpacaDataTiny")  # App. D
EXPERIMENTS = ("main", "ratios")  # where their runs are
COVARIATES = ("w_p", "plw")
GAM_FILES = (*R_FILES, R_FILES[0].with_name("gam.R"))

DEFAULTS = {
    "covariate": "w_p",  # the reading that tables and figures show
    "k": 3,  # App. D
    "grid_step": 0.01,  # in w_p: the step on which all of Table 5's unstarred optima lie
    "ratios": [8.0 - 0.5 * place for place in range(16)],  # Table 5's rows
    "star_share": 0.05,  # Table 5's footnote
    "samples": 2000,  # draws from the posterior; ours, as are the intervals
    "alpha": 0.05,  # §3
    "seed": 123,
}


def fit_members(benchmarks: Sequence[dict]) -> dict[str, list[str]]:
    """Benchmarks of the three fits (App. D): all; multiple choice; generation without translation (group III)."""
    return {
        "All": [entry["name"] for entry in benchmarks],
        "MC": [entry["name"] for entry in benchmarks if entry["type"] == "MC"],
        "Gen": [e["name"] for e in benchmarks if e["type"] in ("GS", "GL") and e["group"] != "III"],
    }


def ratio_levels(
    datasets: Sequence[dict], statistics: dict[str, dict], given: dict[str, float] | None = None
) -> tuple[dict[str, float], dict[str, str], list[dict]]:
    """R_g of each data set of App. D.

    datasets    entries with name, stands_for; only those that stand for one of ROLES are taken
    statistics  data set -> content of its statistics.json; given: data set -> R_g, which comes first
    Returns levels {name: R_g}, sources {name: where from}, and what was left out [{dataset, reason}].
    Raises InputError for a given ratio that is not a positive number.
    """
    levels, sources = {}, {}
    left_out: list[dict] = []
    given = given or {}
    for entry in datasets:
        name = entry["name"]
        if entry.get("stands_for") not in ROLES:
            continue
        if name in given:
            value, source = given[name], "given"
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise InputError("R_g must be a positive number.", value=value, where=f"--ratios, {name}")
        else:
            value = statistics.get(name, {}).get("r_g", {}).get("ratio_of_mean_tokens")
            source = "ratio of the data set's mean tokens"
        if value is None:
            left_out.append({"dataset": name, "reason": "its R_g is not known (no statistics.json, none given)"})
        else:
            levels[name], sources[name] = float(value), source
    return levels, sources, left_out


def gam_rows(frame: pd.DataFrame, levels: dict[str, float], *, constant: bool = False) -> pd.DataFrame:
    """The rows that R fits: score (relative), w_p, plw, r, benchmark and seed, in a fixed order.

    frame     primary scores; min-max scaled per benchmark within each data set, ptlms pooled
    constant  whether benchmarks stay in, at 0.5, on which all runs of a data set score the same: they say nothing
    """
    frame = frame[frame["dataset"].isin(levels)]
    if not constant:
        scores = frame.groupby(["dataset", "benchmark"])["score"]
        frame = frame.loc[~is_constant(scores.transform("min"), scores.transform("max")).astype(bool)]
    frame = add_w_p(relative_scores(frame))
    frame = frame.assign(r=frame["dataset"].map(levels)).sort_values(["benchmark", "dataset", "ptlm", "seed", "plw"])
    rows = frame[["relative", "w_p", "plw", "r", "benchmark", "seed"]].rename(columns={"relative": "score"})
    return rows.astype({"score": float, "w_p": float, "plw": float, "r": float, "benchmark": str, "seed": str})


def why_no_fit(rows: pd.DataFrame, settings: dict) -> str | None:
    """Why `rows` cannot carry the model; None if they can. A margin of k knots needs k different values."""
    if rows.empty:
        return "no scores of these benchmarks"
    for name, what in (("r", "ratios R_g"), ("w_p", "PLWs")):
        if rows[name].nunique() < settings["k"]:
            return f"only {rows[name].nunique()} different {what}; te(w, r, k = {settings['k']}) needs {settings['k']}"
    if is_constant(rows["score"].min(), rows["score"].max()):
        return "all scores are equal"
    return None


def fit_gam(rows: pd.DataFrame, *, covariate: str, settings: dict, method: str = "GCV.Cp") -> dict:
    """One GAM and its optima.

    rows  from `gam_rows`, of the benchmarks of one fit; covariate: w_p | plw; method: of mgcv, GCV.Cp | REML
    Returns formula, n, edf, deviance_explained, warnings, score_range, …
      rows   [{r_g, w_p, plw, low, high (PLW, interval), low_w_p, high_w_p, range, range_share, starred, extrapolated}]
             at settings["ratios"]; `range` is that of the predicted smooth over the weights at this ratio, its share
             is of the response's range (largest minus smallest relative score in the fit)
      ridge  the same without intervals at each R_g of `grid`
      grid   {w_p: […], r_g: […], value: one list over w_p for each R_g}, value = the predicted smooth
      reason None, or why there is no fit (then rows, ridge are empty and grid is None)
    """
    reason = why_no_fit(rows, settings)
    empty: dict[str, Any] = {"reason": reason, "rows": [], "ridge": [], "grid": None, "n": len(rows), "warnings": []}
    if reason:
        return empty
    w_p = _weights(settings["grid_step"])
    searched = w_p if covariate == "w_p" else [from_w_p(value) for value in w_p]
    lowest, highest = float(rows["r"].min()), float(rows["r"].max())
    top = max(highest, *settings["ratios"])
    r_grid = np.round(np.linspace(0.0, top, 41), 6).tolist()
    shown = list(range(1, len(w_p) + 1, 2))
    answer = call_r(
        "analyse_gam",
        rows.rename(columns={covariate: "w"})[["score", "w", "r", "benchmark", "seed"]],
        files=GAM_FILES,
        packages=("mgcv",),
        w_grid=searched,
        ratios=[float(value) for value in settings["ratios"]],
        r_grid=r_grid,
        places=[float(place) for place in shown],
        method=method,
        **{key: settings[key] for key in ("k", "samples", "seed", "alpha")},
    )
    error = answer.pop("error")
    if error:
        said = f"mgcv stopped: {error}"
        return {**empty, "reason": said, "formula": answer["formula"], "warnings": answer["warnings"]}

    def row(found: dict) -> dict:
        share = found["range"] / answer["score_range"]
        best = w_p[found["best"] - 1]
        result = {"r_g": float(found["r_g"]), "w_p": best, "plw": from_w_p(best)}
        if "low" in found:
            for name in ("low", "high"):
                result[f"{name}_w_p"] = w_p[int(found[name]) - 1]
                result[name] = from_w_p(result[f"{name}_w_p"])
        return result | {
            "value": found["value"],
            "range": found["range"],
            "range_share": share,
            "starred": share < settings["star_share"],
            "extrapolated": not lowest <= found["r_g"] <= highest,
        }

    grid = {"w_p": [w_p[place - 1] for place in shown], "r_g": r_grid, "value": answer.pop("values")}
    rows_of = {name: [row(found) for found in answer[name]] for name in ("rows", "ridge")}
    return {"reason": None, **answer, **rows_of, "grid": grid}


def _weights(step: float) -> list[float]:
    count = round(1 / step)
    if not 2 <= count <= 1000 or abs(count * step - 1) > 1e-9:
        raise InputError("The grid's step must divide 1.", value=step, where="grid_step", hint="The paper's is 0.01.")
    return [place / count for place in range(count + 1)]


def gam_scores(frame: pd.DataFrame, runs: pd.DataFrame | None, levels: dict[str, float]) -> tuple[pd.DataFrame, dict]:
    """Primary scores of plain runs on the data sets in `levels`, and how much of the design is there.

    frame  primary scores; runs: rows of the run table of EXPERIMENTS, or None
    Regularised runs are left out; several loss normalizations are an InputError. `constant` names what scores the same
    in all runs of a data set: 0.5 after min-max scaling, and silent about the weight.
    """
    if runs is not None:
        runs = runs[(runs["regularizer"] == "none") & runs["dataset"].isin(levels)]
        frame = frame[frame["run"].isin(runs["run"])]
    frame = select_runs(frame[frame["dataset"].isin(levels)])
    planned = frame["run"].nunique() if runs is None else runs["run"].nunique()
    rows = {name: int((frame["dataset"] == name).sum()) for name in levels}
    constant = [f"{benchmark} on {dataset}" for dataset, benchmark in constant_groups(frame, ["dataset", "benchmark"])]
    design = {"runs": int(frame["run"].nunique()), "runs_planned": int(planned), "rows": rows, "constant": constant}
    return frame, design


def _beside(rows: pd.DataFrame, whole: pd.DataFrame, covariate: str, settings: dict) -> dict:
    """`fit_gam` by mgcv's defaults, with what it is by REML and with constant benchmarks in."""
    fit = fit_gam(rows, covariate=covariate, settings=settings)
    others = {"reml": fit_gam(rows, covariate=covariate, settings=settings, method="REML")}
    if len(whole) > len(rows):
        others["with_constant"] = fit_gam(whole, covariate=covariate, settings=settings)
    kept = {name: {key: value for key, value in other.items() if key not in ("ridge", "grid")}
            for name, other in others.items()}  # fmt: skip
    return fit | kept


def fit_gams(
    frame: pd.DataFrame,
    *,
    levels: dict[str, float],
    benchmarks: Sequence[dict],
    settings: dict | None = None,
) -> dict:
    """All fits: {"fits": {All | MC | Gen: {w_p | plw: `fit_gam`, benchmarks: […]}}, "covariate", "settings"}.

    Beside mgcv's defaults each fit has `reml` (smoothing by REML, intervals that allow for its uncertainty) and, where
    benchmarks are constant on a data set, `with_constant` (those in, at 0.5); both without `ridge` and `grid`.

    frame     primary scores of plain runs (`gam_scores`); levels: data set -> R_g
    settings  changes to DEFAULTS
    """
    settings = {**DEFAULTS, **(settings or {})}
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError("Unknown settings of the GAMs.", value=unknown, hint=f"Known: {', '.join(DEFAULTS)}")
    if settings["covariate"] not in COVARIATES:
        raise InputError("Unknown covariate.", value=settings["covariate"], hint=" or ".join(COVARIATES))
    rows, whole = gam_rows(frame, levels), gam_rows(frame, levels, constant=True)
    fits: dict[str, dict] = {}
    for name, members in fit_members(benchmarks).items():
        part = rows[rows["benchmark"].isin(members)]
        there = [member for member in members if member in set(part["benchmark"])]
        all_rows = whole[whole["benchmark"].isin(members)]
        fits[name] = {covariate: _beside(part, all_rows, covariate, settings) for covariate in COVARIATES}
        fits[name] |= {"benchmarks": there, "missing_benchmarks": [m for m in members if m not in there]}
    return {"fits": fits, "covariate": settings["covariate"], "settings": settings}

"""Regression of the relative aggregate on the transformed prompt loss weight (paper §5.2, App. E.3).

The models are in glmm.R and residuals.R; this module checks the design, hands the data over and reads the answer.
"""

import pandas as pd

from plw.errors import InputError
from plw.scores.scale import constant_groups
from plw.scores.table import add_w_p, relative_scores
from plw.statistics.r_calls import call_r, call_rscript
from plw.study.design import LEAST_LEVELS, LEAST_SCORES

DEFAULTS = {
    "squeeze": "smithson_verkuilen",  # protocol: the usual rule; §5.2 does not say how 0 and 1 were treated
    "squeeze_alternatives": ["clamp_0.01", "clamp_0.001"],
    "poly": "raw",  # Table 3's coefficients have the printed vertex only in the raw basis
    "alpha": 0.05,  # §3
    "reduced_models": True,
    "sensitivity": True,
    "simulations": 250,  # DHARMa's default, with its default seed 123
    "seed": 123,
}


def design_of(frame: pd.DataFrame, *, benchmarks: list[str] | None = None, runs: int | None = None) -> dict:
    """Levels of the design in `frame`, and how many of its rows are there.

    benchmarks  names that the design has; those of the frame if not given
    runs        number of runs that the design has; the cross of ptlm, plw and seed in the frame if not given
    """
    sizes = {name: int(frame[name].nunique()) for name in ("ptlm", "plw", "seed")}
    found = list(frame["benchmark"].unique())
    benchmarks = found if benchmarks is None else benchmarks
    runs = sizes["ptlm"] * sizes["plw"] * sizes["seed"] if runs is None else runs
    return {
        "rows": len(frame),
        "expected_rows": runs * len(benchmarks),
        "complete": len(frame) == runs * len(benchmarks),
        "benchmarks": len(found),
        "missing_benchmarks": [name for name in benchmarks if name not in found],
        "ptlms": sizes["ptlm"],
        "plws": sizes["plw"],
        "seeds": sizes["seed"],
    }


def check_design(frame: pd.DataFrame, design: dict, *, dataset: str, allow_partial: bool) -> None:
    """InputError where the model cannot be fitted, or where rows are missing and that is not allowed."""
    where = f"scores of data set {dataset!r}"
    if frame.empty:
        raise InputError("There are no scores to fit.", where=where, hint="Run or supply scores of this data set.")
    if design["plws"] < LEAST_LEVELS:
        raise InputError(
            "A parabola in w_p needs at least three different PLWs.",
            value=sorted(frame["plw"].unique().tolist()),
            where=where,
        )
    if design["rows"] < LEAST_SCORES:
        hint = f"At least {LEAST_SCORES}."
        raise InputError("Too few rows for the mixed model.", value=design["rows"], where=where, hint=hint)
    if not design["complete"] and not allow_partial:
        raise InputError(
            f"Only {design['rows']} of {design['expected_rows']} rows of the design are there.",
            value=[f"no scores of {name}" for name in design["missing_benchmarks"]] or None,
            where=where,
            hint="Make the missing runs (missing.json lists them), or set allow_partial to fit the rest.",
        )


def regression_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that R is given: relative score, w_p, benchmark, ptlm, seed and constant, in a fixed order.

    frame  one data set's primary scores; min-max scaled per benchmark over all ptlms (§5.2)
    `constant` is 1 on a benchmark that all runs score the same on, else 0: R leaves such rows out (glmm.R).
    """
    flat = constant_benchmarks(frame)
    frame = add_w_p(relative_scores(frame)).sort_values(["benchmark", "ptlm", "seed", "plw"])
    frame = frame.assign(constant=frame["benchmark"].isin(flat).astype(float))
    rows = frame[["relative", "w_p", "benchmark", "ptlm", "seed", "constant"]].rename(columns={"relative": "score"})
    return rows.astype({"score": float, "w_p": float, "benchmark": str, "ptlm": str, "seed": str})


def constant_benchmarks(frame: pd.DataFrame) -> list[str]:
    """Benchmarks on which all runs score the same: 0.5 after min-max scaling, and silent about w_p.

    They are left out of the fits as they are out of the claims; a sensitivity row has them in.
    """
    return constant_groups(frame, "benchmark")


def fit_dataset(
    frame: pd.DataFrame,
    *,
    dataset: str,
    settings: dict | None = None,
    benchmarks: list[str] | None = None,
    runs: int | None = None,
    allow_partial: bool = False,
    engine: str = "rpy2",
) -> dict:
    """Mixed model, sensitivity fits and residual tests of one data set.

    frame     primary scores of the data set, one row per run and benchmark
    settings  changes to DEFAULTS
    benchmarks, runs  what a complete design has, see `design_of`
    engine    rpy2 | rscript; the numbers are the same
    Returns the JSON-able content of regression/DATASET.json. A p-value never stands alone: each fit carries
    `converged`, the optimiser's messages and the captured warnings.
    """
    settings = {**DEFAULTS, **(settings or {})}
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError("Unknown settings of the regression.", value=unknown, hint=f"Known: {', '.join(DEFAULTS)}")
    design = design_of(frame, benchmarks=benchmarks, runs=runs)
    check_design(frame, design, dataset=dataset, allow_partial=allow_partial)
    rows = regression_rows(frame)
    answer = call_rscript(rows, **settings) if engine == "rscript" else call_r("analyse_scores", rows, **settings)
    fit = answer["fit"]
    test = fit.get("test", {}).get("wald", {})
    return {
        "dataset": dataset,
        "model": "score ~ poly(w_p, 2) + (0 + poly(w_p, 2) | benchmark) + (1 | ptlm), beta family, logit",
        "response": "relative aggregate: min-max per benchmark, ptlms pooled",
        "settings": settings,
        "design": design,
        "constant_benchmarks": constant_benchmarks(frame),
        "zeros": int((rows["score"] == 0).sum()),
        "ones": int((rows["score"] == 1).sum()),
        "converged": fit["converged"],
        "significant": bool(test.get("p") is not None and test["p"] < settings["alpha"]),
        **answer,
        "engine": engine,
    }

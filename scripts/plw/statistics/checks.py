"""What a careful reader would ask of the regression (§5.2): is it the chosen test, one benchmark, or the few items?

Checks that do not lean on the mixed model's assumptions, or show how it moves:
- permutation: PLWs exchanged among whole runs of a ptlm, so that what a run's benchmarks share stays together;
- seeds: PLW against PLW × seed, whole curves as replicates (seeds.py);
- item_model: successes and failures as a curve of any shape (item_model.py);
- leave_one_out: the mixed model without each benchmark in turn;
- bootstrap over benchmark items, the same items for all runs (paired).
Permutation, seeds and bootstrap work on a run's relative aggregate (mean over benchmarks of the min-max scaled scores)
and its ordinary least squares parabola in w_p with the ptlm as a factor.
"""

import math
import time

import numpy as np
import pandas as pd

from plw.errors import InputError
from plw.statistics.item_model import fit_item_model
from plw.statistics.r_calls import R_FILES, call_r
from plw.statistics.regression import regression_rows
from plw.statistics.resampling import critical_plw_bootstrap, item_matrices, paired_difference, resampled_aggregates
from plw.statistics.runs import Runs, centred, complete_runs, parabola_columns, relative_aggregate, why_no_parabola
from plw.statistics.seeds import seed_test

CHECK_FILES = (*R_FILES, R_FILES[0].with_name("leave_one_out.R"))

DEFAULTS = {
    "permutations": 1999,
    "bootstrap": 2000,
    "leave_one_out": True,  # thirteen more mixed models for each data set
    "item_model": True,  # successes and failures, seconds
    "difference": [0.01, 0.0],  # §5.3.1 compares these two PLWs
    "alpha": 0.05,  # §3
    "squeeze": "smithson_verkuilen",  # of the mixed models; as plw.statistics.regression.DEFAULTS
    "poly": "raw",
}


def permutation_test(runs: Runs, *, permutations: int, seed: int) -> dict:
    """Test of the parabola in w_p without assumptions about distribution or dependence between benchmarks.

    H0: within a ptlm (and seed) the runs could be exchanged: the PLW says nothing about a run, on any benchmark, and
    the luck of training is no more alike at neighbouring PLWs than at distant ones. A run keeps its benchmarks' scores
    together, so that luck which they share cannot pass for an effect. All PLWs of a ptlm share a seed, so that their
    luck *is* smooth in w_p (lag-1 correlation about 0.25 in the demo): the test then rejects too often, and only
    `seeds.seed_test` allows for that.
    Statistic: by how much w_p and w_p² reduce the residual sum of squares of the relative aggregate, ptlm (and seed)
    as a factor. p = (1 + permutations that reach it) / (1 + permutations).
    """
    reason = why_no_parabola(runs)
    if reason:
        return {"p": None, "reason": reason}
    values = centred(relative_aggregate(runs.scores), runs.blocks)
    basis, _ = np.linalg.qr(parabola_columns(runs))
    rng = np.random.default_rng(seed)
    # Exchanging PLWs within a block is exchanging aggregates within it; random keys sort each block by itself.
    keys = rng.random((permutations, len(values))) + runs.blocks
    home = np.argsort(runs.blocks, kind="stable")
    shuffled = np.empty((permutations, len(values)))
    shuffled[:, home] = values[np.argsort(keys, axis=1)]
    observed = float(((values @ basis) ** 2).sum())
    reached = ((shuffled @ basis) ** 2).sum(axis=1) >= observed * (1 - 1e-12)
    total = float((values**2).sum())
    return {
        "p": (1 + int(reached.sum())) / (1 + permutations),
        "statistic": observed,
        "r_squared": observed / total if total else None,
        "permutations": permutations,
        "arrangements": math.prod(math.factorial(count) for count in np.bincount(runs.blocks).tolist()),
        "runs": len(values),
        "seed": seed,
        "reason": None,
    }


def leave_one_out(frame: pd.DataFrame, *, squeeze: str, poly: str, alpha: float) -> list[dict]:
    """The mixed model's parabola with all benchmarks (left_out None) and without each of them.

    Rows: left_out, vertex_w_p, plw (None without a maximum inside), b1, b2, intercept, p_wald, converged, warnings.
    """
    rows = regression_rows(frame)
    return call_r("leave_one_out", rows, files=CHECK_FILES, squeeze=squeeze, poly=poly, alpha=alpha)


def check_regression(
    frame: pd.DataFrame,
    *,
    dataset: str,
    items: pd.DataFrame | None = None,
    settings: dict | None = None,
    seed: int = 123,
) -> dict:
    """All checks of one data set: the content of regression/DATASET.checks.json.

    frame     primary scores of the data set's runs; items: from `items.read_items`, or None
    settings  changes to DEFAULTS
    A check that cannot be made has its `reason` (or stands as None with one in `reasons`); none is dropped silently.
    """
    settings = {**DEFAULTS, **(settings or {})}
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError("Unknown settings of the checks.", value=unknown, hint=f"Known: {', '.join(DEFAULTS)}")
    if frame.empty:
        raise InputError("There are no scores to check.", where=f"scores of data set {dataset!r}")
    runs = complete_runs(frame)
    seconds, reasons = {}, {}
    started = time.perf_counter()
    permutation = permutation_test(runs, permutations=settings["permutations"], seed=seed)
    replicates = seed_test(runs)
    seconds["permutation"] = time.perf_counter() - started

    started = time.perf_counter()
    bootstrap, difference = None, None
    no_parabola = why_no_parabola(runs)
    matrices, fixed = ({}, {}) if items is None else item_matrices(runs, items)
    if items is None or not matrices:
        reasons["item_bootstrap"] = "no table of item scores" if items is None else "no benchmark has item scores"
    else:
        drawn = resampled_aggregates(runs, matrices, draws=settings["bootstrap"], seed=seed)
        difference = paired_difference(runs, drawn, settings["difference"], alpha=settings["alpha"])
        if no_parabola:
            reasons["item_bootstrap"] = no_parabola
        else:
            bootstrap = critical_plw_bootstrap(runs, drawn, alpha=settings["alpha"])
            bootstrap |= {"resampled": {name: matrix.shape[1] for name, matrix in matrices.items()}, "fixed": fixed}
    seconds["item_bootstrap"] = time.perf_counter() - started

    started = time.perf_counter()
    rows: list[dict] = []
    too_small = no_parabola or ("only one benchmark" if len(runs.benchmarks) < 2 else None)
    if not settings["leave_one_out"]:
        reasons["leave_one_out"] = "switched off"
    elif too_small:
        reasons["leave_one_out"] = too_small
    else:
        rows = leave_one_out(frame, **{key: settings[key] for key in ("squeeze", "poly", "alpha")})
    seconds["leave_one_out"] = time.perf_counter() - started
    started = time.perf_counter()
    item_model = fit_item_model(frame, settings={"alpha": settings["alpha"]}) if settings["item_model"] else None
    if item_model is None or item_model["reason"]:
        reasons["item_model"] = item_model["reason"] if item_model else "switched off"
    seconds["item_model"] = time.perf_counter() - started
    return {
        "dataset": dataset,
        "runs": len(runs.table),
        "runs_left_out": runs.left_out,
        "benchmarks": runs.benchmarks,
        "permutation": permutation,
        "seed_test": replicates,
        "leave_one_out": [row for row in rows if row.get("left_out")],
        "all_benchmarks": next((row for row in rows if not row.get("left_out")), None),
        "item_bootstrap": bootstrap,
        "item_model": item_model,
        "paired_difference": difference,
        "reasons": reasons,
        "settings": {**settings, "seed": seed},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }

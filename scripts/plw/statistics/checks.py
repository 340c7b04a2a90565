"""What a careful reader would ask of the regression (§5.2): is it the chosen test, one benchmark, or the few items?

Three checks that do not lean on the mixed model's assumptions, or show how it moves:
- permutation: PLWs exchanged among whole runs of a ptlm, so that what a run's benchmarks share stays together;
- leave_one_out: the mixed model without each benchmark in turn;
- bootstrap over benchmark items, the same items for all runs (paired).
The first and the last work on a run's relative aggregate (mean over benchmarks of the min-max scaled scores) and its
ordinary least squares parabola in w_p with the ptlm as a factor.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plw.errors import InputError
from plw.scores.table import add_w_p
from plw.scores.transform import from_w_p, to_w_p
from plw.statistics.r_calls import R_FILES, call_r
from plw.statistics.regression import regression_rows
from plw.study.runs import RUN_COLUMNS

CHECK_FILES = (*R_FILES, R_FILES[0].with_name("leave_one_out.R"))
SAME_SCORE = 1e-6  # items whose mean is further from the collected score belong to other results

DEFAULTS = {
    "permutations": 1999,
    "bootstrap": 2000,
    "leave_one_out": True,  # thirteen more mixed models for each data set
    "difference": [0.01, 0.0],  # §5.3.1 compares these two PLWs
    "alpha": 0.05,  # §3
    "squeeze": "smithson_verkuilen",  # of the mixed models; as plw.statistics.regression.DEFAULTS
    "poly": "raw",
}


@dataclass(frozen=True)
class Runs:
    """The runs of one data set that have all its benchmarks.

    table   one row per run: RUN_COLUMNS and w_p
    scores  runs × benchmarks, 0 to 1; benchmarks: names of the columns
    left_out  runs that lack benchmarks: the mean over others cannot be compared
    """

    table: pd.DataFrame
    scores: np.ndarray
    benchmarks: list[str]
    left_out: list[str]

    @property
    def blocks(self) -> np.ndarray:
        """Number of each run's ptlm and seed: within these, runs differ in their PLW alone."""
        return self.table.groupby(["ptlm", "seed"], sort=True).ngroup().to_numpy()


def complete_runs(frame: pd.DataFrame) -> Runs:
    """Runs × benchmarks of one data set's primary scores."""
    wide = frame.pivot(index="run", columns="benchmark", values="score")[list(dict.fromkeys(frame["benchmark"]))]
    order = ["ptlm", "seed", "plw"]
    table = add_w_p(frame.drop_duplicates("run")[RUN_COLUMNS]).sort_values(order, kind="stable").reset_index(drop=True)
    whole = wide.notna().all(axis=1)
    kept = table[table["run"].map(whole)].reset_index(drop=True)
    left_out = table.loc[~table["run"].map(whole), "run"].tolist()
    return Runs(kept, wide.loc[kept["run"]].to_numpy(float), list(wide.columns), left_out)


def relative_aggregate(scores: np.ndarray) -> np.ndarray:
    """Mean over benchmarks of the scores that are min-max scaled over the runs (axis −2); 0.5 where all are equal.

    scores  … × runs × benchmarks; returns … × runs
    """
    low, high = scores.min(axis=-2, keepdims=True), scores.max(axis=-2, keepdims=True)
    span = high - low
    constant = span == 0
    return np.where(constant, 0.5, (scores - low) / np.where(constant, 1.0, span)).mean(axis=-1)


def _centred(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Values (… × runs) less the mean of each run's block: what a factor of the blocks leaves."""
    member = (blocks[:, None] == np.unique(blocks)).astype(float)
    return values - (values @ (member / member.sum(axis=0))) @ member.T


def _parabola_basis(runs: Runs) -> np.ndarray:
    """w_p and w_p² of the runs, block means removed: runs × 2."""
    w = runs.table["w_p"].to_numpy()
    return _centred(np.stack([w, w**2]), runs.blocks).T


def why_no_parabola(runs: Runs) -> str | None:
    """Why the runs carry no parabola beside the block means; None if they do."""
    if not len(runs.table):
        return "no run has all benchmarks"
    basis = _parabola_basis(runs)
    if np.linalg.matrix_rank(basis, tol=1e-9) < 2:
        return f"a parabola needs three different PLWs; the complete runs have {runs.table['plw'].nunique()}"
    if len(basis) <= 2 + len(np.unique(runs.blocks)):
        return f"{len(basis)} complete runs leave nothing to judge the parabola by"
    return None


def permutation_test(runs: Runs, *, permutations: int, seed: int) -> dict:
    """Test of the parabola in w_p without assumptions about distribution or dependence between benchmarks.

    H0: within a ptlm (and seed) the PLW says nothing about a run, on any benchmark. A run keeps its benchmarks'
    scores together, so that luck which they share cannot pass for an effect.
    Statistic: by how much w_p and w_p² reduce the residual sum of squares of the relative aggregate, ptlm (and seed)
    as a factor. p = (1 + permutations that reach it) / (1 + permutations).
    """
    reason = why_no_parabola(runs)
    if reason:
        return {"p": None, "reason": reason}
    values = _centred(relative_aggregate(runs.scores), runs.blocks)
    basis, _ = np.linalg.qr(_parabola_basis(runs))
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


def parabola(runs: Runs, aggregates: np.ndarray) -> dict[str, np.ndarray]:
    """Least squares parabolas of relative aggregates (draws × runs): b1, b2, vertex_w_p and best_w_p, one per draw.

    best_w_p is where the parabola is largest in [0, 1]: the vertex, or a border where there is no maximum inside.
    """
    slopes = _centred(aggregates, runs.blocks) @ np.linalg.pinv(_parabola_basis(runs)).T
    b1, b2 = slopes[:, 0], slopes[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = -b1 / (2 * b2)
    inside = (b2 < 0) & (vertex > 0) & (vertex < 1)
    best = np.where(inside, vertex, (b1 + b2 > 0).astype(float))
    return {"b1": b1, "b2": b2, "vertex_w_p": vertex, "inside": inside, "best_w_p": best}


def item_matrices(runs: Runs, items: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Item scores of each benchmark as runs × items (NaN: not scored), and why the other benchmarks have none."""
    found, fixed = {}, {}
    wanted = runs.table["run"].tolist()
    for place, benchmark in enumerate(runs.benchmarks):
        part = items[(items["benchmark"] == benchmark) & items["run"].isin(wanted)]
        wide = part.pivot(index="run", columns="item", values="score").reindex(wanted).to_numpy(float)
        if not part.size:
            fixed[benchmark] = "no item scores"
        elif np.isnan(wide).all(axis=1).any():
            fixed[benchmark] = f"no item scores of {int(np.isnan(wide).all(axis=1).sum())} runs"
        elif np.abs(np.nanmean(wide, axis=1) - runs.scores[:, place]).max() > SAME_SCORE:
            fixed[benchmark] = "the items' means are not the scores"
        else:
            found[benchmark] = wide
    return found, fixed


def resampled_aggregates(runs: Runs, matrices: dict[str, np.ndarray], *, draws: int, seed: int) -> np.ndarray:
    """Relative aggregates (draws × runs) with the items of each benchmark in `matrices` drawn anew.

    Each draw takes the same items for all runs; benchmarks without items keep their scores. A draw that leaves a run
    without any scored item of a benchmark is NaN.
    """
    rng = np.random.default_rng(seed)
    scores = np.broadcast_to(runs.scores, (draws, *runs.scores.shape)).copy()
    for place, benchmark in enumerate(runs.benchmarks):
        if benchmark not in matrices:
            continue
        matrix = matrices[benchmark]
        count = matrix.shape[1]
        times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)
        with np.errstate(invalid="ignore"):
            scores[:, :, place] = (times @ np.nan_to_num(matrix).T) / (times @ (~np.isnan(matrix)).T.astype(float))
    return relative_aggregate(scores)


def _interval(values: np.ndarray, alpha: float) -> dict[str, float | None]:
    if not len(values):
        return {"low": None, "median": None, "high": None}
    low, median, high = np.quantile(values, [alpha / 2, 0.5, 1 - alpha / 2])
    return {"low": float(low), "median": float(median), "high": float(high)}


def _as_plw(interval: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if w_p is None else from_w_p(w_p) for name, w_p in interval.items()}


def critical_plw_bootstrap(runs: Runs, aggregates: np.ndarray, *, alpha: float) -> dict:
    """How the parabola of the relative aggregate moves with the items that happen to be in the benchmarks.

    aggregates  draws × runs, from `resampled_aggregates`
    Returns for `plw` the estimate and the middle 1 − alpha of those draws that have a maximum inside (0, 1), with
    their share; for `best_plw` the same of all draws, a border of [0, 1] where there is no maximum inside.
    """
    usable = aggregates[np.isfinite(aggregates).all(axis=1)]
    drawn, real = parabola(runs, usable), parabola(runs, relative_aggregate(runs.scores)[None, :])
    inside = drawn["inside"]
    return {
        "n": len(usable),
        "unusable": len(aggregates) - len(usable),
        "plw": {
            "estimate": from_w_p(float(real["vertex_w_p"][0])) if real["inside"][0] else None,
            **_as_plw(_interval(drawn["vertex_w_p"][inside], alpha)),
            "share_inside": float(inside.mean()) if len(inside) else None,
        },
        "best_plw": {
            "estimate": from_w_p(float(real["best_w_p"][0])),
            **_as_plw(_interval(drawn["best_w_p"], alpha)),
        },
        "share_downward": float((drawn["b2"] < 0).mean()) if len(inside) else None,
    }


def paired_difference(runs: Runs, aggregates: np.ndarray, plws: Sequence[float], *, alpha: float) -> dict:
    """Relative aggregate at one PLW less that at another, per ptlm, over resampled items (claim of §5.3.1).

    aggregates  draws × runs; plws: the two, the first less the second; seeds are averaged
    Returns {plws, ptlms: {name: {estimate, low, median, high, share_above_zero}}, reason}.
    """
    usable = aggregates[np.isfinite(aggregates).all(axis=1)]
    real = relative_aggregate(runs.scores)
    found, absent = {}, []
    w_p = runs.table["w_p"].to_numpy()
    for ptlm in runs.table["ptlm"].unique():
        places = [((runs.table["ptlm"] == ptlm) & np.isclose(w_p, to_w_p(plw), atol=1e-9)).to_numpy() for plw in plws]
        if not all(place.any() for place in places):
            absent.append(ptlm)
            continue
        drawn = usable[:, places[0]].mean(axis=1) - usable[:, places[1]].mean(axis=1)
        found[ptlm] = {
            "estimate": float(real[places[0]].mean() - real[places[1]].mean()),
            **_interval(drawn, alpha),
            "share_above_zero": float((drawn > 0).mean()) if len(drawn) else None,
        }
    reason = f"no complete runs at both PLWs: {', '.join(absent)}" if absent else None
    return {"plws": list(plws), "ptlms": found, "reason": reason}


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
    return {
        "dataset": dataset,
        "runs": len(runs.table),
        "runs_left_out": runs.left_out,
        "benchmarks": runs.benchmarks,
        "permutation": permutation,
        "leave_one_out": [row for row in rows if row.get("left_out")],
        "all_benchmarks": next((row for row in rows if not row.get("left_out")), None),
        "item_bootstrap": bootstrap,
        "paired_difference": difference,
        "reasons": reasons,
        "settings": {**settings, "seed": seed},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }

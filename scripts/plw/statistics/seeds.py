"""Seeds as replicates: PLW against PLW × seed, whole curves at a time (§5.2's question, a test of our own).

All PLWs of a ptlm share a seed: the same order of the data, the same weights at the start. What one seed makes of them
is therefore alike at neighbouring PLWs, and a smooth curve of luck looks like an effect. Only other seeds can tell the
two apart: an effect of PLW is what the curves of all seeds have in common.
"""

import numpy as np
from scipy import stats

from plw.scores.scale import is_constant
from plw.statistics.runs import Runs, parabola_basis, relative_aggregate

ONE_SEED = (
    "one seed for each PTLM: luck of training that is smooth along w_p cannot be told from an effect of the PLW; "
    "two seeds or more can"
)


def huynh_feldt(covariance: np.ndarray, freedom: int) -> float:
    """Huynh and Feldt's ε of contrasts with this covariance (k × k), from `freedom` degrees; 1/k to 1.

    With fewer degrees than contrasts the lower bound 1/k (Geisser and Greenhouse 1958), which is always safe.
    Several groups as in Lecoutre (1991).
    """
    k = len(covariance)
    squares = float(np.sum(covariance**2))
    if freedom < k or squares == 0:
        return 1 / k
    greenhouse = float(np.trace(covariance)) ** 2 / (k * squares)
    room = freedom - k * greenhouse
    corrected = ((freedom + 1) * k * greenhouse - 2) / (k * room) if room > 1e-9 else 1.0
    return float(min(1.0, max(corrected, 1 / k)))


def seed_test(runs: Runs) -> dict:
    """Test of the parabola in w_p against how much the seeds' curves differ (repeated measures).

    runs  complete runs of one data set
    Each curve (one ptlm, one seed) gives two orthonormal contrasts, the slope and the bend of its relative aggregate.
    H0: their mean over curves is zero. The error is their spread over seeds within a ptlm, so that luck may be
    correlated along w_p, and shared by a run's benchmarks, as it likes.
    Returns p (F test with Huynh and Feldt's ε), p_hotelling (Hotelling's T², which needs no such correction and more
    seeds), statistic, epsilon, freedom [numerator, denominator before ε], lag_1 (correlation between neighbouring PLWs
    of what a curve has beside its ptlm's mean, about zero), curves, plws, left_out (ptlms with one seed), reason (then
    p is None).
    """
    empty: dict = {"p": None, "p_hotelling": None, "statistic": None, "epsilon": None, "freedom": None, "lag_1": None,
             "curves": 0, "plws": [], "left_out": []}  # fmt: skip
    if not len(runs.table):
        return {**empty, "reason": "no run has all benchmarks"}
    table = runs.table.assign(value=relative_aggregate(runs.scores))
    curves = table.pivot(index=["ptlm", "seed"], columns="w_p", values="value")
    seeds = curves.groupby("ptlm").size()
    left_out = sorted(seeds.index[seeds < 2])
    curves = curves[curves.index.get_level_values("ptlm").isin(seeds.index[seeds >= 2])]
    if curves.empty:
        return {**empty, "left_out": left_out, "reason": ONE_SEED}
    curves = curves.dropna(axis=1)
    if curves.shape[1] < 3:
        shared = f"only {curves.shape[1]} PLWs are there with every seed; a parabola needs three"
        return {**empty, "left_out": left_out, "reason": shared}
    values = curves.to_numpy(float)
    contrasts = values @ parabola_basis(curves.columns.to_numpy(float))
    of_ptlm = curves.index.get_level_values("ptlm")
    count, freedom = len(curves), int(len(curves) - of_ptlm.nunique())
    luck = values - np.stack([values[of_ptlm == name].mean(axis=0) for name in of_ptlm])
    errors = luck @ parabola_basis(curves.columns.to_numpy(float))
    covariance = errors.T @ errors / freedom
    mean = contrasts.mean(axis=0)
    spread = float(np.trace(covariance))
    plws = table.loc[table["w_p"].isin(curves.columns), "plw"].drop_duplicates().sort_values().tolist()
    found = {**empty, "curves": count, "plws": plws, "left_out": left_out, "freedom": [2, 2 * freedom]}
    if is_constant(luck.min(), luck.max()):
        return {**found, "reason": "the seeds' curves are the same"}
    found["lag_1"] = float(np.sum(luck[:, 1:] * luck[:, :-1]) / np.sum(luck**2))
    epsilon = huynh_feldt(covariance, freedom)
    statistic = count * float(mean @ mean) / spread
    hotelling = None
    if freedom > 2 and np.linalg.matrix_rank(covariance) == 2:
        squared = count * float(mean @ np.linalg.solve(covariance, mean))
        hotelling = float(stats.f.sf(squared * (freedom - 1) / (2 * freedom), 2, freedom - 1))
    p = float(stats.f.sf(statistic, 2 * epsilon, 2 * epsilon * freedom))
    return {**found, "p": p, "p_hotelling": hotelling, "statistic": statistic, "epsilon": epsilon, "reason": None}

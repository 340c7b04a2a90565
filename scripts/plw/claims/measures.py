"""Measures that the claims' rules share: rank correlation, parabola, optimum, min-max scale. Arrays in and out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from plw.claims.findings import Undecided
from plw.scores.transform import to_w_p


@dataclass(frozen=True)
class Parabola:
    """Least squares of y on 1, w_p, w_p²: coefficients, R², p of the F test of both slopes, residual SD.

    p and residual_sd are NaN where there are no degrees of freedom (three points).
    """

    b0: float
    b1: float
    b2: float
    r2: float
    p: float
    residual_sd: float

    @property
    def vertex(self) -> float:
        """Place of the extremum in w_p; NaN for a straight line."""
        return -self.b1 / (2 * self.b2) if self.b2 else float("nan")


def transformed(plws: Sequence[float]) -> np.ndarray:
    """w_p of each PLW."""
    return np.array([to_w_p(plw) for plw in plws])


def parabola(plws: Sequence[float], y: np.ndarray) -> Parabola:
    """Fit of `y` (one value per PLW) on w_p. Raises Undecided with fewer than three PLWs."""
    if len(plws) < 3:
        raise Undecided(f"A parabola needs at least three PLWs; there are {len(plws)}.")
    w = transformed(plws)
    design = np.column_stack([np.ones_like(w), w, w * w])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = float(np.sum((y - design @ coefficients) ** 2))
    total = float(np.sum((y - np.mean(y)) ** 2))
    free = len(w) - 3
    explained = max(total - residual, 0.0)
    p, spread = float("nan"), float("nan")
    if free > 0:
        spread = (residual / free) ** 0.5
        p = float(stats.f.sf((explained / 2) / (residual / free), 2, free)) if residual > 0 else 0.0
    b0, b1, b2 = map(float, coefficients)
    return Parabola(b0, b1, b2, explained / total if total > 0 else 0.0, p, spread)


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Rank correlation, ties at their mean rank; 0 where one side does not vary.

    Raises Undecided with fewer than three pairs.
    """
    if len(x) < 3:
        raise Undecided(f"A rank correlation needs at least three PLWs; there are {len(x)}.")
    ranks = stats.rankdata(np.round(x, 12)), stats.rankdata(np.round(y, 12))
    if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def adjusted(p_values: Sequence[float]) -> np.ndarray:
    """P-values corrected for the false discovery rate (Benjamini and Hochberg 1995)."""
    return stats.false_discovery_control(np.asarray(p_values, dtype=float))


def optimum(plws: Sequence[float], y: np.ndarray) -> float:
    """The PLW of the largest value; of several equal ones the middle one."""
    best = np.flatnonzero(np.isclose(y, np.max(y), rtol=0, atol=1e-12))
    return float(plws[best[len(best) // 2]])


def min_max(values: np.ndarray) -> np.ndarray:
    """Each benchmark (last axis) scaled to 0..1 over all other axes; the benchmarks must not be constant."""
    axes = tuple(range(values.ndim - 1))
    low, high = values.min(axis=axes), values.max(axis=axes)
    return (values - low) / (high - low)


def increases(y: np.ndarray) -> int:
    """How many steps from one PLW to the next go up."""
    return int(np.sum(np.diff(y) > 0))

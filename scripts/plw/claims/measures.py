"""Measures that the claims' rules share. Curves over PLW stand along an axis of arrays; worlds stand first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plw.claims.findings import Undecided
from plw.scores import scale
from plw.scores.transform import to_w_p


@dataclass(frozen=True)
class Parabola:
    """Least squares of curves on 1, w_p, w_p²: coefficients, R² and residual SD, each [...] without the curve's axis.

    residual_sd is NaN where there are no degrees of freedom (three points).
    """

    b0: np.ndarray
    b1: np.ndarray
    b2: np.ndarray
    r2: np.ndarray
    residual_sd: np.ndarray

    @property
    def bend(self) -> np.ndarray:
        """The smaller of the slope upward at w_p = 0 and the slope downward at 1: positive for an inverted U with its
        top inside, and only for one (Lind and Mehlum 2010)."""
        return np.minimum(self.b1, -(self.b1 + 2 * self.b2))

    @property
    def vertex(self) -> np.ndarray:
        """Place of the extremum in w_p; NaN for a straight line."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.b2 != 0, -self.b1 / (2 * self.b2), np.nan)


def transformed(plws: Sequence[float]) -> np.ndarray:
    """w_p of each PLW."""
    return np.array([to_w_p(plw) for plw in plws])


def parabola(plws: Sequence[float], curves: np.ndarray, *, axis: int = -1) -> Parabola:
    """Fit of curves on w_p. Raises Undecided with fewer than three PLWs."""
    if len(plws) < 3:
        raise Undecided(f"A parabola needs at least three PLWs; there are {len(plws)}.")
    w = transformed(plws)
    y = np.moveaxis(np.asarray(curves, dtype=float), axis, -1)
    design = np.column_stack([np.ones_like(w), w, w * w])
    solved = y @ np.linalg.pinv(design).T
    residual = np.sum((y - solved @ design.T) ** 2, axis=-1)
    total = np.sum((y - y.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    free = len(w) - 3
    spread = np.sqrt(residual / free) if free > 0 else np.full(residual.shape, np.nan)
    r2 = np.divide(np.maximum(total - residual, 0), total, out=np.zeros_like(total), where=total > 1e-15)
    return Parabola(solved[..., 0], solved[..., 1], solved[..., 2], r2, spread)


def line_slope(plws: Sequence[float], curves: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Slope of the least squares line of curves on w_p: what they gain from PLW 0 to 1 along it."""
    w = transformed(plws)
    away = w - w.mean()
    return np.moveaxis(np.asarray(curves, dtype=float), axis, -1) @ away / (away @ away)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, ties at their mean rank."""
    rounded = np.round(values, 12)
    below = (rounded[..., None, :] < rounded[..., :, None]).sum(axis=-1)
    same = (rounded[..., None, :] == rounded[..., :, None]).sum(axis=-1)
    return below + (same + 1) / 2


def spearman(x: Sequence[float] | np.ndarray, curves: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Rank correlation of curves with x, ties at their mean rank; 0 where one side does not vary.

    Raises Undecided with fewer than three points.
    """
    if len(x) < 3:
        raise Undecided(f"A rank correlation needs at least three PLWs; there are {len(x)}.")
    first = _ranks(np.asarray(x, dtype=float))
    second = _ranks(np.moveaxis(np.asarray(curves, dtype=float), axis, -1))
    first, second = first - first.mean(), second - second.mean(axis=-1, keepdims=True)
    scale = np.sqrt((first**2).sum() * (second**2).sum(axis=-1))
    product = (first * second).sum(axis=-1)
    return np.divide(product, scale, out=np.zeros_like(scale), where=scale > 0)


def optimum(plws: Sequence[float], curves: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """The PLW of the largest value; of several equal ones the middle one."""
    y = np.moveaxis(np.asarray(curves, dtype=float), axis, -1)
    best = np.isclose(y, y.max(axis=-1, keepdims=True), rtol=0, atol=1e-12)
    middle = best.sum(axis=-1, keepdims=True) // 2 + 1
    place = np.argmax(np.cumsum(best, axis=-1) >= middle, axis=-1)
    return np.asarray(plws, dtype=float)[place]


def min_max(values: np.ndarray) -> np.ndarray:
    """Scores [worlds, ptlms, settings, benchmarks] scaled to 0..1 within each world and benchmark.

    A benchmark on which all runs of a world score the same is 0.5 there.
    """
    return scale.min_max(values, axis=(1, 2))


def points(differences: np.ndarray) -> np.ndarray:
    """Differences of scores between 0 and 1 in points; a tie is exactly 0."""
    return np.round(100 * differences, 9)


def increases(curves: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """How many steps from one PLW to the next go up."""
    return (np.diff(curves, axis=axis) > 1e-12).sum(axis=axis)


def reached_by(values: np.ndarray, share: float) -> np.ndarray:
    """The largest number that at least this share of the values reaches (last axis): with 0.75, three of four."""
    needed = max(1, int(np.ceil(share * values.shape[-1] - 1e-9)))
    return -np.sort(-values, axis=-1)[..., min(needed, values.shape[-1]) - 1]


@dataclass(frozen=True)
class MeanCurve:
    """The mean polynomial of relative scores over benchmarks, as the mixed model of §5.2 has it, [worlds] each.

    intercept, b1, b2  on the logit scale;  wald: chi-square of (b1, b2) = 0, two degrees of freedom
    vertex, vertex_se  in w_p, delta method; NaN where the curve has no maximum
    span               highest minus lowest score of the curve on [0, 1], relative scale
    """

    intercept: np.ndarray
    b1: np.ndarray
    b2: np.ndarray
    wald: np.ndarray
    vertex: np.ndarray
    vertex_se: np.ndarray
    span: np.ndarray


def mean_curve(plws: Sequence[float], values: np.ndarray) -> MeanCurve:
    """Two-stage form of `score ~ poly(w_p, 2) + (0 + poly(w_p, 2) | benchmark) + (1 | ptlm)`, fast enough to simulate.

    Scores [worlds, ptlms, plws, benchmarks] are min-max scaled, squeezed (Smithson and Verkuilen 2006) and taken to the
    logit scale; each benchmark has its own parabola by least squares; their mean has the covariance of the benchmarks'
    coefficients. docs/verdicts.md says how near to glmmTMB's that is: the Wald test alike, the coefficients
    about twice as large, because the ends of the scale weigh more.
    Raises Undecided with fewer than three PLWs or benchmarks.
    """
    if len(plws) < 3 or values.shape[-1] < 3:
        raise Undecided("The mean curve needs at least three PLWs and three benchmarks.")
    w = transformed(plws)
    relative = min_max(values)
    rows = relative[0].size
    y = (relative * (rows - 1) + 0.5) / rows
    y = np.log(y / (1 - y)).mean(axis=1)  # [worlds, plws, benchmarks]
    solved = np.einsum("kw,swb->skb", np.linalg.pinv(np.column_stack([np.ones_like(w), w, w * w])), y)
    intercept, own = solved[:, 0].mean(axis=1), solved[:, 1:]
    number = own.shape[-1]
    mean = own.mean(axis=-1)
    away = own - mean[..., None]
    covariance = np.einsum("sib,sjb->sij", away, away) / (number - 1) / number + 1e-12 * np.eye(2)
    wald = np.einsum("si,sij,sj->s", mean, np.linalg.inv(covariance), mean)
    b1, b2 = mean.T
    vertex = np.where(b2 < 0, -b1 / (2 * np.where(b2 < 0, b2, -1)), np.nan)
    gradient = np.stack([-1 / (2 * b2), b1 / (2 * b2 * b2)], axis=-1)
    se = np.sqrt(np.einsum("si,sij,sj->s", gradient, covariance, gradient))
    grid = np.linspace(0, 1, 41)
    height = 1 / (1 + np.exp(-(intercept[:, None] + b1[:, None] * grid + b2[:, None] * grid**2)))
    return MeanCurve(intercept, b1, b2, wald, vertex, np.where(np.isnan(vertex), np.nan, se), np.ptp(height, axis=1))

"""Stability of a training: how much its loss varies within a few consecutive updates (§5.3.1, Figure 2a).

The measure is the relative standard deviation (RSD = standard deviation / mean) of the training loss over windows
of five updates, and its mean over the windows of a run.

The paper says neither whether its windows overlap nor which standard deviation it takes. Here they are disjoint
and the sample's (ddof 1); both are settings.

Three measures are ours, because the loss's own scale changes with PLW and with what it is divided by (docs/loss.md):
the same RSD of the completion's loss alone, the share of updates whose gradient was clipped, the mean gradient norm.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from plw.errors import InputError

KINDS = ("disjoint", "rolling")
DEFAULTS = {"window": 5, "windows": "disjoint", "ddof": 1, "skip_warmup": False}


@dataclass(frozen=True)
class Window:
    """RSD of the losses of the updates first_step to last_step, both included.

    rsd  at least 0; None where it does not exist: a loss that is not finite, or losses that are 0 on average
    """

    first_step: int
    last_step: int
    rsd: float | None


@dataclass(frozen=True)
class Stability:
    """All windows of a run in order; `mean` is over those that have an RSD, `count` says how many these are."""

    windows: tuple[Window, ...]
    mean: float
    count: int


def loss_stability(rows: Sequence[dict], *, settings: dict | None = None, column: str = "loss") -> Stability | None:
    """RSD of the loss over windows of consecutive updates.

    rows      of loss.csv in order, with `step`, `column` and `learning_rate` (`plw.training.loss_log.read_loss`)
    settings  changes to DEFAULTS: window (updates, at least 2), windows (disjoint | rolling), ddof (0 | 1),
              skip_warmup (leave out the updates before the learning rate's first maximum)
    column    which loss: the objective, or `completion_loss`, the unweighted mean over completion tokens (ours)
    Disjoint windows start at the first update; a shorter rest at the end belongs to no window.
    Returns None if there are fewer updates than one window has, or no window has an RSD.
    Raises InputError for settings that make no sense.
    """
    chosen = _checked(settings or {})
    size = chosen["window"]
    used = rows[warmup_updates(rows) :] if chosen["skip_warmup"] else rows
    starts = range(0, len(used) - size + 1, size if chosen["windows"] == "disjoint" else 1)
    windows = tuple(_window(used[start : start + size], column=column, ddof=chosen["ddof"]) for start in starts)
    values = [window.rsd for window in windows if window.rsd is not None]
    return Stability(windows, statistics.fmean(values), len(values)) if values else None


def warmup_updates(rows: Sequence[dict]) -> int:
    """Number of updates before the learning rate reaches its maximum for the first time; 0 if it is not logged."""
    rates = [row.get("learning_rate") for row in rows]
    known = [rate for rate in rates if rate is not None]
    return rates.index(max(known)) if known else 0


def gradient_norms(rows: Sequence[dict]) -> list[float]:
    """L2 norms of the gradient before clipping, of the updates that have a finite one."""
    norms = [row.get("grad_norm") for row in rows]
    return [norm for norm in norms if norm is not None and math.isfinite(norm)]


def clipped_share(norms: Sequence[float], *, limit: float) -> float:
    """Share of updates (0 to 1) whose gradient was scaled down to `limit`, the training's `max_grad_norm`.

    norms  from `gradient_norms`, at least one; limit is above 0 (0 switches clipping off: there is no share then)
    """
    return sum(norm > limit for norm in norms) / len(norms)


def _window(rows: Sequence[dict], *, column: str, ddof: int) -> Window:
    losses = [row[column] for row in rows]
    steps = int(rows[0]["step"]), int(rows[-1]["step"])
    if any(loss is None or not math.isfinite(loss) for loss in losses):
        return Window(*steps, None)
    mean = statistics.fmean(losses)
    if mean <= 0:  # no scale: every loss is 0, as when nothing has a weight
        return Window(*steps, None)
    deviation = statistics.stdev(losses) if ddof else statistics.pstdev(losses)
    return Window(*steps, deviation / mean)


def _checked(settings: dict) -> dict:
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        hint = f"Known: {', '.join(DEFAULTS)}."
        raise InputError("Unknown setting of the loss windows.", value=unknown[0], where="--settings", hint=hint)
    chosen = DEFAULTS | settings
    allowed = {"windows": KINDS, "ddof": (0, 1), "skip_warmup": (False, True)}
    for key, values in allowed.items():
        if chosen[key] not in values:
            hint = f"Use one of {', '.join(map(str, values))}."
            raise InputError(f"This value of `{key}` is not known.", value=chosen[key], where="--settings", hint=hint)
    if not isinstance(chosen["window"], int) or chosen["window"] < 2:
        raise InputError("A window has at least two updates.", value=chosen["window"], where="--settings")
    return chosen

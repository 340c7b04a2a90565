"""Claims about the shape of scores over PLW (§5.1, App. B, Figures 1 and 5 to 7)."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, measured, thin
from plw.claims.findings import Measured, Undecided, region_of
from plw.claims.measures import (
    increases,
    line_slope,
    min_max,
    optimum,
    parabola,
    points,
    reached_by,
    spearman,
    transformed,
)
from plw.scores.scale import is_constant

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")


def relative_aggregate(part: Cells) -> np.ndarray:
    """Mean of the min-max scaled scores over ptlms and benchmarks, [worlds, settings]: a line of Figure 1 (b–d)."""
    return min_max(part.values).mean(axis=(1, 3))


def named(part: Cells, what: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers by benchmark: `values` [worlds, benchmarks] as label and what it is -> [worlds]."""
    return {f"{label} {what}": column for label, column in zip(part.labels, values.T, strict=True)}


def inverted_u(evidence: Evidence, parameters: Mapping) -> Measured:
    """C07: the slope that most benchmarks of group I have both upward at w_p = 0 and downward at 1, in points."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    curve = parabola(part.settings, 100 * part.bar, axis=1)
    numbers = named(part, "b2", curve.b2 / 100) | named(part, "best PLW", optimum(part.settings, part.bar, axis=1))
    return Measured(reached_by(curve.bend, parameters["share"]), region_of(parameters), None, numbers, "", thin(part))


def group_1_range(evidence: Evidence, parameters: Mapping) -> Measured:
    """C08: how far outside `range` the farthest best PLW of group I lies, in w_p."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    best = optimum(part.settings, part.bar, axis=1)
    low, high = transformed(parameters["range"])
    place = transformed(part.settings)[np.searchsorted(part.settings, best)]
    outside = np.maximum(np.maximum(low - place, place - high), 0).max(axis=1)
    ends = np.maximum(part.bar[:, part.place(0.0)], part.bar[:, part.place(1.0)])
    above = (part.bar.max(axis=1) - ends).min(axis=1)
    numbers = named(part, "best PLW", best)
    return Measured(outside, region_of(parameters), None, numbers, "", thin(part), strength=above)


def _rising(evidence: Evidence, parameters: Mapping, *, types: list[str]) -> Measured:
    part = cells(evidence, SHORT, parameters, groups=["II"], types=types)
    rank = spearman(transformed(part.settings), part.bar, axis=1)
    numbers = named(part, "Spearman", rank) | named(part, "best PLW", optimum(part.settings, part.bar, axis=1))
    slope = 100 * line_slope(part.settings, part.bar, axis=1)
    numbers |= named(part, "points from w_p 0 to 1", slope)
    return Measured(rank.min(axis=1), region_of(parameters), None, numbers, "", thin(part), strength=slope.min(axis=1))


def long_generation_rises(evidence: Evidence, parameters: Mapping) -> Measured:
    """C10: the smallest rank correlation with w_p of the long-generation benchmarks."""
    return _rising(evidence, parameters, types=["GL"])


def multiple_choice_rises(evidence: Evidence, parameters: Mapping) -> Measured:
    """C11: the same of the multiple-choice benchmark of group II."""
    return _rising(evidence, parameters, types=["MC"])


def _noise(part: Cells) -> np.ndarray:
    """Median over benchmarks of residual SD of the parabola / range of the scores, [worlds]."""
    span = np.ptp(part.bar, axis=1)
    spread = parabola(part.settings, part.bar, axis=1).residual_sd
    return np.median(np.divide(spread, span, out=np.zeros_like(span), where=~is_constant(0, span)), axis=1)


def translation(evidence: Evidence, parameters: Mapping) -> Measured:
    """C15: the median over group III of the size of the rank correlation with w_p; the noise stands beside it."""
    part = cells(evidence, SHORT, parameters, groups=["III"])
    other = cells(evidence, SHORT, parameters, groups=["I", "II"])
    if len(part.settings) < 4:
        raise Undecided("Noise about a parabola needs at least four PLWs.")
    rank = np.abs(spearman(transformed(part.settings), part.bar, axis=1))
    noise, compared = _noise(part), _noise(other)
    numbers = {"residual SD / range": noise, "the same in groups I and II": compared}
    words = f"{'More' if noise[0] > compared[0] else 'Not more'} noise about a parabola than in groups I and II."
    return Measured(np.median(rank, axis=1), region_of(parameters), None, numbers, words, thin(part, other))


def no_trend(evidence: Evidence, parameters: Mapping) -> Measured:
    """C16: the mean size of the rank correlation with w_p over all benchmarks of both long-completion data sets."""
    parts = {role: cells(evidence, role, parameters) for role in LONG}
    rank = {role: np.abs(spearman(transformed(part.settings), part.bar, axis=1)) for role, part in parts.items()}
    numbers = {f"mean |Spearman| {role}": found.mean(axis=1) for role, found in rank.items()}
    return Measured(
        np.concatenate(list(rank.values()), axis=1).mean(axis=1),
        region_of(parameters),
        None,
        numbers,
        "",
        thin(*parts.values()),
    )


def only_short(evidence: Evidence, parameters: Mapping) -> Measured:
    """C17: R² of a parabola through AlpacaDataShort's relative aggregate minus the larger of the other two."""
    parts = {role: cells(evidence, role, parameters) for role in (SHORT, *LONG)}
    if min(len(part.settings) for part in parts.values()) < 4:
        raise Undecided("A parabola through three PLWs explains everything; R² needs at least four.")
    r2 = {role: parabola(part.settings, relative_aggregate(part)).r2 for role, part in parts.items()}
    lead = r2[SHORT] - np.maximum(*(r2[role] for role in LONG))
    numbers = {f"R² {role}": value for role, value in r2.items()}
    span = np.ptp(relative_aggregate(parts[SHORT]), axis=1)
    return Measured(lead, region_of(parameters), None, numbers, "", thin(*parts.values()), strength=lead * span)


def decline_at_one(evidence: Evidence, parameters: Mapping) -> Measured:
    """C24: by how many points most benchmarks of group I fall from PLW `before` to 1."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    fall = points(part.bar[:, part.place(parameters["before"])] - part.bar[:, part.place(1.0)])
    numbers = named(part, "points lost", fall)
    return Measured(reached_by(fall, parameters["share"]), region_of(parameters), None, numbers, "", thin(part))


def score_rises_more(evidence: Evidence, parameters: Mapping) -> Measured:
    """C29: the share of PLW's steps at which AlpacaEval's score rises; and more of them than with the length."""
    part = cells(evidence, SHORT, {**parameters, "least_judgeable": 0}, groups=["II"], types=["GL"])
    kind = {entry["name"]: entry.get("framework", entry["name"]) for entry in evidence.benchmarks}
    found = [place for place, name in enumerate(part.benchmarks) if kind[name] == "alpaca_eval"]
    if not found:
        raise Undecided("There is no AlpacaEval benchmark, or all runs score the same on it.")
    steps = len(part.settings) - 1
    up = increases(part.bar[:, :, found[0]])
    length = increases(measured(evidence, SHORT, "generation_tokens").bar[:, :, 0])
    margin = np.minimum(up / steps - region_of(parameters)[0], (up - length - 0.5) / steps)
    numbers = {"steps up, score": up, "steps up, length": length, "steps": steps}
    rise = line_slope(part.settings, part.bar[:, :, found[0]])
    return Measured(up / steps, region_of(parameters), margin, numbers, "", thin(part), strength=rise)

"""Claims about the shape of scores over PLW (§5.1, App. B, Figures 1 and 5 to 7)."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, thin
from plw.claims.findings import Finding, Undecided, judged, listed
from plw.claims.measures import adjusted, min_max, optimum, parabola, spearman, transformed

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")


def relative_aggregate(part: Cells) -> np.ndarray:
    """Mean of the min-max scaled scores over ptlms and benchmarks, [settings]: the line of Figure 1 (b) to (d)."""
    return min_max(part.values).mean(axis=(0, 2))


def inner_optimum(part: Cells, y: np.ndarray) -> bool:
    """Whether some PLW strictly between 0 and 1 scores higher than both ends."""
    ends = y[part.place(0.0)], y[part.place(1.0)]
    return bool(y.max() > max(ends))


def inverted_u(evidence: Evidence, parameters: Mapping) -> Finding:
    """C07: benchmarks of group I bend down over w_p, with the best PLW strictly inside."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    numbers: dict[str, float] = {}
    bent = []
    for label, y in zip(part.labels, part.bar.T, strict=True):
        curve = parabola(part.settings, y)
        numbers |= {f"{label} b2": curve.b2, f"{label} best PLW": optimum(part.settings, y)}
        if curve.b2 < 0 and inner_optimum(part, y):
            bent.append(label)
    share = len(bent) / len(part.labels)
    strongly = "All of them." if share == 1 else f"Not {listed([x for x in part.labels if x not in bent])}."
    reason = f"{len(bent)} of {len(part.labels)} benchmarks have an inverted U with its top inside."
    return judged(share >= parameters["share"], reason, numbers, partial=strongly, notes=thin(part))


def group_1_range(evidence: Evidence, parameters: Mapping) -> Finding:
    """C08: the best PLW of each benchmark of group I lies in `range`; partly if in `wide`."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    best = {label: optimum(part.settings, y) for label, y in zip(part.labels, part.bar.T, strict=True)}

    def inside(low: float, high: float) -> bool:
        return all(low <= plw <= high for plw in best.values())

    holds = inside(*parameters["range"])
    low, high = parameters["wide"]
    partial = None if holds else f"{'All' if inside(low, high) else 'Not even all'} lie in {low:g} to {high:g}."
    outside = [label for label, plw in best.items() if not parameters["range"][0] <= plw <= parameters["range"][1]]
    bounds = f"{parameters['range'][0]:g} to {parameters['range'][1]:g}"
    reason = f"All optima lie in {bounds}." if holds else f"Outside {bounds}: {listed(outside)}."
    numbers = {f"{label} best PLW": plw for label, plw in best.items()}
    return judged(holds, reason, numbers, partial=partial, notes=thin(part))


def _rising(evidence: Evidence, parameters: Mapping, *, types: list[str]) -> Finding:
    part = cells(evidence, SHORT, parameters, groups=["II"], types=types)
    numbers: dict[str, float] = {}
    failed = []
    for label, y in zip(part.labels, part.bar.T, strict=True):
        rank, best = spearman(transformed(part.settings), y), optimum(part.settings, y)
        numbers |= {f"{label} Spearman": rank, f"{label} best PLW": best}
        if rank < parameters["spearman"] or best < parameters["best_from"]:
            failed.append(label)
    asked = f"rank correlation with w_p ≥ {parameters['spearman']:g} and best PLW ≥ {parameters['best_from']:g}"
    reason = f"Asked: {asked}; {'every benchmark has both' if not failed else f'not so {listed(failed)}'}."
    return judged(not failed, reason, numbers, notes=thin(part))


def long_generation_rises(evidence: Evidence, parameters: Mapping) -> Finding:
    """C10: the long-generation benchmarks rise with w_p and are best near 1."""
    return _rising(evidence, parameters, types=["GL"])


def multiple_choice_rises(evidence: Evidence, parameters: Mapping) -> Finding:
    """C11: the multiple-choice benchmark of group II does the same."""
    return _rising(evidence, parameters, types=["MC"])


def _noise(part: Cells) -> float:
    """Median over benchmarks of residual SD of the parabola / range of the scores."""
    ratios = [parabola(part.settings, y).residual_sd / np.ptp(y) for y in part.bar.T if np.ptp(y) > 0]
    if not ratios or np.isnan(ratios).any():
        raise Undecided("Too few PLWs to tell noise from a parabola.")
    return float(np.median(ratios))


def translation(evidence: Evidence, parameters: Mapping) -> Finding:
    """C15: no relation with w_p in group III, and more noise about a parabola than in groups I and II."""
    part = cells(evidence, SHORT, parameters, groups=["III"])
    other = cells(evidence, SHORT, parameters, groups=["I", "II"])
    p = [parabola(part.settings, y).p for y in part.bar.T]
    if np.isnan(p).any():
        raise Undecided("A test of the parabola needs at least four PLWs.")
    corrected, rank = adjusted(p), [abs(spearman(transformed(part.settings), y)) for y in part.bar.T]
    noise, compared = _noise(part), _noise(other)
    numbers = {
        "smallest corrected p": corrected.min(),
        "median |Spearman|": np.median(rank),
        "residual SD / range": noise,
        "the same in groups I and II": compared,
    }
    unrelated = corrected.min() >= parameters["alpha"] and np.median(rank) < parameters["spearman"]
    noisier = noise > compared
    partial = None
    if unrelated != noisier:
        partial = "No clear relation, but not noisier." if unrelated else "Noisier, but with a relation to w_p."
    reason = (
        f"{'No' if unrelated else 'A'} relation with w_p; {'more' if noisier else 'not more'} noise than elsewhere."
    )
    return judged(unrelated and noisier, reason, numbers, partial=partial, notes=thin(part, other))


def no_trend(evidence: Evidence, parameters: Mapping) -> Finding:
    """C16: hardly any benchmark bends significantly over w_p for AlpacaData and AlpacaDataCleaned."""
    parts = {role: cells(evidence, role, parameters) for role in LONG}
    p, rank = {}, []
    for role, part in parts.items():
        for label, y in zip(part.labels, part.bar.T, strict=True):
            p[f"{label} ({role})"] = parabola(part.settings, y).p
            rank.append(abs(spearman(transformed(part.settings), y)))
    if np.isnan(list(p.values())).any():
        raise Undecided("A test of the parabola needs at least four PLWs.")
    trends = [name for name, q in zip(p, adjusted(list(p.values())), strict=True) if q < parameters["alpha"]]
    numbers = {"tests": len(p), "significant after correction": len(trends), "median |Spearman|": np.median(rank)}
    named = f": {listed(trends)}" if trends else ""
    reason = f"{len(trends)} of {len(p)} tests of a parabola are significant after correction{named}."
    return judged(len(trends) / len(p) <= parameters["share"], reason, numbers, notes=thin(*parts.values()))


def only_short(evidence: Evidence, parameters: Mapping) -> Finding:
    """C17: a parabola explains the relative aggregate of AlpacaDataShort, and much less of the other two."""
    parts = {role: cells(evidence, role, parameters) for role in (SHORT, *LONG)}
    if min(len(part.settings) for part in parts.values()) < 4:
        raise Undecided("A parabola through three PLWs explains everything; R² needs at least four.")
    r2 = {role: parabola(part.settings, relative_aggregate(part)).r2 for role, part in parts.items()}
    lead = r2[SHORT] - max(r2[role] for role in LONG)
    holds = r2[SHORT] >= parameters["r2"] and lead >= parameters["lead"]
    reason = f"R² of {SHORT} is {r2[SHORT]:.2f}, {abs(lead):.2f} {'above' if lead >= 0 else 'below'} the next."
    return judged(holds, reason, {f"R² {role}": value for role, value in r2.items()}, notes=thin(*parts.values()))


def decline_at_one(evidence: Evidence, parameters: Mapping) -> Finding:
    """C24: benchmarks of group I are below their best at PLW 1, most of them also below PLW 0.5."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    last, half = part.bar[part.place(1.0)], part.bar[part.place(parameters["before"])]
    below_best = last < part.bar.max(axis=0)
    below_half = last < half
    numbers = {
        f"{label} at 1 minus best": float(one - best)
        for label, one, best in zip(part.labels, last, part.bar.max(axis=0), strict=True)
    }
    numbers["share below PLW 0.5"] = float(below_half.mean())
    holds = bool(below_best.all() and below_half.mean() >= parameters["share"])
    reason = (
        f"At PLW 1, {below_best.sum()} of {len(part.labels)} benchmarks are below their best and {below_half.sum()} "
        f"below PLW {parameters['before']:g}."
    )
    return judged(holds, reason, numbers, notes=thin(part))

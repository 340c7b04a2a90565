"""Claims that compare scores: data sets, ptlms, PLW 0 against the rest, gains in points (§5.1, §5.3.1, App. B)."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import (
    Cells,
    Evidence,
    benchmarks_of,
    cells,
    entry_of,
    full_scale,
    score_array,
    thin,
    without_constant,
)
from plw.claims.findings import Finding, Undecided, judged, listed
from plw.claims.measures import min_max

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")


def tuned_short(evidence: Evidence, parameters: Mapping) -> Finding:
    """C09: on each benchmark of group I the best PLW of AlpacaDataShort beats the best of both others."""
    entries = benchmarks_of(evidence, groups=["I"])
    short, *others = without_constant([score_array(evidence, role, entries) for role in (SHORT, *LONG)], parameters)
    margin = short.bar.max(axis=0) - np.max([part.bar.max(axis=0) for part in others], axis=0)
    averaged = short.bar.max(axis=0) - np.max([part.bar.mean(axis=0) for part in others], axis=0)
    numbers = {f"{label} margin": float(value) for label, value in zip(short.labels, margin, strict=True)}
    for place, ptlm in enumerate(short.ptlms):
        if all(ptlm in part.ptlms for part in others):
            rivals = [part.values[part.ptlms.index(ptlm)].max(axis=0) for part in others]
            alone = short.values[place].max(axis=0) - np.max(rivals, axis=0)
            numbers[f"benchmarks ahead, {ptlm} alone"] = int((alone > 0).sum())
    holds = bool((margin > 0).all())
    behind = [label for label, value in zip(short.labels, margin, strict=True) if value <= 0]
    weaker = f"Against the others' means over PLW it is ahead on {(averaged > 0).sum()} of {len(short.labels)}."
    reason = "Ahead on every benchmark." if holds else f"Not ahead on {listed(behind)}."
    return judged(holds, reason, numbers, partial=None if holds else weaker, notes=thin(short, *others))


def _share_worst(values: np.ndarray, place: int) -> np.ndarray:
    """For each column of [settings, columns]: 1 / (number of lowest settings) if `place` is one of them, else 0."""
    lowest = np.isclose(values, values.min(axis=0), rtol=0, atol=1e-12)
    return lowest[place] / lowest.sum(axis=0)


def masking_worst(evidence: Evidence, parameters: Mapping) -> Finding:
    """C12: PLW 0 scores lowest in most cells of benchmark and ptlm; a tie for the lowest counts as its part.

    A cell (ptlm and benchmark) in which all PLWs score the same is left out.
    """
    part = cells(evidence, SHORT, parameters, groups=["I", "II"])
    place = part.place(0.0)
    table = part.values.transpose(1, 0, 2).reshape(len(part.settings), -1)
    varies = np.ptp(table, axis=0) > 0
    if varies.mean() < parameters["least_judgeable"]:
        raise Undecided("In most cells of benchmark and ptlm all PLWs score the same.")
    share = float(_share_worst(table[:, varies], place).mean())
    on_bar = float(_share_worst(part.bar, place).sum())
    numbers = {
        "share of cells": share,
        "cells": int(varies.sum()),
        "benchmarks (means over ptlms)": on_bar,
        "of": len(part.labels),
    }
    reason = f"PLW 0 is lowest in {share:.0%} of {varies.sum()} cells of benchmark and ptlm."
    enough = on_bar / len(part.labels) >= parameters["share_of_benchmarks"]
    partial = f"On means over ptlms it is lowest on {on_bar:g} of {len(part.labels)} benchmarks"
    partial += f" ({'enough' if enough else 'too few'} for 'almost always')."
    return judged(share >= parameters["share"], reason, numbers, partial=partial, notes=thin(part))


def _spans(part: Cells) -> dict[str, float]:
    """Largest minus smallest score over PLW of each benchmark, in points, on means over ptlms."""
    return {label: 100 * float(np.ptp(y)) for label, y in zip(part.labels, part.bar.T, strict=True)}


def _gains(part: Cells) -> dict[str, float]:
    """Largest score minus that at PLW 0 of each benchmark, in points, on means over ptlms."""
    start = part.bar[part.place(0.0)]
    return dict(zip(part.labels, map(float, 100 * (part.bar.max(axis=0) - start)), strict=True))


def long_generation_gain(evidence: Evidence, parameters: Mapping) -> Finding:
    """C13: PLW moves long generation by about 20 points; at a smaller scale: by far more than group I."""
    part = cells(evidence, SHORT, parameters, groups=["II"], types=["GL"])
    spans, compared = _spans(part), _spans(cells(evidence, SHORT, parameters, groups=["I"]))
    low, high = parameters["points"]
    numbers = {f"{label} points": value for label, value in spans.items()}
    numbers["largest of group I, points"] = max(compared.values())
    direction = min(spans.values()) > parameters["ratio"] * max(compared.values())
    said = f"{'All' if direction else 'Not all'} exceed {parameters['ratio']:g} times the largest of group I."
    in_range = all(low <= value <= high for value in spans.values())
    if full_scale(evidence, parameters):
        reason = f"Asked: {low:g} to {high:g} points. {'All are' if in_range else 'Not all are'}."
        return judged(in_range, reason, numbers, partial=said, notes=thin(part))
    return judged(
        direction,
        f"Below the paper's scale only the direction is judged. {said}",
        numbers,
        partial=f"{'All' if in_range else 'Not all'} are in {low:g} to {high:g} points.",
        notes=thin(part),
    )


def short_generation_gain(evidence: Evidence, parameters: Mapping) -> Finding:
    """C14: PLW adds under two points elsewhere; at a smaller scale: far less than to long generation."""
    part = cells(evidence, SHORT, parameters, groups=["I"])
    entries = [entry for entry in benchmarks_of(evidence, groups=["II"]) if entry.get("type") == "MC"]
    others = [part]
    if entries:
        try:
            others += without_constant([score_array(evidence, SHORT, entries)], parameters)
        except Undecided:  # constant: says nothing either way
            entries = []
    gains = {label: gain for one in others for label, gain in _gains(one).items()}
    largest = max(gains, key=gains.__getitem__)
    numbers = {f"{label} points": value for label, value in gains.items()}
    numbers["largest minus smallest, points"] = max(max(_spans(one).values()) for one in others)
    small = gains[largest] < parameters["points"]
    if full_scale(evidence, parameters):
        reason = f"The largest gain is {gains[largest]:.1f} points ({largest}); asked: under {parameters['points']:g}."
        return judged(small, reason, numbers, notes=thin(*others))
    long = _spans(cells(evidence, SHORT, parameters, groups=["II"], types=["GL"]))
    numbers |= {f"{label} points (long generation)": value for label, value in long.items()}
    holds = gains[largest] * parameters["ratio"] < min(long.values())
    return judged(
        holds,
        f"Below the paper's scale points cannot be compared with the paper's; {parameters['ratio']:g} times the largest"
        f" gain ({largest}) is {'less' if holds else 'not less'} than long generation's.",
        numbers,
        partial=f"{'All' if small else 'Not all'} gains are under {parameters['points']:g} points.",
        notes=thin(*others),
    )


def small_weight_helps(evidence: Evidence, parameters: Mapping) -> Finding:
    """C23: the relative aggregate at PLW 0.01 exceeds that at 0, for each ptlm."""
    part = cells(evidence, SHORT, parameters)
    aggregate = min_max(part.values).mean(axis=2)
    steps = aggregate[:, part.place(parameters["plw"])] - aggregate[:, part.place(0.0)]
    numbers = {
        f"{ptlm}: PLW {parameters['plw']:g} minus 0": float(step) for ptlm, step in zip(part.ptlms, steps, strict=True)
    }
    enough = [ptlm for ptlm, step in zip(part.ptlms, steps, strict=True) if step > parameters["step"]]
    reason = f"More than {parameters['step']:g} of the relative scale for {len(enough)} of {len(steps)} ptlms."
    return judged(len(enough) == len(steps), reason, numbers, notes=thin(part))


def _shares(later: np.ndarray, earlier: np.ndarray) -> tuple[float, float]:
    """Share of cells in which the later one is higher, and in which both are the same."""
    return float((later > earlier).mean()), float((later == earlier).mean())


def successors_win(evidence: Evidence, parameters: Mapping) -> Finding:
    """C36: LLaMA 2 scores above LLaMA 1, and AlpacaDataCleaned above AlpacaData, in most cells."""
    first, second = (entry_of(evidence.ptlms, role)["name"] for role in ("LLaMA 1", "LLaMA 2"))
    entries = benchmarks_of(evidence)
    parts = without_constant([score_array(evidence, role, entries) for role in (SHORT, *LONG)], parameters)
    for part in parts:
        absent = [name for name in (first, second) if name not in part.ptlms]
        if absent:
            raise Undecided(f"There are no runs of {listed(absent)} in the main experiment.")
    ptlms, same_ptlms = _shares(
        np.concatenate([part.values[part.ptlms.index(second)].ravel() for part in parts]),
        np.concatenate([part.values[part.ptlms.index(first)].ravel() for part in parts]),
    )
    plain, cleaned = parts[1:]
    if (plain.ptlms, plain.settings) != (cleaned.ptlms, cleaned.settings):
        raise Undecided("AlpacaData and AlpacaDataCleaned were not trained with the same ptlms and PLWs.")
    datasets, same_datasets = _shares(cleaned.values, plain.values)
    numbers = {"LLaMA 2 above LLaMA 1": ptlms, "the same": same_ptlms}
    numbers |= {"Cleaned above AlpacaData": datasets, "Cleaned the same": same_datasets}
    enough = [ptlms >= parameters["share"], datasets >= parameters["share"]]
    reason = f"Asked: at least {parameters['share']:.0%} of cells; LLaMA 2 {ptlms:.0%}, Cleaned {datasets:.0%}."
    partial = None
    if enough[0] != enough[1]:
        partial = f"Only {'LLaMA 2' if enough[0] else 'AlpacaDataCleaned'} scores above its predecessor that often."
    return judged(all(enough), reason, numbers, partial=partial, notes=thin(*parts))

"""Claims that compare scores: data sets, ptlms, PLW 0 against the rest, gains in points (§5.1, §5.3.1, App. B)."""

import contextlib
from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import (
    Cells,
    Evidence,
    benchmarks_of,
    cells,
    entry_of,
    score_array,
    thin,
    without_constant,
)
from plw.claims.findings import Measured, Undecided, listed, region_of
from plw.claims.measures import min_max, points
from plw.claims.rules_shapes import named
from plw.scores.scale import is_constant

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")


def tuned_short(evidence: Evidence, parameters: Mapping) -> Measured:
    """C09: the smallest margin over group I, in points: best bar of AlpacaDataShort minus the best of both others."""
    entries = benchmarks_of(evidence, groups=["I"])
    short, *others = without_constant([score_array(evidence, role, entries) for role in (SHORT, *LONG)], parameters)
    margin = points(short.bar.max(axis=1) - np.max([part.bar.max(axis=1) for part in others], axis=0))
    numbers = named(short, "margin, points", margin)
    for place, ptlm in enumerate(short.ptlms):
        if all(ptlm in part.ptlms for part in others):
            rivals = [part.values[:, part.ptlms.index(ptlm)].max(axis=1) for part in others]
            alone = points(short.values[:, place].max(axis=1) - np.max(rivals, axis=0))
            numbers[f"benchmarks ahead, {ptlm} alone"] = (alone > 0).sum(axis=1)
    return Measured(margin.min(axis=1), region_of(parameters), None, numbers, "", thin(short, *others))


def _share_worst(values: np.ndarray, place: int) -> np.ndarray:
    """For each column of [worlds, settings, columns]: 1 / (number of lowest settings) if `place` is one, else 0."""
    lowest = np.isclose(values, values.min(axis=1, keepdims=True), rtol=0, atol=1e-12)
    return lowest[:, place] / lowest.sum(axis=1)


def masking_worst(evidence: Evidence, parameters: Mapping) -> Measured:
    """C12: share of cells of benchmark and ptlm in which PLW 0 scores lowest; a tie for the lowest counts as its part.

    A cell in which all PLWs of the study score the same is left out.
    """
    part = cells(evidence, SHORT, parameters, groups=["I", "II"])
    place = part.place(0.0)
    varies = ~is_constant(part.observed.min(axis=1), part.observed.max(axis=1)).ravel()
    if varies.mean() < parameters["least_judgeable"]:
        raise Undecided("In most cells of benchmark and ptlm all PLWs score the same.")
    table = part.values.transpose(0, 2, 1, 3).reshape(len(part.values), len(part.settings), -1)[:, :, varies]
    numbers = {
        "cells": int(varies.sum()),
        "benchmarks (means over ptlms)": _share_worst(part.bar, place).sum(axis=1),
        "of": len(part.labels),
    }
    deficit = (np.delete(table, place, axis=1).mean(axis=1) - table[:, place]).mean(axis=1)
    numbers["mean points below the other PLWs"] = 100 * deficit
    worst = _share_worst(table, place).mean(axis=1)
    return Measured(worst, region_of(parameters), None, numbers, "", thin(part), strength=deficit)


def _points(part: Cells) -> np.ndarray:
    """Largest minus smallest score over PLW, in points, on means over ptlms, [worlds, benchmarks]."""
    return 100 * np.ptp(part.bar, axis=1)


def long_generation_gain(evidence: Evidence, parameters: Mapping) -> Measured:
    """C13: the points that the choice of PLW is worth on long generation, mean over its benchmarks."""
    part = cells(evidence, SHORT, parameters, groups=["II"], types=["GL"])
    compared = _points(cells(evidence, SHORT, parameters, groups=["I"])).max(axis=1)
    numbers = named(part, "points", _points(part)) | {"largest of group I, points": compared}
    return Measured(_points(part).mean(axis=1), region_of(parameters), None, numbers, "", thin(part))


def short_generation_gain(evidence: Evidence, parameters: Mapping) -> Measured:
    """C14: the largest gain over PLW 0 of the benchmarks of group I and TruthfulQA-MC2, in points."""
    parts = [cells(evidence, SHORT, parameters, groups=["I"])]
    entries = [entry for entry in benchmarks_of(evidence, groups=["II"]) if entry.get("type") == "MC"]
    if entries:
        with contextlib.suppress(Undecided):  # constant: says nothing either way
            parts += without_constant([score_array(evidence, SHORT, entries)], parameters)
    numbers: dict[str, np.ndarray] = {}
    gains = []
    for part in parts:
        gain = points(part.bar.max(axis=1) - part.bar[:, part.place(0.0)])
        numbers |= named(part, "points", gain)
        gains.append(gain)
    return Measured(np.concatenate(gains, axis=1).max(axis=1), region_of(parameters), None, numbers, "", thin(*parts))


def small_weight_helps(evidence: Evidence, parameters: Mapping) -> Measured:
    """C23: relative aggregate at PLW 0.01 minus that at 0, the smallest over ptlms."""
    part = cells(evidence, SHORT, parameters)
    aggregate = min_max(part.values).mean(axis=3)
    steps = aggregate[:, :, part.place(parameters["plw"])] - aggregate[:, :, part.place(0.0)]
    numbers = {
        f"{ptlm}: PLW {parameters['plw']:g} minus 0": step for ptlm, step in zip(part.ptlms, steps.T, strict=True)
    }
    return Measured(steps.min(axis=1), region_of(parameters), None, numbers, "", thin(part))


def _share(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Share of cells in which the later one is higher, [worlds]; a tie counts half."""
    higher = (1 + np.sign(points(later - earlier))) / 2
    return higher.reshape(len(later), -1).mean(axis=1)


def successors_win(evidence: Evidence, parameters: Mapping) -> Measured:
    """C36: the smaller of two shares of cells: LLaMA 2 above LLaMA 1, AlpacaDataCleaned above AlpacaData."""
    first, second = (entry_of(evidence.ptlms, role)["name"] for role in ("LLaMA 1", "LLaMA 2"))
    entries = benchmarks_of(evidence)
    parts = without_constant([score_array(evidence, role, entries) for role in (SHORT, *LONG)], parameters)
    for part in parts:
        absent = [name for name in (first, second) if name not in part.ptlms]
        if absent:
            raise Undecided(f"There are no runs of {listed(absent)} in the main experiment.")
    of = [
        np.concatenate([part.values[:, part.ptlms.index(name)].reshape(len(part.values), -1) for part in parts], axis=1)
        for name in (second, first)
    ]
    plain, cleaned = parts[1:]
    if (plain.ptlms, plain.settings) != (cleaned.ptlms, cleaned.settings):
        raise Undecided("AlpacaData and AlpacaDataCleaned were not trained with the same ptlms and PLWs.")
    ptlms, datasets = _share(*of), _share(cleaned.values, plain.values)
    numbers = {"LLaMA 2 above LLaMA 1": ptlms, "Cleaned above AlpacaData": datasets}
    return Measured(np.minimum(ptlms, datasets), region_of(parameters), None, numbers, "", thin(*parts))

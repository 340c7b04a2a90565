"""`plw compare`: in what two studies differ beyond noise, of what they have in common.

Means of benchmarks and measures over the cells (ptlm, data set, PLW, loss, regularizer) that both have; coefficients of
the regressions; optimal PLWs; estimates of the claims. A difference counts where its p-value, corrected by Holm within
its kind, is below `alpha`; of optimal PLWs where their intervals are apart.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from plw.scores.scale import is_constant
from plw.sharing.sides import Side

ALPHA = 0.05
CELL = ["role", "plw", "normalization", "regularizer", "strength"]
FACTORS = {"ptlm": "ptlms", "role": "data sets", "plw": "PLWs", "normalization": "denominators",
           "regularizer": "regularizers", "seed": "seeds", "benchmark": "benchmarks"}  # fmt: skip
TWO_SIDED = 1.959963984540054  # of a normal distribution at 95 %


def compare(first: Side, second: Side, *, alpha: float = ALPHA) -> dict[str, Any]:
    """What differs: {sides, designs, made, benchmarks, measures, regressions, optima, claims}.

    designs     by factor: what only one of them has; `ptlms_pooled`: none is in both, so each side's are averaged
    made        commits, versions, machines that differ
    benchmarks, measures  rows {role, name, first, second, difference, low, high, p, p_holm, differs, cells, noise}
    regressions rows {role, name, …} of coefficients; claims rows {id, verdicts, …}; optima rows {type, r_g, …}
    """
    pooled = not set(first.scores["ptlm"]) & set(second.scores["ptlm"])
    return {
        "sides": [_about(side) for side in (first, second)],
        "designs": _designs(first, second) | {"ptlms_pooled": pooled},
        "made": _made(first, second),
        "benchmarks": _means(first.scores, second.scores, first, second, pooled, alpha),
        "measures": _means(first.measures, second.measures, None, None, pooled, alpha),
        "regressions": _regressions(first, second, alpha),
        "optima": _optima(first, second),
        "claims": _claims(first, second, alpha),
    }


def _about(side: Side) -> dict:
    return {"name": side.name, "folder": str(side.folder), "runs": int(side.scores["run"].nunique())}


def _designs(first: Side, second: Side) -> dict[str, dict[str, list]]:
    found = {}
    for column, words in FACTORS.items():
        one, two = (set(side.scores[column].tolist()) for side in (first, second))
        if one != two:
            found[words] = {"only_first": sorted(one - two), "only_second": sorted(two - one)}
    return found


def _made(first: Side, second: Side) -> dict[str, dict[str, list[str]]]:
    """Commits, machines and versions where the two sides' records name others."""
    values: list[dict[str, set[str]]] = []
    for side in (first, second):
        named: dict[str, set[str]] = {}
        for record in side.records.values():
            git, device = record.get("git", {}), record.get("device", {})
            named.setdefault("commit", set()).add(f"{git.get('commit')}{' (changed)' if git.get('dirty') else ''}")
            named.setdefault("machine", set()).add(str(device.get("model") or device.get("cpu")))
            for name, version in record.get("versions", {}).items():
                named.setdefault(name, set()).add(str(version))
        values.append(named)
    one, two = values
    return {
        name: {"first": sorted(one[name]), "second": sorted(two[name])}
        for name in one
        if name in two and one[name] != two[name]
    }


# --- means over the common cells ------------------------------------------------------------------------------------
def _means(
    one: pd.DataFrame | None,
    two: pd.DataFrame | None,
    first: Side | None,
    second: Side | None,
    pooled: bool,
    alpha: float,
) -> list[dict]:
    """The mean of each benchmark (or measure) on each data set over the cells of both sides."""
    if one is None or two is None:
        return []
    cell = CELL if pooled else ["ptlm", *CELL]
    rows = []
    for (role, name), ours in one.groupby(["role", "benchmark"], sort=False):
        theirs = two[(two["role"] == role) & (two["benchmark"] == name)]
        keys = pd.merge(ours[cell].drop_duplicates(), theirs[cell].drop_duplicates(), on=cell)
        if keys.empty:
            continue
        sides = [part.merge(keys, on=cell) for part in (ours, theirs)]
        means = [float(part.groupby(cell)["score"].mean().mean()) for part in sides]
        seeds = _seed_noise(sides, cell)
        items, how = _item_noise(sides, str(name), first, second)
        row = {"role": role, "name": name, "first": means[0], "second": means[1], "cells": len(keys)}
        rows.append(row | _difference(means[1] - means[0], seeds, items) | {"noise": f"{seeds[2]}; {how}"})
    return _holm(rows, alpha)


def _seed_noise(sides: Sequence[pd.DataFrame], cell: list[str]) -> tuple[float, float, str]:
    """(variance of the difference of the means, degrees of freedom, in words) by what seeds make of them.

    A seed's luck is alike at neighbouring PLWs, so a seed gives one number: its mean over the cells that all of a
    side's seeds have. The variance of these is pooled over the sides. With one seed everywhere the cells stand for
    replicates: the variance of their differences over their number, too small where luck is alike among them.
    """
    spreads, freedom, shares, words = 0.0, 0, 0.0, []
    for part in sides:
        curves = part.pivot_table(index="seed", columns=cell, values="score")
        shares += float((1 / curves.notna().sum()).mean())  # a cell's mean is of as many seeds as it has
        words.append(str(len(curves)))
        curves = curves.dropna(axis=1)
        if len(curves) > 1 and curves.shape[1]:
            spreads += float(curves.mean(axis=1).var(ddof=1)) * (len(curves) - 1)
            freedom += len(curves) - 1
    if freedom:
        return spreads / freedom * shares, freedom, f"{' and '.join(words)} seeds"
    one, two = (part.groupby(cell)["score"].mean() for part in sides)
    differences = (two - one).dropna()
    if len(differences) < 2:
        return float("nan"), 0.0, "one seed and one cell: nothing says how far luck goes"
    return float(differences.var(ddof=1) / len(differences)), len(differences) - 1, "one seed: the cells as replicates"


def _item_noise(
    sides: Sequence[pd.DataFrame], name: str, first: Side | None, second: Side | None
) -> tuple[tuple[float, float], str]:
    """((variance, degrees of freedom), in words) by the choice of the benchmark's items.

    Paired where both have scores of the same items, by number; else from the standard errors, which all cells share.
    """
    if first is None or second is None:
        return (0.0, 1.0), "no items"
    if first.items is not None and second.items is not None:
        means = []
        for side, part in ((first, sides[0]), (second, sides[1])):
            assert side.items is not None
            own = side.items[(side.items["benchmark"] == name) & side.items["run"].isin(part["run"])]
            means.append(own.groupby("item")["score"].mean())
        whole = all(mean.notna().all() for mean in means)  # of corpus BLEU an item has counts and no score
        if whole and len(means[0]) > 1 and means[0].index.equals(means[1].index):
            differences = means[1] - means[0]
            count = len(differences)
            return (float(differences.var(ddof=1) / count), count - 1), f"{count} items, paired"
    errors = [part["stderr"].astype(float) for part in sides]
    if any(error.isna().all() for error in errors):
        return (0.0, 1.0), "standard errors of items not known"
    items = [part["n"].astype(float).min() for part in sides]
    return (float(sum((error**2).mean() for error in errors)), float(np.nanmin(items)) - 1), "items of each side"


def _difference(value: float, seeds: tuple, items: tuple[float, float]) -> dict:
    """A difference with its 95 % interval and p-value; degrees of freedom by Satterthwaite."""
    variance = seeds[0] + items[0]
    if not np.isfinite(variance):
        return {"difference": value, "low": None, "high": None, "p": None}
    if is_constant(0.0, np.sqrt(variance)):  # neither seeds nor items moved: the two are the same, or surely not
        p = 1.0 if is_constant(0.0, abs(value)) else 0.0
        return {"difference": value, "low": value, "high": value, "p": p}
    parts = seeds[0] ** 2 / max(seeds[1], 1) + items[0] ** 2 / max(items[1], 1)
    freedom = variance**2 / parts
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(variance))
    p = float(2 * stats.t.sf(abs(value) / np.sqrt(variance), freedom))
    return {"difference": value, "low": value - half, "high": value + half, "p": p}


def _holm(rows: list[dict], alpha: float) -> list[dict]:
    """The rows with `p_holm` (Holm 1979) and `differs`; None where there is no p-value."""
    known = sorted((row for row in rows if row["p"] is not None), key=lambda row: row["p"])
    largest = 0.0
    for place, row in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * row["p"]))
        row |= {"p_holm": largest, "differs": largest < alpha}
    return [{"p_holm": None, "differs": None, **row} for row in rows]


# --- what was computed from the scores ------------------------------------------------------------------------------
def _regressions(first: Side, second: Side, alpha: float) -> list[dict]:
    """Table 3's coefficients of w_p and w_p² on each data set that both regress."""
    fits = []
    for side in (first, second):
        known = [
            result
            for name, result in side.results.items()
            if name != "claims.json" and "coefficients" in (result.get("fit") or {})
        ]
        fits.append({side.role(result["dataset"]): result["fit"] for result in known})
    rows = []
    for role in (role for role in fits[0] if role in fits[1]):
        for name in ("w_p", "w_p2"):
            one, two = (fit[role]["coefficients"].get(name) for fit in fits)
            if one and two and all(each.get("se") is not None for each in (one, two)):
                row = {"role": role, "name": name, "first": one["estimate"], "second": two["estimate"]}
                row |= {"intervals": [[each["ci_low"], each["ci_high"]] for each in (one, two)]}
                rows.append(row | _normal(two["estimate"] - one["estimate"], float(np.hypot(one["se"], two["se"]))))
    return _holm(rows, alpha)


def _normal(value: float, error: float) -> dict:
    if error == 0:
        return {"difference": value, "p": 1.0 if value == 0 else 0.0}
    return {"difference": value, "p": float(2 * stats.norm.sf(abs(value) / error))}


def _optima(first: Side, second: Side) -> list[dict]:
    """Table 5's optimal PLWs by type of benchmark and ratio; they differ where their intervals are apart."""
    gams = [side.results.get("gam.json") for side in (first, second)]
    if not all(gams):
        return []
    rows, tables = [], []
    for gam in gams:
        assert gam is not None
        fits = {kind: fit.get(gam["covariate"]) or {} for kind, fit in gam["fits"].items()}
        tables.append({(kind, row["r_g"]): row for kind, fit in fits.items() for row in fit.get("rows") or []})
    for key in (key for key in tables[0] if key in tables[1]):
        one, two = (table[key] for table in tables)
        intervals = [[each.get("low"), each.get("high")] for each in (one, two)]
        apart = None
        if all(None not in interval for interval in intervals):
            apart = max(low for low, _ in intervals) > min(high for _, high in intervals)
        rows.append(
            {"type": key[0], "r_g": key[1], "first": one["plw"], "second": two["plw"], "intervals": intervals,
             "differs": apart}
        )  # fmt: skip
    return rows


def _claims(first: Side, second: Side, alpha: float) -> list[dict]:
    """Verdicts of both, and whether the estimates differ by more than their intervals allow."""
    both = [{claim["id"]: claim for claim in side.results.get("claims.json", {}).get("claims", [])}
            for side in (first, second)]  # fmt: skip
    rows = []
    for name in (name for name in both[0] if name in both[1]):
        one, two = (claims[name] for claims in both)
        row = {"id": name, "text": one["text"], "verdicts": [one["verdict"], two["verdict"]]}
        row |= {"first": one.get("estimate"), "second": two.get("estimate")}
        row |= {"intervals": [one.get("interval"), two.get("interval")]}
        rows.append(row | _estimates(one, two))
    return [row | {"other_verdict": len(set(row["verdicts"])) > 1} for row in _holm(rows, alpha)]


def _estimates(one: dict, two: dict) -> dict:
    """The difference of two estimates, each with the half of its interval that looks towards the other."""
    (first, (low, high)), (second, (other_low, other_high)) = (_with_interval(claim) for claim in (one, two))
    if None in (first, second, low, high, other_low, other_high):
        return {"difference": None, "p": None}
    halves = (high - first, second - other_low) if second > first else (first - low, other_high - second)
    return _normal(second - first, float(np.hypot(*halves)) / TWO_SIDED)


def _with_interval(claim: dict) -> tuple[Any, tuple[Any, Any]]:
    interval = claim.get("interval") or (None, None)
    return claim.get("estimate"), (interval[0], interval[1])

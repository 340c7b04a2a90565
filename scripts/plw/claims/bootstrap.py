"""Uncertainty of a verdict from the benchmarks' items: resample the items and judge the claim again.

Items are paired: a resample draws the same items of a benchmark for all runs, so that what makes an item hard for all
of them cancels. Benchmarks without item scores (corpus BLEU has none) keep their scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from plw.claims.evidence import Evidence
from plw.claims.findings import INCONCLUSIVE, SUPPORTED, Finding, Undecided


def resampled_scores(evidence: Evidence, *, resamples: int, seed: int) -> np.ndarray | None:
    """Scores under resampled items, float [resamples, rows of evidence.scores]; None without item scores.

    A run's score moves by the difference that the resample makes to its mean over items, so a score that is not
    exactly that mean (ties counted apart, for example) keeps its level. Items that some run lacks are left out.
    """
    if evidence.items is None or evidence.items.empty:
        return None
    rng = np.random.default_rng(seed)
    scores = evidence.scores
    values = np.tile(scores["score"].to_numpy(dtype=float), (resamples, 1))
    runs = set(scores["run"])
    for benchmark, part in evidence.items[evidence.items["run"].isin(runs)].groupby("benchmark", sort=True):
        table = part.pivot(index="run", columns="item", values="score").dropna(axis=1)
        rows = np.flatnonzero(((scores["benchmark"] == benchmark) & scores["run"].isin(table.index)).to_numpy())
        if table.empty or not len(rows):
            continue
        items = table.shape[1]
        draws = rng.multinomial(items, np.full(items, 1 / items), size=resamples) / items
        matrix = table.loc[scores["run"].iloc[rows]].to_numpy(dtype=float)
        values[:, rows] += draws @ matrix.T - matrix.mean(axis=1)
    return values


def with_uncertainty(
    finding: Finding,
    rule: Callable[[Evidence, Mapping], Finding],
    evidence: Evidence,
    parameters: Mapping,
    resampled: np.ndarray,
) -> Finding:
    """The finding, or an inconclusive one where fewer than the share `decided` of the resamples agree with it."""
    verdicts = []
    for values in resampled:
        try:
            verdicts.append(rule(replace(evidence, values=values), parameters).verdict)
        except Undecided:
            verdicts.append(INCONCLUSIVE)
    holds = verdicts.count(SUPPORTED) / len(verdicts)
    agree = verdicts.count(finding.verdict) / len(verdicts)
    numbers = {**finding.numbers, "share of resamples in which the rule holds": holds}
    said = f"bootstrap over items: rule holds in {holds:.0%} of {len(verdicts)} resamples"
    if agree >= parameters["decided"]:
        return replace(finding, reason=f"{finding.reason} ({said})", numbers=numbers)
    point = f"Point estimate: {finding.verdict}. {finding.reason}"
    return Finding(INCONCLUSIVE, f"{said[0].upper()}{said[1:]}. {point}", numbers, finding.partial)

"""A verdict from a rule and its error rates in simulated studies.

Supported:     the estimate lies in the paper's region, and a world without the effect would give one that is as much
               in favour in fewer than 5 % of studies of this design and noise.
Contradicted:  it lies outside, and the paper's world would give one that is as far outside in fewer than 5 %.
Inconclusive:  everything else, with what would decide it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from plw.claims.findings import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Finding, Measured, plain

LEVEL = 0.05  # both error rates
WIDTH = 0.95  # of intervals


@dataclass(frozen=True)
class Sample:
    """Margins (and estimates) of a rule in simulated studies, float [studies] each.

    without  a world in which the claim is false; paper: the paper's world; own: the study's own curves, for intervals
    more_without, more_paper  the same two with two more seeds in each cell
    """

    without: Measured
    paper: Measured
    own: Measured
    more_without: Measured
    more_paper: Measured


def share_at_least(margins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the share of margins that reach it, (1 + count) / (1 + number): never 0."""
    ordered = np.sort(margins)
    return (1 + len(ordered) - np.searchsorted(ordered, values, side="left")) / (1 + len(ordered))


def share_at_most(margins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the share of margins that do not exceed it."""
    return share_at_least(-margins, -values)


def decided(studies: Measured, without: Measured, paper: Measured) -> np.ndarray:
    """Verdicts of many studies: 1 supported, −1 contradicted, 0 inconclusive."""
    margins = studies.margins
    supported = (margins >= 0) & (share_at_least(without.strengths, studies.strengths) < LEVEL)
    contradicted = (margins < 0) & (share_at_most(paper.margins, margins) < LEVEL)
    return supported.astype(int) - contradicted.astype(int)


@dataclass(frozen=True)
class Rates:
    """What a claim's rule does in known worlds.

    p_without  share of worlds without the effect with an outcome at least as much in favour as this study's
    p_paper    share of the paper's worlds with one at most as much in favour
    false_supported, false_contradicted  share of verdicts that would be wrong, in the two worlds
    power, refutes       share of right ones: supported in the paper's world, contradicted in the one without
    more_power, more_refutes  the same with two more seeds
    """

    p_without: float
    p_paper: float
    false_supported: float
    false_contradicted: float
    power: float
    refutes: float
    more_power: float
    more_refutes: float


def rates_of(measured: Measured, sample: Sample) -> Rates:
    """The rates of a rule, and what they are of this study's outcome."""
    without, paper, first, second = sample.without, sample.paper, sample.more_without, sample.more_paper
    as_much = share_at_least(without.strengths, measured.strengths[:1])
    if not measured.holds:
        as_much = share_at_least(without.margins, measured.margins[:1])
    in_without, in_paper = decided(without, without, paper), decided(paper, without, paper)
    return Rates(
        p_without=float(as_much[0]),
        p_paper=float(share_at_most(paper.margins, measured.margins[:1])[0]),
        false_supported=float((in_without == 1).mean()),
        false_contradicted=float((in_paper == -1).mean()),
        power=float((in_paper == 1).mean()),
        refutes=float((in_without == -1).mean()),
        more_power=float((decided(second, first, second) == 1).mean()),
        more_refutes=float((decided(first, first, second) == -1).mean()),
    )


def interval_of(estimate: float, sample: Sample) -> tuple[float, float] | None:
    """Where the estimate lies in 95 % of studies with this study's own curves; widened to hold the estimate itself."""
    found = np.asarray(sample.own.estimate, dtype=float)
    found = found[np.isfinite(found)]
    if len(found) < 20:
        return None
    low, high = np.quantile(found, [(1 - WIDTH) / 2, (1 + WIDTH) / 2])
    return (
        (min(float(low), estimate), max(float(high), estimate)) if np.isfinite(estimate) else (float(low), float(high))
    )


def standardised(measured: Measured, sample: Sample) -> dict | None:
    """Margins on one scale for a figure: in SDs of the world without the effect, from its median.

    Returns {region, estimate, own: [low, high], without: […], paper: […]} (90 % spans), None without spread.
    """
    finite = sample.without.margins[np.isfinite(sample.without.margins)]
    if len(finite) < 20:
        return None
    middle, scale = float(np.median(finite)), float(np.std(finite))
    if scale <= 0:
        return None

    def span(margins: np.ndarray) -> list[float]:
        kept = margins[np.isfinite(margins)]
        return [] if not len(kept) else [float((value - middle) / scale) for value in np.quantile(kept, [0.05, 0.95])]

    at = measured.margins[0]
    return {
        "region": float(-middle / scale),
        "estimate": float((at - middle) / scale) if np.isfinite(at) else None,
        "own": span(sample.own.margins),
        "without": span(sample.without.margins),
        "paper": span(sample.paper.margins),
    }


def fields(claim: Mapping, measured: Measured | None, **more: object) -> dict:
    """The fields of claims.json that say what was estimated, beside verdict, reason and numbers."""
    entry = {"estimand": claim.get("estimand"), "family": claim.get("family"), "calibration": claim["calibration"]}
    entry |= {"estimate": None, "region": None, "interval": None, "rates": None, "standardised": None}
    if measured is not None:
        estimate = float(np.atleast_1d(np.asarray(measured.estimate, dtype=float))[0])
        entry |= {"estimate": estimate, "region": list(measured.region)}
    return plain(entry | more)


def _number(value: float) -> str:
    return "undefined" if not np.isfinite(value) else f"{value:.3g}".replace("-", "−")


def _region(region: tuple[float, float]) -> str:
    low, high = region
    if not np.isfinite(low):
        return f"at most {_number(high)}" if np.isfinite(high) else "any"
    if not np.isfinite(high):
        return "above 0" if low == 0 else f"at least {_number(low)}"
    return f"{_number(low)}" if low == high else f"{_number(low)} to {_number(high)}"


def said_of(measured: Measured, interval: tuple[float, float] | None) -> str:
    """The estimate, its interval and the paper's region, as a sentence."""
    estimate = float(np.atleast_1d(np.asarray(measured.estimate, dtype=float))[0])
    within = f" (95 %: {_number(interval[0])} to {_number(interval[1])})" if interval else ""
    side = "holds" if measured.holds else "does not hold"
    return (
        f"Estimate {_number(estimate)}{within}; by the paper {_region(measured.region)}: at the point the claim {side}."
    )


def percent(rate: float) -> str:
    """A rate in whole per cent, small ones with one digit."""
    return f"{100 * rate:.1f} %" if rate < 0.1 else f"{100 * rate:.0f} %"


def _would_decide(rates: Rates) -> str:
    """What this design can decide and what two more seeds would change."""
    said = (
        f"A study like this one would support the claim in {percent(rates.power)} of the paper's worlds and contradict"
        f" it in {percent(rates.refutes)} of worlds without the effect; with two more seeds in"
        f" {percent(rates.more_power)} and {percent(rates.more_refutes)}."
    )
    if max(rates.more_power, rates.more_refutes) < 0.5:
        said += " Seeds alone will not do: it needs more items, PLWs or ptlms, or a larger effect."
    return said


def verdict_by_worlds(claim: Mapping, measured: Measured, sample: Sample) -> Finding:
    """The finding on a claim whose rule was simulated."""
    margin = float(measured.margins[0])
    rates = rates_of(measured, sample)
    interval = interval_of(float(np.atleast_1d(measured.estimate)[0]), sample)
    verdict = INCONCLUSIVE
    if margin >= 0 and rates.p_without < LEVEL:
        verdict = SUPPORTED
    elif margin < 0 and rates.p_paper < LEVEL:
        verdict = CONTRADICTED
    doubt = measured.doubts.get(verdict)
    said = [said_of(measured, interval)]
    without = "A world at the edge of the claim" if claim.get("against") else "A world without the effect"
    said.append(
        f"{without} gives as much in favour in {percent(rates.p_without)} of studies, the paper's as little in"
        f" {percent(rates.p_paper)}."
    )
    if doubt:
        said.append(f"Not {verdict}, because tests disagree: {doubt}.")
        verdict = INCONCLUSIVE
    said += filter(None, [measured.words, measured.notes])
    partial = _would_decide(rates) if verdict == INCONCLUSIVE else None
    more = fields(claim, measured, interval=interval, rates=vars(rates), standardised=standardised(measured, sample))
    return Finding(verdict, " ".join(said), first_world(measured.numbers), partial, more)


def verdict_uncalibrated(claim: Mapping, measured: Measured) -> Finding:
    """The finding on a claim whose rule cannot be simulated: where the point lies, and no verdict either way."""
    said = [
        "Not calibrated: this rule's error rates are not known, so that it decides nothing.",
        said_of(measured, None),
    ]
    said += filter(None, [measured.words, measured.notes])
    return Finding(INCONCLUSIVE, " ".join(said), first_world(measured.numbers), None, fields(claim, measured))


def verdict_by_test(claim: Mapping, measured: Measured) -> Finding:
    """The finding on a claim that a model passes a test: failing has the test's level, passing proves nothing."""
    rates = {"p_paper": float(np.atleast_1d(measured.estimate)[0]), "false_contradicted": LEVEL, "false_supported": 0.0}
    said = [said_of(measured, None)]
    if measured.holds:
        said.append("Passing is no proof: how often a model that does not fit would pass is not known.")
    said += filter(None, [measured.words, measured.notes])
    verdict = INCONCLUSIVE if measured.holds else CONTRADICTED
    return Finding(verdict, " ".join(said), first_world(measured.numbers), None, fields(claim, measured, rates=rates))


def verdict_exact(claim: Mapping, measured: Measured) -> Finding:
    """The finding on a claim in which chance has no part: counts of given rows, an identity."""
    said = [said_of(measured, None), *filter(None, [measured.words, measured.notes])]
    verdict = SUPPORTED if measured.holds else CONTRADICTED
    rates = {"p_without": 0.0, "p_paper": 0.0, "false_supported": 0.0, "false_contradicted": 0.0}
    return Finding(verdict, " ".join(said), first_world(measured.numbers), None, fields(claim, measured, rates=rates))


def first_world(numbers: Mapping) -> dict:
    """Numbers of the study itself: the first of each array."""
    return {
        name: value[0] if isinstance(value, np.ndarray) and value.ndim else value for name, value in numbers.items()
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values."""
    ordered = sorted(p_values, key=p_values.__getitem__)
    adjusted, largest = {}, 0.0
    for place, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def with_familywise_control(findings: Mapping[str, Finding]) -> dict[str, Finding]:
    """The findings on the primary claims with `p_familywise`; one that is supported alone but not together is open.

    A primary claim that was not judged counts in the number of tests all the same.
    """
    known = {name: (found.more.get("rates") or {}).get("p_without", 1.0) for name, found in findings.items()}
    together = holm(known)
    result = {}
    for name, found in findings.items():
        more = {**found.more, "p_familywise": together[name]}
        if found.verdict == SUPPORTED and together[name] >= LEVEL:
            said = f"Supported alone, but not together with the other primary claims (Holm: {percent(together[name])})."
            result[name] = replace(found, verdict=INCONCLUSIVE, reason=f"{found.reason} {said}", more=more)
        else:
            result[name] = replace(found, more=more)
    return result

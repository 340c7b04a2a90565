"""Familywise control of the primary claims (Holm 1979): their supported verdicts hold together at 5 %."""

from collections.abc import Mapping
from dataclasses import replace

from plw.claims.findings import INCONCLUSIVE, SUPPORTED, Finding
from plw.claims.verdicts import LEVEL, percent


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

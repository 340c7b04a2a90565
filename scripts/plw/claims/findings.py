"""What a program found about a sentence of the paper."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE)
TIE = 1e-9  # points, shares, relative scores: what lies nearer differs by the rounding of sums alone
ABOVE_0 = (0.0, math.inf)


@dataclass(frozen=True)
class Measured:
    """What a rule computes, for many worlds at once: the study itself is one, each simulated study another.

    estimate  the estimand as a number, float [worlds]
    region    where it lies if the paper is right: (low, high), either may be infinite; (0, inf) is open: a tie is not
              above 0
    margin    how well the claim holds, float [worlds]: ≥ 0 where it does, the larger the better; None: by how much the
              estimate lies inside the region
    strength  what a world without the effect must reach where the claim holds, float [worlds], the larger the better;
              None: the margin. Where the estimate has few values (a rank, a share) it says how large the effect is
    numbers   name -> number or text, or float [worlds], what the estimate rests on
    words     what came out, a sentence for the reader; notes: how thin the evidence is
    doubts    verdict -> why it is not given although this estimate would have it (another test disagrees, say)
    """

    estimate: np.ndarray
    region: tuple[float, float]
    margin: np.ndarray | None = None
    numbers: dict = field(default_factory=dict)
    words: str = ""
    notes: str = ""
    doubts: Mapping[str, str] = field(default_factory=dict)
    strength: np.ndarray | None = None

    @property
    def margins(self) -> np.ndarray:
        """`margin`, float [worlds]; −inf where the estimate is not defined."""
        estimate = np.atleast_1d(np.asarray(self.estimate, dtype=float))
        if self.margin is not None:
            found = np.atleast_1d(np.asarray(self.margin, dtype=float))
        else:
            found = np.minimum(estimate - self.region[0], self.region[1] - estimate)
        found = found - TIE if self.region == ABOVE_0 else found
        return np.where(np.isnan(found), -np.inf, found)

    @property
    def strengths(self) -> np.ndarray:
        """`strength` of worlds in which the claim holds, float [worlds]; −inf in the others."""
        found = self.margins if self.strength is None else np.asarray(self.strength, dtype=float)
        return np.where(self.margins >= 0, np.where(np.isnan(found), -np.inf, found), -np.inf)

    @property
    def holds(self) -> bool:
        """Whether the study's own estimate (the first world) lies in the paper's region."""
        return bool(self.margins[0] >= 0)


@dataclass(frozen=True)
class Finding:
    """The verdict on one claim.

    verdict  supported | contradicted | inconclusive
    reason   one sentence or two: why this verdict, and how thin the evidence is where it is thin
    numbers  name -> number or text, what the verdict rests on
    partial  what else a reader should know (what would decide it, other tests); None where there is nothing to add
    more     fields of claims.json beside these: estimate, region, rates (see plw.claims.verdicts)
    """

    verdict: str
    reason: str
    numbers: dict = field(default_factory=dict)
    partial: str | None = None
    more: dict = field(default_factory=dict)


class Undecided(Exception):
    """A claim cannot be judged: what is missing or too small, in a sentence for the reader, and the numbers so far."""

    def __init__(self, reason: str, numbers: dict | None = None):
        self.reason, self.numbers = reason, numbers or {}
        super().__init__(reason)


def listed(names, *, most: int = 6) -> str:
    """'a, b and c', at most `most` of them and how many more."""
    names = list(map(str, names))
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "none"


def plain(value: object) -> Any:
    """`value` as JSON can hold it: numpy numbers and arrays as Python's, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def region_of(parameters: Mapping) -> tuple[float, float]:
    """`region` of a claim's parameters: [low, high], null for no bound."""
    low, high = parameters["region"]
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)

"""What a program found about a sentence of the paper."""

import math
from dataclasses import dataclass, field
from typing import Any

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE)


@dataclass(frozen=True)
class Finding:
    """The verdict on one claim.

    verdict  supported | contradicted | inconclusive
    reason   one sentence or two: why this verdict, and how thin the evidence is where it is thin
    numbers  name -> number or text, what the verdict rests on
    partial  what holds although the claim does not, or the other way round; None where there is nothing to add
    """

    verdict: str
    reason: str
    numbers: dict = field(default_factory=dict)
    partial: str | None = None


class Undecided(Exception):
    """A claim cannot be judged: what is missing or too small, in a sentence for the reader, and the numbers so far."""

    def __init__(self, reason: str, numbers: dict | None = None):
        self.reason, self.numbers = reason, numbers or {}
        super().__init__(reason)


def judged(holds: bool, reason: str, numbers: dict, *, partial: str | None = None, notes: str = "") -> Finding:
    """Supported if the rule holds, else contradicted; `notes` (thin evidence) follow the reason."""
    text = f"{reason} {notes}".strip()
    return Finding(SUPPORTED if holds else CONTRADICTED, text, numbers, partial)


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

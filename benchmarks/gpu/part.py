"""What a part is, and why one may be left out."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class LeftOut(Exception):
    """The part cannot be measured here; its text says why."""


@dataclass(frozen=True)
class Part:
    """One thing to check or measure.

    name     short, with underscores: a key of gpu.json
    about    what its values say, one line
    run      (device "cpu" or "cuda", **sizes) → values that JSON can hold; AssertionError where a parity does not hold
    full     its sizes for a GPU;  tiny  those for a test on the CPU
    minutes  somewhat more than it took on an H200 (benchmarks/measured); with less time left it waits for the next call
    needs    packages without which it is left out by name
    """

    name: str
    about: str
    run: Callable[..., dict[str, Any]]
    full: Mapping[str, Any]
    tiny: Mapping[str, Any]
    minutes: float
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Packages that it needs and that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

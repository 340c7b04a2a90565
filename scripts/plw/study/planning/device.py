"""Rates that `make test-gpu` measured on one card (docs/gpu.md), in place of those that a study's plan assumes.

Where `plan.measured` names its gpu.json, the `plan` part of that file has the card, its peaks, and shares of them that
training, reading and writing reached, [slow, fast], for models of a few sizes. A model takes the shares of the nearest
size; padding, waiting and traffic between ranks are counted apart, as with assumed shares.
"""

import math
from typing import Any


def measured_value(measured: dict, key: str, parameters: float) -> Any:
    """The value of `key` of a study's `plan` as it was measured for a model of `parameters` weights.

    measured  what the file of `plan.measured` holds; a pilot's rates.json has no such part
    Returns None where it was not measured.
    """
    plan = measured.get("plan") or {}
    if key in plan and key != "sizes":
        return plan[key]
    sizes = [size for size in plan.get("sizes", []) if size.get(key)]
    if not sizes:
        return None
    return min(sizes, key=lambda size: abs(math.log(size["parameters"] / parameters)))[key]


def measured_on(measured: dict) -> str | None:
    """Where these rates come from, as "measured on DEVICE with models of 0.13, 1.3 billion weights"; None: a pilot."""
    plan = measured.get("plan")
    if not plan:
        return None
    sizes = ", ".join(f"{size['parameters'] / 1e9:.2g}" for size in plan["sizes"])
    return f"{plan['source']} with models of {sizes} billion weights"

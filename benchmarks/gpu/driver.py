"""Runs the parts within a budget of time, and writes gpu.json after each: a killed call loses only the part at work."""

import gc
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from plw.errors import InputError
from plw.files import read_json, write_json

from gpu.machine import describe_machine
from gpu.part import LeftOut, Part
from gpu.rates import plan_rates

IDENTITY = ("device", "versions", "commit", "sizes")  # what all parts of a file have in common


class TooLong(Exception):
    """A part was still at work when the call's time ended."""


def measure(
    parts: Sequence[Part],
    *,
    device: str,
    sizes: str,
    file: Path,
    seconds: float,
    commit: str | None = None,
    say: Callable[[str], object] = print,
) -> dict:
    """Run the parts that `file` does not hold yet, as far as `seconds` go; returns what then stands in it.

    sizes   full | tiny
    commit  the code's, where the copy's own repository cannot tell
    Each part's entry is {status: measured | failed | left out | waiting, seconds, values or reason}.
    Raises InputError where `file` was begun with another device, versions, commit or sizes.
    """
    ends = time.monotonic() + seconds
    machine = describe_machine(device)
    found = begin(file, {**machine, "commit": commit or machine["commit"], "sizes": sizes})
    for part in parts:
        if found["parts"].get(part.name, {}).get("status") == "measured":
            say(f"{part.name}: measured before")
            continue
        entry = _one(part, device=device, sizes=sizes, left=ends - time.monotonic())
        found["parts"][part.name] = {"about": part.about, **entry}
        found["seconds"] = sum(one["seconds"] for one in found["parts"].values())
        found["plan"] = plan_rates(found) if device != "cpu" and sizes == "full" else None
        write_json(file, found)
        say(f"{part.name}: {entry['status']}, {entry['seconds']:.1f} s{_after_colon(entry)}")
    return found


def begin(file: Path, machine: dict) -> dict:
    """What `file` holds of this very machine and code, or the beginning of it."""
    if not file.is_file():
        return {**machine, "seconds": 0.0, "plan": None, "parts": {}}
    found = read_json(file)
    other = [name for name in IDENTITY if found.get(name) != machine[name]]
    if other:
        raise InputError(
            "The file of measurements was begun under other conditions, which must not be mixed.",
            value="; ".join(f"{name}: {found.get(name)}, now {machine[name]}" for name in other),
            where=str(file),
            hint="Name another file with --output, or move this one away.",
        )
    return found


def _one(part: Part, *, device: str, sizes: str, left: float) -> dict:
    """The entry of one part."""
    needed = 60 * part.minutes if sizes == "full" else 0.0
    if absent := part.missing():
        return {"status": "left out", "seconds": 0.0, "reason": f"not installed: {', '.join(absent)}"}
    if left < max(needed, 1.0):
        reason = f"needs about {needed:.0f} s, and {max(left, 0):.0f} s were left; the next call takes it up"
        return {"status": "waiting", "seconds": 0.0, "reason": reason}
    started = time.monotonic()
    try:
        with at_most(left):
            entry = {"status": "measured", "values": part.run(device, **(part.full if sizes == "full" else part.tiny))}
    except LeftOut as error:
        entry = {"status": "left out", "reason": str(error)}
    except TooLong:
        entry = {"status": "waiting", "reason": f"not done when its {left:.0f} s were over"}
    except torch.OutOfMemoryError as error:
        entry = {"status": "left out", "reason": f"out of memory: {str(error).splitlines()[0]}"}
    except Exception as error:  # whatever it is, the other parts go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        entry = {"status": "failed", "reason": reason}
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    return {"status": entry.pop("status"), "seconds": time.monotonic() - started, **entry}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong in the main thread when the time is over, where the system can do that."""

    def over(*_) -> None:
        raise TooLong

    try:
        before = signal.signal(signal.SIGALRM, over)
    except ValueError:  # not in the main thread
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _after_colon(entry: dict) -> str:
    return f": {entry['reason']}" if "reason" in entry else ""

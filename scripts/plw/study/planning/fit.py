"""Whether a study's trainings fit the memory of their devices, and how many sequences a device sees at once.

The law of plw.study.planning.memory, applied to the study's models, the longest rows of its data sets, and the card
that `plan.gpu` names or, for trainings on processors, this machine.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plw.errors import InputError, InputErrors
from plw.study.hub import cached_file, kept_listing
from plw.study.planning.memory import ERROR, Demand, ModelShape, shape_of, training_demand, training_of
from plw.study.planning.processor import world_config
from plw.study.planning.workload import Lengths, dataset_lengths
from plw.study.runs import Run
from plw.study.sources import MOVING_REVISION

GIGABYTE = 1e9
# Cards whose name does not say it, by NVIDIA's data sheets, in GB. A name such as "A100 80GB" does.
CARDS = {"T4": 16, "L4": 24, "A10": 24, "L40S": 48, "RTX 3090": 24, "RTX 4090": 24, "RTX A6000": 48, "H200": 141}
# Resident set of a training before its model is there: torch, transformers, DeepSpeed (benchmarks/bench_memory.py).
PROCESS_BYTES = 0.52e9
PENALTY = "minkowski"  # the regularizer that keeps the starting weights
CONFIG = "config.json"


@dataclass(frozen=True)
class Fit:
    """The largest training of one ptlm beside the memory that it has.

    rows, tokens  of a physical batch: sequences, and tokens of the longest
    demand        of one device;  least  bytes that the training takes with a single row at once
    taken         bytes compared with `memory`: of a card, or on processors of all ranks with their programs
    memory        bytes of the device, None where it is not known;  device  its name
    """

    ptlm: str
    rows: int
    tokens: int
    demand: Demand
    taken: float
    least: float
    memory: float | None
    device: str

    @property
    def fits(self) -> bool:
        """False only where the law's error leaves no doubt that a single row at once is too much."""
        return self.memory is None or self.least * (1 - ERROR) <= self.memory


def gpu_memory(plan: Mapping[str, Any]) -> float | None:
    """Bytes of the study's card: `plan.gpu_memory`, else what its name says or its data sheet; None if unknown."""
    if "gpu_memory" in plan:
        return float(plan["gpu_memory"])
    name = plan.get("gpu", "")
    if found := re.search(r"(\d+) ?GB\b", name):
        return float(found[1]) * GIGABYTE
    return next((size * GIGABYTE for card, size in CARDS.items() if re.search(rf"\b{card}\b", name)), None)


def machine_memory() -> float:
    """Bytes of this machine's memory."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def is_on_host(training: Mapping[str, Any]) -> bool:
    """Whether the trainings run on processors; `auto` does where NVIDIA's driver is not installed."""
    device = training.get("device", "auto")
    return device == "cpu" or (device == "auto" and shutil.which("nvidia-smi") is None)


def ptlm_shape(study: dict, name: str) -> ModelShape | None:
    """Shape of a ptlm: of its config.json where that is there (in the Hub client's cache, too), of the world that will
    make it, or as the study says (`ptlms.NAME.shape`); None where nobody knows.
    """
    entry = study["ptlms"][name]
    source = entry["source"]
    config = _config(source) or world_config(study, source) or entry.get("shape")
    return shape_of(config) if config else None


def _config(source: dict) -> dict | None:
    try:
        if "hub" in source:
            listing = kept_listing(source["hub"], source.get("revision") or MOVING_REVISION, "model")
            file = cached_file(listing, CONFIG) if listing else None
        else:
            file = Path(source["path"]) / CONFIG
        found = json.loads(file.read_text(encoding="utf-8")) if file else None
        return found if isinstance(found, dict) else None
    except (OSError, ValueError, KeyError):
        return None


def longest_row(lengths: Lengths | None, training: Mapping[str, Any]) -> int:
    """Tokens of the longest row: at most `max_length`, and fewer where the data set's lengths are known."""
    limit = training["max_length"]
    if lengths is None:
        return limit
    return min(limit, math.ceil(lengths.quantile(1 - 0.5 / max(lengths.rows, 1.0))))


def most_rows(
    shape: ModelShape,
    training: Mapping[str, Any],
    tokens: int,
    *,
    on_host: bool,
    memory: float | None,
    frozen: bool = False,
) -> int:
    """How many rows a device sees at once for `physical_batch: auto`: as many as the law, with its error, says fit.

    At most a rank's share of an update; on a processor at most a logical micro-batch, since there more rows only bring
    padding. At least 1.

    tokens  of the longest row;  memory  bytes of one rank, None: no limit;  frozen  whether starting weights are kept
    """
    sequences = training["micro_batch"] * training["micro_batches_per_update"]
    most = math.ceil(sequences / training.get("processes", 1))
    most = min(most, training["micro_batch"]) if on_host else most

    def fits(rows: int) -> bool:
        taken = _taken(shape, training, rows, tokens, on_host, frozen)[1]
        return memory is None or taken * (1 + ERROR) <= memory

    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _taken(shape: ModelShape, training: Mapping[str, Any], rows: int, tokens: int, on_host: bool, frozen: bool = False):
    """Demand of one rank, and the bytes of its memory: on a processor with its program and what is offloaded."""
    asked = training_of(training, rows=rows, tokens=tokens, on_host=on_host, frozen_copy=frozen)
    demand = training_demand(shape, asked)
    return demand, demand.peak + (demand.held.host + PROCESS_BYTES if on_host else 0.0)


def training_fits(study: dict, runs: Iterable[Run], printed: dict, root: Path = Path()) -> list[Fit]:
    """The largest training of each ptlm whose shape is known.

    printed  `table_1.rows` of config/paper_numbers.yaml;  root  the project's folder
    """
    training, on_host = study["training"], is_on_host(study["training"])
    ranks = training["processes"] if on_host else 1
    memory = machine_memory() if on_host else gpu_memory(study["plan"])
    device = "this machine" if on_host else study["plan"].get("gpu", "the GPU")
    asked: dict[str, tuple[int, bool]] = {}
    lengths = {name: dataset_lengths(study, name, printed, root) for name in dict.fromkeys(run.dataset for run in runs)}
    for run in runs:
        tokens, frozen = asked.get(run.ptlm, (0, False))
        longest = longest_row(lengths[run.dataset], training)
        asked[run.ptlm] = max(tokens, longest), frozen or run.regularizer == PENALTY
    found = []
    for ptlm, (tokens, frozen) in asked.items():
        if (shape := ptlm_shape(study, ptlm)) is None:
            continue
        rows = training["physical_batch"]
        if training.get("tokens_per_batch"):
            rows = max(1, training["tokens_per_batch"] // tokens)
        elif rows == "auto":
            own = None if memory is None else memory / ranks
            rows = most_rows(shape, training, tokens, on_host=on_host, memory=own, frozen=frozen)
        demand, taken = _taken(shape, training, rows, tokens, on_host, frozen)
        least = _taken(shape, training, 1, tokens, on_host, frozen)[1]
        found.append(Fit(ptlm, rows, tokens, demand, taken * ranks, least * ranks, memory, device))
    return found


def memory_text(fits: Iterable[Fit]) -> list[str]:
    """The plan's lines on memory, one for each ptlm."""
    lines = []
    for fit in fits:
        demand = fit.demand
        held = demand.held
        parts = {
            "weights": held.weights, "moments": held.moments, "gradients": held.gradients, "buffers": held.buffers,
            "activations": demand.activations, "loss": demand.loss,
        }  # fmt: skip
        parted = ", ".join(f"{name} {_size(size)}" for name, size in parts.items() if size)
        room = f" of the {_size(fit.memory)} of {fit.device}" if fit.memory else f" of {fit.device}"
        verdict = "" if fit.fits else "; does not fit"
        if fit.fits and fit.memory is not None and fit.taken > fit.memory:
            verdict = "; will be halved until it fits"
        lines.append(
            f"Memory of a training of {fit.ptlm}: {_size(fit.taken)}{room} with {fit.rows} × {fit.tokens} tokens at "
            f"once (not all at one time: {parted}){verdict}."
        )
    return lines


def check_fits(fits: Iterable[Fit]) -> None:
    """InputErrors, one for each ptlm whose training cannot fit with a single sequence at once."""
    errors = [
        InputError(
            f"Training {fit.ptlm} takes more memory than {fit.device} has, even with a single sequence at once.",
            value=f"{_size(fit.least)} of {_size(fit.memory or 0.0)}, at {fit.tokens} tokens",
            where=f"ptlms.{fit.ptlm}, training, plan.gpu",
            hint="Set training.zero_stage: 3 with more training.processes, training.offload: cpu, "
            "training.gradient_checkpointing: true or a smaller training.max_length; or name the card that you have "
            "(plan.gpu, plan.gpu_memory). docs/memory.md says what takes how much.",
        )
        for fit in fits
        if not fit.fits
    ]
    if errors:
        raise InputErrors(errors)


def _size(number: float) -> str:
    """Bytes as GB, small ones as MB."""
    return f"{number / GIGABYTE:,.1f} GB" if number >= GIGABYTE else f"{number / 1e6:,.0f} MB"

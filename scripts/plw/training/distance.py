"""How far training moved the weights: Minkowski distance of order 1 to the pretrained model (§5.3.2, Figure 2b).

For each weight tensor sum|theta - theta_0|, then the mean over tensors. Here it is taken from the float32 weights at
the end of a training, each rank its own part: a model that is saved in bfloat16 has lost the small changes, and its
distance reads too large by the rounding. `plw.mechanism.weight_distance` compares saved models.

Pretrained weights are read from safetensors files piece by piece, so that they may be larger than the memory.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from plw.errors import InputError
from plw.files import read_json
from plw.study.pretrained import pretrained_location
from plw.training.zero import WeightPart

INDEX = "model.safetensors.index.json"
HUB_FILES = ["config.json", INDEX, "model.safetensors", "model-*.safetensors"]
VOCABULARY_ENDS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "lm_head.weight",
                   "embed_out.weight")  # fmt: skip
SLICE_ELEMENTS = 1 << 20  # 4 MB in float32: tensors are compared in slices of rows of about this size


@dataclass(frozen=True)
class WeightDistance:
    """Minkowski distance of order 1 between two models.

    mean_over_tensors   mean over weight tensors of sum|theta - theta_0|: the paper's measure
    mean_over_elements  mean |theta - theta_0|
    tensors, elements   how many were compared, tied weights once
    added_rows          rows of the vocabulary's tensors that only the fine-tuned model has, left out
    dtypes              of both models' weights as they were compared, {"model": [...], "ptlm": [...]}: where these
                        differ, or both are short, rounding is part of the distance
    """

    mean_over_tensors: float
    mean_over_elements: float
    tensors: int
    elements: int
    added_rows: int
    dtypes: dict[str, list[str]]


@dataclass(frozen=True)
class StoredWeights:
    """Where the weights of one model are: tensor name -> file; `tied` says that the head is the embedding."""

    folder: Path
    files: dict[str, Path]
    tied: bool


def stored_weights(source: dict) -> StoredWeights:
    """Find the safetensors files of a model source; InputError if there are none."""
    folder = _local_folder(source)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    tied = bool(config.get("tie_word_embeddings", False))
    if (folder / INDEX).is_file():
        placed = read_json(folder / INDEX)["weight_map"]
        return StoredWeights(folder, {name: folder / file for name, file in placed.items()}, tied)
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as stored:
                files.update(dict.fromkeys(stored.keys(), path))
        except (OSError, SafetensorError) as error:
            hint = f"{error}. It is cut, or another kind of file: fetch it again."
            raise InputError("This file holds no safetensors weights.", value=str(path), hint=hint) from None
    if not files:
        raise InputError("A model folder holds no safetensors weights.", value=str(folder))
    return StoredWeights(folder, files, tied)


def _local_folder(source: dict) -> Path:
    """The folder of a model; one on the Hub is taken from the cache (its weights converted), or fetched."""
    place, options = pretrained_location(source)
    if not options:
        return Path(place)
    try:
        return Path(snapshot_download(place, allow_patterns=HUB_FILES, **options))
    except (OSError, ValueError) as error:
        hint = f"Train a run from it first, or give its folder as `path`. Details: {error}"
        raise InputError("The weights of a pretrained model are not here.", value=source, hint=hint) from error


def added_rows_of(name: str, shape: Sequence[int], start: Sequence[int]) -> int:
    """Rows that a tensor of `shape` has more than its ptlm's of shape `start`.

    Raises InputError where the shapes differ by anything but rows of the vocabulary.
    """
    added = shape[0] - start[0] if len(shape) and len(start) else 0
    if list(shape[1:]) != list(start[1:]) or added < 0 or (added and not name.endswith(VOCABULARY_ENDS)):
        value = f"{name}: {list(shape)}, {list(start)}"
        raise InputError("A weight tensor has another shape than its ptlm's.", value=value)
    return added


def row_slices(shape: Sequence[int], first: int = 0, last: int | None = None) -> Iterator[slice]:
    """Slices of the rows `first` to `last` of a tensor, each of at most SLICE_ELEMENTS elements, at least one row."""
    rows = max(SLICE_ELEMENTS // max(math.prod(shape[1:]), 1), 1)
    end = shape[0] if last is None else last
    for start in range(first, end, rows):
        yield slice(start, min(start + rows, end))


@torch.no_grad()
def distance_of_parts(parts: Sequence[WeightPart], names: Sequence[str], ptlm: dict) -> WeightDistance | None:
    """Distance of weights in training from those of `ptlm`, in float32. Call it on every rank.

    parts  this rank's: over all ranks each element once (none where another rank has them all)
    names  of all weight tensors, tied ones once
    ptlm   source, {path} or {hub, revision}
    None, with the reason on standard error, where the ptlm has no safetensors weights of these names and shapes: a
    training of hours is not lost over a measure that can also be taken from its files.
    """
    total, elements, added, dtypes = 0.0, 0, 0, set()
    try:
        stored = stored_weights(ptlm)
        for name in names:
            if name not in stored.files:
                raise InputError("Weights are missing on one side.", value=name, where=str(stored.folder))
        for part in parts:
            distance, count, more, dtype = _part_distance(part, stored.files[part.name])
            total, elements, added = total + distance, elements + count, max(added, more)
            dtypes.add(dtype)
    except (InputError, OSError, SafetensorError) as error:
        print(f"The weight distance is left to the saved model: {error}", file=sys.stderr, flush=True)
        total = math.nan
    shares = [(total, elements, added, dtypes)]
    if torch.distributed.is_initialized():
        shares *= torch.distributed.get_world_size()
        torch.distributed.all_gather_object(shares, (total, elements, added, dtypes))
    total, elements = sum(share[0] for share in shares), sum(share[1] for share in shares)
    if math.isnan(total):
        return None
    return WeightDistance(
        mean_over_tensors=total / len(names),
        mean_over_elements=total / elements,
        tensors=len(names),
        elements=elements,
        added_rows=max(share[2] for share in shares),
        dtypes={"model": ["F32"], "ptlm": sorted(set().union(*(share[3] for share in shares)))},
    )


def _part_distance(part: WeightPart, file: Path) -> tuple[float, int, int, str]:
    """(sum|theta - theta_0|, elements compared, rows of the whole tensor left out, dtype of theta_0) of one part."""
    with safe_open(file, "pt") as stored:  # for this tensor alone: what was read stays as long as its file is open
        old = stored.get_slice(part.name)
        shape = old.get_shape()
        added = added_rows_of(part.name, part.shape, shape)
        width = math.prod(shape[1:])
        end = min(part.start + part.count, math.prod(shape))
        distance, weights = 0.0, part.weights()
        if not shape:  # a single number has no rows
            return abs(weights.item() - float(old[...])), 1, 0, old.get_dtype()
        for rows in row_slices(shape, part.start // width, -(-end // width)):
            first, last = max(rows.start * width, part.start), min(rows.stop * width, end)
            start = old[rows].to(torch.float32).reshape(-1)[first - rows.start * width : last - rows.start * width]
            moved = weights[first - part.start : last - part.start].to("cpu", torch.float32) - start
            distance += moved.abs_().sum().item()  # of few enough elements for float32
        return distance, max(end - part.start, 0), added, old.get_dtype()

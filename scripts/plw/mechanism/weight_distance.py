"""How far fine-tuning moved the weights: Minkowski distance of order 1 to the pretrained model (§5.3.2, Figure 2b).

For each weight tensor sum|theta - theta_0|, then the mean over tensors. The mean over elements stands beside it:
over tensors, a large tensor counts more than a small one, and models of other shapes cannot be compared.

Weights are read from the safetensors files piece by piece, so that models larger than the memory can be compared.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open

from plw.errors import InputError
from plw.files import read_json
from plw.study.pretrained import pretrained_location

INDEX = "model.safetensors.index.json"
HUB_FILES = ["config.json", INDEX, "model.safetensors", "model-*.safetensors"]
# Angles of the rotary embedding that older LLaMA checkpoints carry: computed from the configuration, never trained.
NOT_WEIGHTS = ("rotary_emb.inv_freq",)
HEAD = "lm_head.weight"
VOCABULARY_ENDS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", HEAD,
                   "embed_out.weight")  # fmt: skip
SLICE_ELEMENTS = 1 << 20  # 4 MB in float32: tensors are compared in slices of rows of about this size


@dataclass(frozen=True)
class WeightDistance:
    """Minkowski distance of order 1 between two models.

    mean_over_tensors   mean over weight tensors of sum|theta - theta_0|: the paper's measure
    mean_over_elements  mean |theta - theta_0|
    tensors, elements   how many were compared, tied weights once
    added_rows          rows of the vocabulary's tensors that only the fine-tuned model has, left out
    dtypes              of both models' files, {"model": [...], "ptlm": [...]}: where these differ, or both are
                        short, rounding is part of the distance
    """

    mean_over_tensors: float
    mean_over_elements: float
    tensors: int
    elements: int
    added_rows: int
    dtypes: dict[str, list[str]]


@dataclass(frozen=True)
class _Weights:
    """Where the weights of one model are: tensor name -> file; `tied` says that the head is the embedding."""

    folder: Path
    files: dict[str, Path]
    tied: bool


def weight_distance(model: dict, ptlm: dict) -> WeightDistance:
    """Distance of the fine-tuned weights of `model` from those of `ptlm`, in float32.

    model, ptlm  sources, {path} or {hub, revision}
    Raises InputError if a model has no safetensors weights, a tensor is on one side only (except the head where
    it is tied to the embedding) or two tensors have different shapes (except added rows of the vocabulary).
    """
    left, right = _weights(model), _weights(ptlm)
    names = _common_names(left, right)
    total, elements, added = 0.0, 0, 0
    dtypes: dict[str, set[str]] = {"model": set(), "ptlm": set()}
    for name in names:
        distance, count, more = _tensor_distance(name, left.files[name], right.files[name], dtypes)
        total, elements, added = total + distance, elements + count, max(added, more)
    return WeightDistance(
        mean_over_tensors=total / len(names),
        mean_over_elements=total / elements,
        tensors=len(names),
        elements=elements,
        added_rows=added,
        dtypes={side: sorted(found) for side, found in dtypes.items()},
    )


def _weights(source: dict) -> _Weights:
    folder = _local_folder(source)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    tied = bool(config.get("tie_word_embeddings", False))
    if (folder / INDEX).is_file():
        placed = read_json(folder / INDEX)["weight_map"]
        return _Weights(folder, {name: folder / file for name, file in placed.items()}, tied)
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as stored:
            files.update(dict.fromkeys(stored.keys(), path))
    if not files:
        raise InputError("A model folder holds no safetensors weights.", value=str(folder))
    return _Weights(folder, files, tied)


def _local_folder(source: dict) -> Path:
    """The folder of a model; one on the Hub is taken from the cache, or fetched."""
    place, options = pretrained_location(source)
    if "hub" not in source:
        return Path(place)
    try:
        return Path(snapshot_download(place, allow_patterns=HUB_FILES, **options))
    except (OSError, ValueError) as error:
        hint = f"Train a run from it first, or give its folder as `path`. Details: {error}"
        raise InputError("The weights of a pretrained model are not here.", value=source, hint=hint) from error


def _common_names(left: _Weights, right: _Weights) -> list[str]:
    """Names of the tensors to compare, in a stable order."""
    sides = []
    for weights in (left, right):
        sides.append({name for name in weights.files if not name.endswith(NOT_WEIGHTS)})
    if left.tied or right.tied:  # the head is the embedding, whether it was stored a second time or not
        sides = [side - {HEAD} for side in sides]
    for here, there, weights in ((sides[0], sides[1], right), (sides[1], sides[0], left)):
        lacking = sorted(here - there)
        if lacking:
            shown = lacking[:5] + [f"and {len(lacking) - 5} more"] * (len(lacking) > 5)
            hint = "The run's model and its ptlm must have the same architecture."
            raise InputError("Weights are missing on one side.", value=shown, where=str(weights.folder), hint=hint)
    return sorted(sides[0])


def _tensor_distance(name: str, left: Path, right: Path, dtypes: dict[str, set]) -> tuple[float, int, int]:
    """(sum|theta - theta_0|, elements compared, rows left out) of one tensor.

    The files are opened for this tensor alone: what was read stays in memory as long as its file is open.
    """
    with safe_open(left, "pt") as new_file, safe_open(right, "pt") as old_file:
        new, old = new_file.get_slice(name), old_file.get_slice(name)
        shape, start = new.get_shape(), old.get_shape()
        added = shape[0] - start[0] if shape and start else 0
        if shape[1:] != start[1:] or added < 0 or (added and not name.endswith(VOCABULARY_ENDS)):
            raise InputError("A weight tensor has another shape than its ptlm's.", value=f"{name}: {shape}, {start}")
        dtypes["model"].add(new.get_dtype())
        dtypes["ptlm"].add(old.get_dtype())
        distance = 0.0
        for rows in _row_slices(start):
            moved = new[rows].to(torch.float32) - old[rows].to(torch.float32)
            distance += moved.abs_().sum().item()  # of few enough elements for float32
    return distance, math.prod(start), added


def _row_slices(shape: list[int]) -> Iterator[slice | EllipsisType]:
    """Slices of rows that cover a tensor, each of at most SLICE_ELEMENTS elements (but at least one row)."""
    if not shape:
        yield ...
        return
    rows = max(SLICE_ELEMENTS // max(math.prod(shape[1:]), 1), 1)
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))

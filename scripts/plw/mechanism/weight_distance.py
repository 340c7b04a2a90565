"""How far fine-tuning moved the weights: Minkowski distance of order 1 to the pretrained model (§5.3.2, Figure 2b).

For each weight tensor sum|theta - theta_0|, then the mean over tensors. The mean over elements stands beside it:
over tensors, a large tensor counts more than a small one, and models of other shapes cannot be compared.

Weights are read from the safetensors files piece by piece, so that models larger than the memory can be compared.
"""

import math
from pathlib import Path

import torch
from safetensors import safe_open

from plw.errors import InputError
from plw.files import read_json
from plw.training.distance import StoredWeights, WeightDistance, added_rows_of, row_slices, stored_weights

# Angles of the rotary embedding that older LLaMA checkpoints carry: computed from the configuration, never trained.
NOT_WEIGHTS = ("rotary_emb.inv_freq",)
HEAD = "lm_head.weight"


def recorded_distance(record: Path) -> dict | None:
    """The distance that the training took from its float32 weights and wrote into run.json; None if it took none."""
    return read_json(record).get("weight_distance") if record.is_file() else None


def weight_distance(model: dict, ptlm: dict) -> WeightDistance:
    """Distance of the fine-tuned weights of `model` from those of `ptlm`, in float32.

    model, ptlm  sources, {path} or {hub, revision}
    Raises InputError if a model has no safetensors weights, a tensor is on one side only (except the head where
    it is tied to the embedding) or two tensors have different shapes (except added rows of the vocabulary).
    """
    left, right = stored_weights(model), stored_weights(ptlm)
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


def _common_names(left: StoredWeights, right: StoredWeights) -> list[str]:
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
        start = old.get_shape()
        added = added_rows_of(name, new.get_shape(), start)
        dtypes["model"].add(new.get_dtype())
        dtypes["ptlm"].add(old.get_dtype())
        distance = 0.0
        for rows in row_slices(start) if start else (...,):
            moved = new[rows].to(torch.float32) - old[rows].to(torch.float32)
            distance += moved.abs_().sum().item()  # of few enough elements for float32
    return distance, math.prod(start), added

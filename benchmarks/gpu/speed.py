"""Tokens per second of our trainer on full sequences, and the share of the device's peak that this is."""

import statistics

import torch

from gpu.machine import data_sheet
from gpu.part import Part
from gpu.shapes import build, parameters_of, seconds_of, sequences
from gpu.trainings import train

TRAINING_FLOPS = 6  # per weight and token: 2 forward, 4 backward, as plw.study.planning.cost counts


def matrix_rate(device: str, size: int, rounds: int) -> float:
    """FLOP/s of the product of two square bfloat16 matrices: the best of the rounds."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / min(seconds_of(lambda: left @ right, device, rounds=rounds))


def copy_rate(device: str, size: int, rounds: int) -> float:
    """Bytes/s that a copy reads and writes: the best of the rounds."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / min(seconds_of(lambda: target.copy_(source), device, rounds=rounds))


def run(device: str, *, matrix: int, copied: int, rounds: int, trained: dict[str, dict]) -> dict:
    """Rates of the device, and of a training of each shape as [slowest, fastest] of its updates but the first.

    trained  shape → {batch, length, micro_batches, updates}
    """
    measured, copying = matrix_rate(device, matrix, rounds), copy_rate(device, copied, rounds)
    sheet = data_sheet(torch.cuda.get_device_name()) if device == "cuda" else None
    values: dict = {
        "matrix product, FLOP/s": measured,
        "data sheet, FLOP/s": sheet[0] if sheet else None,
        "copy, bytes/s": copying,
        "data sheet, bytes/s": sheet[1] if sheet else None,
    }
    for shape, size in trained.items():
        model = build(shape, device)
        weights = parameters_of(model)
        batch, length = size["batch"], size["length"]
        count = batch * size["micro_batches"] * size["updates"]
        examples = sequences(count, prompt=length // 2, completion=length // 2, vocabulary=model.config.vocab_size)
        rows = train(model, examples, plw=0.1, device=device, compute_dtype="bfloat16", micro_batch=batch,
                     micro_batches_per_update=size["micro_batches"], physical_batch=batch)  # fmt: skip
        del model
        rates = [row["tokens"] / row["seconds"] for row in rows[1:]]  # the first one allocates
        ends = [min(rates), max(rates)]
        peak = sheet[0] if sheet else measured
        values[f"training {shape}"] = {
            "parameters": weights,
            "tokens_per_second": ends,
            "median": statistics.median(rates),
            "share_of_peak": [TRAINING_FLOPS * weights * rate / peak for rate in ends],
            "share_of_matrix_rate": [TRAINING_FLOPS * weights * rate / measured for rate in ends],
            "sequences × tokens": f"{size['micro_batches']} × {batch} × {length}",
        }
    return values


PART = Part(
    "speed",
    "bfloat16 training on full sequences, PLW 0.1; shares of the data sheet's peak at 6 FLOPs a weight and token",
    run,
    full={
        "matrix": 8192,
        "copied": 2**30,
        "rounds": 10,
        "trained": {
            "smollm2_135m": {"batch": 32, "length": 512, "micro_batches": 4, "updates": 6},
            "llama_1.3b": {"batch": 8, "length": 512, "micro_batches": 4, "updates": 5},
        },
    },
    tiny={
        "matrix": 64,
        "copied": 2**16,
        "rounds": 2,
        "trained": {"tiny": {"batch": 2, "length": 16, "micro_batches": 2, "updates": 3}},
    },
    minutes=0.4,
)

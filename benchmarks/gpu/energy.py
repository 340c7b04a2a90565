"""Joules of a training, by the meter that a run's record has (NVML's counter of the GPU, RAPL's of the processor)."""

import time

from plw.training.record import EnergyMeter

from gpu.part import LeftOut, Part
from gpu.shapes import build, sequences, wait
from gpu.trainings import train


def run(device: str, *, shape: str, batch: int, length: int, updates: int) -> dict:
    """Joules, seconds, mean watts, and joules per thousand tokens."""
    model = build(shape, device)
    examples = sequences(
        updates * batch, prompt=length // 2, completion=length // 2, vocabulary=model.config.vocab_size
    )
    meter = EnergyMeter(device)
    if meter.joules() is None:
        hint = "nvidia-ml-py, or its driver's counter, is not there" if device == "cuda" else "no readable RAPL counter"
        raise LeftOut(f"energy cannot be read here: {hint}")
    wait(device)
    started = time.perf_counter()
    train(model, examples, plw=0.1, device=device, compute_dtype="bfloat16", micro_batch=batch,
          micro_batches_per_update=1, physical_batch=batch)  # fmt: skip
    wait(device)
    seconds, joules = time.perf_counter() - started, meter.joules()
    if joules is None or joules <= 0:
        raise LeftOut("the counter of energy did not move, or wrapped around")
    tokens = batch * length * updates
    return {
        "joules": joules,
        "seconds": seconds,
        "watts": joules / seconds,
        "joules per 1000 tokens": 1000 * joules / tokens,
    }


PART = Part(
    "energy",
    "energy of a bfloat16 training on full sequences",
    run,
    full={"shape": "smollm2_135m", "batch": 32, "length": 512, "updates": 40},
    tiny={"shape": "tiny", "batch": 2, "length": 16, "updates": 2},
    minutes=0.3,
)

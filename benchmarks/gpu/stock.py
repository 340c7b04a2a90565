"""Our trainer beside the stock HF Trainer in Alpaca's layout, turn by turn in one process."""

from argparse import Namespace

import bench_training

from gpu.part import Part

TOLERANCE = 1e-4  # relative, of the gradient norm in float32


def run(device: str, *, cases: tuple[str, ...], **sizes) -> dict:
    """Ours over stock in tokens per second, by case, with the interval of its rounds."""
    options = Namespace(cpu=device == "cpu", bfloat16=True, **sizes)
    values: dict = {}
    for name in cases:
        found = bench_training.compare(name, options)
        difference = found["gradient_norm_difference"]
        assert difference < TOLERANCE, f"{name}: the gradient norm differs by {difference:.1e}"
        kept = (
            "ratio",
            "ratio_interval_95",
            "ours_tokens_per_second",
            "stock_tokens_per_second",
            "loss_difference",
            "gradient_norm_difference",
        )
        values[name] = {key: found[key] for key in kept}
    return values


PART = Part(
    "stock",
    "tokens/s of our trainer over the stock HF Trainer in Alpaca's layout, bfloat16, interleaved",
    run,
    full={
        "cases": ("alpaca, plw 0.1", "short, plw 0.1", "short, plw 0"),
        "rounds": 3,
        "updates": 3,
        "micro_batches": 32,
        "physical_batch": 32,
        "hidden": 1024,
        "layers": 12,
        "vocabulary": 32000,
    },
    tiny={
        "cases": ("short, plw 0.1",),
        "rounds": 1,
        "updates": 1,
        "micro_batches": 1,
        "physical_batch": 4,
        "hidden": 32,
        "layers": 1,
        "vocabulary": 99,
    },
    minutes=3.2,
)

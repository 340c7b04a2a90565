"""Reading prompts and writing texts: seconds per step by batch, and shares of the device's peaks."""

import torch
from plw.models.decoding import generate_from_tokens
from plw.models.memory import BatchMemory, cache_bytes_per_token

from gpu.machine import data_sheet
from gpu.part import Part
from gpu.shapes import build, parameters_of, seconds_of, sequences
from gpu.speed import copy_rate, matrix_rate

READING_FLOPS = 2  # per weight and token


def run(device: str, *, shapes: tuple[str, ...], batches: tuple[int, ...], prompt: int, new: int, rounds: int) -> dict:
    """By shape: weights; by batch, seconds of reading and of one step; shares of peak as [slowest, fastest].

    Each batch is written once with one new token and once with all of them; the difference over the steps between is a
    step's time. A step moves the weights and the cache of all rows.
    """
    sheet = data_sheet(torch.cuda.get_device_name()) if device == "cuda" else None
    big = device == "cuda"
    flops = sheet[0] if sheet else matrix_rate(device, 8192 if big else 64, 5)
    bandwidth = sheet[1] if sheet else copy_rate(device, 2**30 if big else 2**16, 5)
    values: dict = {"peak, FLOP/s": flops, "bandwidth, bytes/s": bandwidth}
    for shape in shapes:
        model = build(shape, device, dtype=torch.bfloat16).eval()
        weights, memory = parameters_of(model), BatchMemory(model)
        of_token = cache_bytes_per_token(model)
        reading, writing, by_batch = [], [], {}
        for batch in batches:
            rows = sequences(batch, prompt=prompt, completion=0, vocabulary=model.config.vocab_size)
            prompts = [row.input_ids for row in rows]

            def write(count: int, prompts=prompts, model=model, memory=memory) -> None:
                wanted = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
                found = generate_from_tokens(model, prompts, pad_id=0, memory=memory, **wanted)
                assert found.shape == (len(prompts), count)

            first, all_of_them = (seconds_of(lambda n=n: write(n), device, rounds=rounds) for n in (1, new))
            steps = [(long - short) / (new - 1) for long, short in zip(all_of_them, first, strict=True)]
            by_batch[str(batch)] = {
                "seconds_reading": [min(first), max(first)],
                "seconds_step": [min(steps), max(steps)],
            }
            moved = 2 * weights + batch * (prompt + new / 2) * of_token
            reading += [READING_FLOPS * weights * batch * prompt / (one * flops) for one in first]
            writing += [moved / (one * bandwidth) for one in steps if one > 0]
        del model, memory
        values[shape] = {
            "parameters": weights,
            "batches": by_batch,
            "reading_share": [min(reading), max(reading)],
            "writing_share": [min(writing), max(writing)] if writing else None,
            "prompt and new tokens": f"{prompt} + {new}",
        }
    return values


PART = Part(
    "generation",
    "bfloat16: seconds that a batch's prompts and one step of generate() take; shares of arithmetic and bandwidth",
    run,
    full={
        "shapes": ("smollm2_135m", "llama_1.3b", "llama_7b"),
        "batches": (8, 32, 64),
        "prompt": 256,
        "new": 33,
        "rounds": 2,
    },
    tiny={"shapes": ("tiny",), "batches": (1, 2), "prompt": 8, "new": 5, "rounds": 1},
    minutes=0.9,
)

"""The judge's batch: how many rows its memory is predicted to hold, and what they took (PandaLM-7B's setting)."""

import time

import torch
from plw.models.decoding import generate_from_tokens
from plw.models.memory import BatchMemory

from gpu.part import Part
from gpu.shapes import build, sequences, wait


def run(device: str, *, shape: str, wanted: int, prompt: int, new: int, beams: int) -> dict:
    """Rows, predicted and measured bytes (None on a CPU, whose allocator counts nothing), seconds per step.

    Where the predicted batch did not fit, it was halved: the measured bytes are those of the failed batch, then.
    """
    model = build(shape, device, dtype=torch.bfloat16).eval()
    memory = BatchMemory(model)
    tokens = prompt + new
    rows = memory.rows(wanted, tokens=tokens, beams=beams)
    predicted = rows * tokens * beams * memory.row_token_bytes
    prompts = [
        one.input_ids for one in sequences(rows, prompt=prompt, completion=0, vocabulary=model.config.vocab_size)
    ]
    before = None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    wait(device)
    started = time.perf_counter()
    found = generate_from_tokens(
        model, prompts, pad_id=0, memory=memory, max_new_tokens=new, min_new_tokens=new, do_sample=False,
        num_beams=beams, early_stopping=True,
    )  # fmt: skip
    wait(device)
    seconds = time.perf_counter() - started
    assert found.shape == (rows, new)
    measured = None if before is None else torch.cuda.max_memory_allocated() - before
    return {
        "rows asked for": wanted,
        "rows": rows,
        "rows at once after out-of-memory": memory.rows(rows, tokens=tokens, beams=beams) if memory.halved else None,
        "prompt + new tokens × beams": f"{prompt} + {new} × {beams}",
        "predicted, bytes": predicted,
        "measured, bytes": measured,
        "measured over predicted": None if measured is None else measured / predicted,
        "seconds per step": seconds / new,
    }


PART = Part(
    "judging",
    "a judge of LLaMA 7B's shape in bfloat16 with beams: the batch that plw.models.memory allows, and its memory",
    run,
    full={"shape": "llama_7b", "wanted": 64, "prompt": 700, "new": 128, "beams": 4},
    tiny={"shape": "tiny", "wanted": 3, "prompt": 12, "new": 4, "beams": 2},
    minutes=1.2,
)

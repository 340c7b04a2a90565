"""Memory that a layer takes at 7B width: the difference between two models that differ by a few layers."""

import torch
from transformers import TrainerCallback

from gpu.part import Part
from gpu.shapes import build, parameters_of, sequences
from gpu.trainings import train

STATE_BYTES = 16  # float32: weights, gradients and Adam's two moments


class StateBytes(TrainerCallback):
    """Bytes of weights, of their gradients (as large as they are) and of Adam's moments."""

    def __init__(self) -> None:
        self.bytes = 0

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        parameters = list(model.parameters())
        moments = [
            value
            for parameter in parameters
            for value in getattr(optimizer, "optimizer", optimizer).state[parameter].values()
            if torch.is_tensor(value) and value.dim()
        ]
        self.bytes = sum(one.numel() * one.element_size() for one in [*parameters, *parameters, *moments])


def run(device: str, *, shape: str, layers: tuple[int, int], batch: int, length: int) -> dict:
    """Bytes a layer; the device's are None on a CPU, whose allocator counts nothing."""
    peaks, sizes, state = [], [], []
    for count in layers:
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        model = build(shape, device, num_hidden_layers=count)
        sizes.append(parameters_of(model))
        examples = sequences(2 * batch, prompt=length // 2, completion=length // 2, vocabulary=model.config.vocab_size)
        held = StateBytes()
        train(model, examples, plw=0.1, device=device, callbacks=[held], compute_dtype="bfloat16", micro_batch=batch,
              micro_batches_per_update=1, physical_batch=batch)  # fmt: skip
        state.append(held.bytes)
        peaks.append(torch.cuda.max_memory_allocated() if device == "cuda" else None)
        del model
    of_layer = (sizes[1] - sizes[0]) / (layers[1] - layers[0])
    counted = (state[1] - state[0]) / (layers[1] - layers[0])
    assert counted == STATE_BYTES * of_layer, f"a weight takes {counted / of_layer} bytes"
    peak = (peaks[1] - peaks[0]) / (layers[1] - layers[0]) if device == "cuda" else None
    return {
        "weights of a layer": of_layer,
        "bytes of its weights, gradients and moments": counted,
        "bytes at the peak": peak,
        "of that activations": None if peak is None else peak - counted,
        "activations, bytes per token": None if peak is None else (peak - counted) / (batch * length),
        "sequences × tokens": f"{batch} × {length}",
    }


PART = Part(
    "memory",
    "memory of one more layer at 7B width, float32 weights under bfloat16 autocast, without checkpointing",
    run,
    full={"shape": "llama_7b", "layers": (1, 3), "batch": 4, "length": 512},
    tiny={"shape": "tiny", "layers": (1, 3), "batch": 2, "length": 16},
    minutes=0.2,
)

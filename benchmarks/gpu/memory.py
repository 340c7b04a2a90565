"""Memory that a layer takes at 7B width: the difference between two models that differ by a few layers.

Beside it what the memory law says (plw.study.planning.memory): of the layer, and of the larger model's whole training.
"""

import gc

import torch
from plw.study.planning.memory import Training, shape_of, training_demand
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
    """Bytes a layer, and the law's over them; what the device says is None on a CPU, whose allocator counts nothing."""
    peaks, predicted, sizes, state = [], [], [], []
    at_once = Training(rows=batch, tokens=length, compute_dtype="bfloat16", on_host=device == "cpu")
    for count in layers:
        before = 0
        if device == "cuda":
            gc.collect()  # what holds the model before in a circle
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        model = build(shape, device, num_hidden_layers=count)
        sizes.append(parameters_of(model))
        predicted.append(training_demand(shape_of(model.config.to_dict()), at_once).peak)
        examples = sequences(2 * batch, prompt=length // 2, completion=length // 2, vocabulary=model.config.vocab_size)
        held = StateBytes()
        train(model, examples, plw=0.1, device=device, callbacks=[held], compute_dtype="bfloat16", micro_batch=batch,
              micro_batches_per_update=1, physical_batch=batch)  # fmt: skip
        state.append(held.bytes)
        peaks.append(torch.cuda.max_memory_allocated() - before if device == "cuda" else None)
        del model

    def of_layer(counted: list) -> float:
        return (counted[1] - counted[0]) / (layers[1] - layers[0])

    assert of_layer(state) == STATE_BYTES * of_layer(sizes), f"a weight takes {of_layer(state) / of_layer(sizes)} bytes"
    peak = of_layer(peaks) if device == "cuda" else None
    return {
        "weights of a layer": of_layer(sizes),
        "bytes of its weights, gradients and moments": of_layer(state),
        "bytes at the peak": peak,
        "by the memory law": of_layer(predicted),
        "law over measured": peak and of_layer(predicted) / peak,
        f"law over measured, whole training of {layers[1]} layers": peak and predicted[1] / peaks[1],
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

"""A device with little memory: real models that run out of it with more than so many sequences at once.

As a program it is scripts/training/train_model.py on such a device: LITTLE_MEMORY holds the arguments of `limit` as
JSON, and "rank", the only one whose device is small.
"""

import json
import os

import torch

MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB."


class _Exhausted(torch.autograd.Function):
    """A tensor as it is, whose gradient does not fit."""

    @staticmethod
    def forward(ctx, hidden):
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, gradient):
        raise torch.OutOfMemoryError(MESSAGE)


def limit(model, *, rows, backward=False, fits=0):
    """Let `model` run out of memory with more than `rows` sequences.

    backward  at the end of the backward pass, instead of in the middle of the forward pass
    fits      so many passes with more sequences have room
    """
    left, packed = [fits], [None]

    def note(module, inputs, named):
        """Rows of a packed batch (`plw.training.forward.packing`): each begins where positions do not go on."""
        places = named.get("position_ids")
        packed[0] = None if places is None else 1 + int((places[0].diff() != 1).sum())

    model.register_forward_pre_hook(note, with_kwargs=True)

    def look(hidden):
        if (packed[0] or len(hidden)) <= rows:
            return hidden
        if left[0]:
            left[0] -= 1
            return hidden
        if backward:
            return _Exhausted.apply(hidden)
        raise torch.OutOfMemoryError(MESSAGE)

    if backward:
        model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: look(output))
    else:
        model.base_model.layers[-1].mlp.register_forward_pre_hook(lambda module, inputs: (look(inputs[0]),))
    return model


def main():
    import train_model
    from plw.training import run

    asked = json.loads(os.environ["LITTLE_MEMORY"])
    if asked.pop("rank", None) in (None, int(os.environ.get("RANK", 0))):
        load = run.load_model
        run.load_model = lambda source: limit(load(source), **asked)
    train_model.main()


if __name__ == "__main__":
    main()

"""Penalties on the weights (§5.3, App. E.5)."""

import torch

from plw.errors import InputError


class MinkowskiPenalty:
    """alpha × mean over weight tensors of sum|theta - theta_0|, the Minkowski distance of order 1.

    The mean is over tensors, not over elements, as the paper's weight distance (protocol §6.6); rows that were
    added to the embeddings for new tokens are left out. Keeps one copy of the starting weights.

    model       the model with its starting weights
    alpha       strength, above 0; the paper does not print the one it used
    added_rows  rows appended to input and output embeddings
    """

    def __init__(self, model, alpha: float, added_rows: int = 0):
        embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
        self.alpha, self.pairs = alpha, []
        for parameter in model.parameters():
            if hasattr(parameter, "ds_id"):
                raise InputError(
                    "The minkowski regularizer cannot be used with ZeRO stage 3.",
                    hint="Use zero_stage 0 to 2.",
                )
            rows = parameter.shape[0] - (added_rows if id(parameter) in embeddings else 0)
            self.pairs.append((parameter, parameter.detach()[:rows].clone()))

    def __call__(self) -> torch.Tensor:
        """Return the penalty as a float32 scalar with gradient."""
        total = 0.0
        for parameter, start in self.pairs:
            start = start.to(parameter.device, parameter.dtype)
            total = total + (parameter[: start.shape[0]] - start).abs().sum(dtype=torch.float32)
        return self.alpha * total / len(self.pairs)

"""LLaMA's norm with a backward pass of its own: fewer passes over the states, the same numbers.

PyTorch takes the derivative of each of the norm's six operations by itself and keeps what each needs. Written out, the
gradient needs fewer passes and keeps two tensors of their size.
"""

import torch
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm


class _RootMeanSquare(torch.autograd.Function):
    """x × rsqrt(mean(x²) + eps) × weight, over the last dimension: x float32 [..., width], weight float32 [width]."""

    @staticmethod
    def forward(ctx, states, weight, eps):
        squares = torch.linalg.vector_norm(states, dim=-1, keepdim=True).square_()
        scale = squares.div_(states.shape[-1]).add_(eps).rsqrt_()
        normed = states * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        normed, scale, weight = ctx.saved_tensors
        along = (gradient * normed).flatten(0, -2)
        of_weight = along.sum(0) if ctx.needs_input_grad[1] else None
        share = torch.mv(along, weight).div_(normed.shape[-1]).view_as(scale)
        return torch.addcmul(gradient * weight, normed, share, value=-1).mul_(scale), of_weight, None


class FewerPasses:
    """Gives a model's norms that forward pass where they are LLaMA's and states are float32, until `remove`."""

    def __init__(self, model: PreTrainedModel):
        self._norms = [module for module in model.modules() if type(module) is LlamaRMSNorm]
        for norm in self._norms:
            norm.forward = _forward_of(norm, norm.forward)

    def remove(self) -> None:
        """Give the norms their own forward back."""
        for norm in self._norms:
            norm.__dict__.pop("forward", None)


def _forward_of(norm: LlamaRMSNorm, inner):
    def forward(states: torch.Tensor) -> torch.Tensor:
        if states.dtype != torch.float32 or norm.weight.dtype != torch.float32 or states.device.type != "cpu":
            return inner(states)  # rounded where the model rounds it; on a GPU it was not timed
        return _RootMeanSquare.apply(states, norm.weight, norm.variance_epsilon)

    return forward

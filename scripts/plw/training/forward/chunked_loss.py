"""Output layer and loss together, in chunks of tokens: all logits never exist at once.

Every token's scale is known before the forward pass, so the gradient of a chunk's logits is known as soon as they are:
scale × (softmax - target). Hidden states and weights get their gradients in the forward pass, and the chunk is
forgotten. Peak memory of logits, their softmax and its gradient is that of one chunk instead of three times all tokens.
"""

import torch
from torch.autograd.function import once_differentiable

# Tokens of one chunk. The weights' gradient is read and written once a chunk: with fewer than some 256 that takes
# longer than the products; with more only memory grows. Of 64, 128, 256 and 512, 256 was the fastest or within 4 % of
# it at four vocabularies from 1,397 to 128,000 on one quiet core (benchmarks/bench_output_layer.py --chunk-tokens).
CHUNK_TOKENS = 256


class _ChunkedLoss(torch.autograd.Function):
    """See `chunked_loss`."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, scales, label_smoothing, chunk_tokens):
        dtype = _compute_dtype(hidden)
        values, matrix = hidden.detach().to(dtype), weight.detach().to(dtype)
        offset = None if bias is None else bias.detach().to(dtype)
        losses = torch.empty(len(values), dtype=torch.float32, device=values.device)
        learns = ctx.needs_input_grad
        of_hidden = torch.empty_like(values) if learns[0] else None
        of_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if learns[1] else None
        of_bias = torch.zeros(bias.shape, dtype=torch.float32, device=weight.device) if learns[2] else None
        with torch.autocast(values.device.type, enabled=False):
            for chunk in _chunks(len(values), chunk_tokens):
                logits = torch.nn.functional.linear(values[chunk], matrix, offset)
                gradient, total, losses[chunk] = _token_losses(logits, targets[chunk], label_smoothing, any(learns[:3]))
                del logits  # or two chunks would be there while the next one is made
                if gradient is None:
                    continue
                # In float32 each row's factor goes into the small matrices, which saves two passes over the chunk;
                # in less, the product is rounded once.
                factor = (scales[chunk].float() / total)[:, None]
                if dtype != torch.float32:
                    gradient, factor = gradient.mul_(factor), torch.ones_like(factor)
                if of_bias is not None:
                    of_bias.addmv_(gradient.t(), factor[:, 0])
                gradient = gradient.to(dtype)
                if of_hidden is not None:
                    torch.mm(gradient, matrix, out=of_hidden[chunk]).mul_(factor)
                if of_weight is not None:
                    _add_product(of_weight, gradient, values[chunk] * factor.to(dtype))
                del gradient
        ctx.save_for_backward(of_hidden, of_weight, of_bias)
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(losses)
        return (losses * scales.float()).sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx, factor, _):
        """Scaled by what the loss was multiplied with afterwards: the number of ranks."""
        gradients = [
            None if gradient is None else gradient.to(dtype).mul_(factor)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return (*gradients, None, None, None, None)


def chunked_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    scales: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    chunk_tokens: int = CHUNK_TOKENS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sum(scale × cross-entropy) as a float32 scalar, and each token's cross-entropy, float32 [n], no gradient.

    hidden   float [n, width];  weight  float [vocabulary, width];  bias  float [vocabulary] or None
    targets  int64 [n], none of them -100;  scales  float [n]
    Equal to `plw.training.loss.weighted_token_loss` of all logits but for the order of sums; matrices are multiplied
    in the dtype of autocast, softmax and sums are float32. The gradient is made in the forward pass: take it once.
    """
    return _ChunkedLoss.apply(hidden, weight, bias, targets, scales, label_smoothing, chunk_tokens)


def chunked_token_losses(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    *,
    chunk_tokens: int = CHUNK_TOKENS,
) -> torch.Tensor:
    """Return each token's cross-entropy in nats, float32 [n], without gradient; arguments as in `chunked_loss`."""
    # Detached, not only without gradient: a function is asked for gradients by what its inputs require, and would
    # multiply the weights' out.
    given = (hidden.detach(), weight.detach(), None if bias is None else bias.detach())
    scales = torch.zeros_like(targets, dtype=torch.float32)
    return chunked_loss(*given, targets, scales, chunk_tokens=chunk_tokens)[1]


def _compute_dtype(hidden: torch.Tensor) -> torch.dtype:
    """What matrices are multiplied in: autocast's dtype where it is on."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _chunks(tokens: int, most: int) -> list[slice]:
    """Slices of nearly equal size with at most `most` tokens each."""
    if not tokens:
        return []
    size = -(-tokens // -(-tokens // most))
    return [slice(start, start + size) for start in range(0, tokens, size)]


def _token_losses(logits, targets, label_smoothing: float, learns: bool):
    """Gradient of each token's loss with respect to its logits, times that token's `total` (or None), `total` and the
    losses; `logits` is overwritten.
    """
    logits = logits.float()
    picked = logits.gather(1, targets[:, None])[:, 0]
    average = logits.mean(1) if label_smoothing else None
    highest = logits.amax(1)
    logits.sub_(highest[:, None]).exp_()
    total = logits.sum(1)
    normalizer = total.log() + highest
    losses = normalizer - picked
    if average is not None:
        losses = (1 - label_smoothing) * losses + label_smoothing * (normalizer - average)
    if not learns:
        return None, total, losses
    if label_smoothing:
        logits.sub_((total * (label_smoothing / logits.shape[1]))[:, None])
    logits.scatter_add_(1, targets[:, None], (total * (label_smoothing - 1))[:, None])
    return logits, total, losses


def _add_product(total: torch.Tensor, gradient: torch.Tensor, values: torch.Tensor) -> None:
    """total += gradientᵀ × values, summed in float32."""
    if gradient.dtype == total.dtype:
        total.addmm_(gradient.t(), values)
    else:
        total += gradient.t() @ values

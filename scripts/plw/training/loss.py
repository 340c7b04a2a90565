"""The prompt-weighted loss: a weight for each token, a scale for each token, a sum.

Weights (§2.2, §4.1; what of them is open: docs/loss.md). A completion token, the end-of-sequence included, weighs 1; a
prompt token, template and special tokens included, weighs PLW; padding weighs nothing. The first token of a
sequence is never predicted, so it has no weight and is not counted.

Scales. The paper does not say what the weighted sum is divided by. Here the denominator D is chosen by name:

    sum_of_weights   D = sum of w           continuous at PLW 0: the prompt's influence fades smoothly
    nonzero_count    D = #{w != 0}          jumps from C to P + C as PLW leaves 0 (default)
    all_count        D = P + C              PLW 0 equals masking only up to the factor C / (P + C)
    token_sum        D = 1                  no denominator

with P prompt and C completion tokens of the *unit*: each logical micro-batch (then the objective is the mean
over the update's micro-batches, what transformers did in 2023) or the whole update. nonzero_count is the default
because only a count that switches at PLW 0 makes the jump of Fig. 2a, and it satisfies §4.1: PLW 0 is Alpaca's
masking, PLW 1 the plain language model loss.

Every token's final scale is therefore known before the forward pass, from the logical batch alone, and the
objective of an update is the plain sum of scale × cross-entropy. However the sequences are then split over
devices and accumulation steps, the gradient is the same.
"""

import numbers
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from plw.errors import InputError
from plw.training.settings import NORMALIZATIONS, UNITS

IGNORED = -100  # label of positions without a target: the convention of PyTorch and transformers


def is_number(value: object) -> bool:
    """Whether `value` is a real number of Python or numpy; true and false are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_plw(plw: float) -> float:
    """Return `plw` if it is a number in [0, 1]; otherwise raise InputError (a ValueError)."""
    if not is_number(plw) or not 0.0 <= plw <= 1.0:
        raise InputError(
            "The prompt loss weight (plw) must be a number in [0, 1].",
            value=plw,
            hint="0 masks the prompt, 1 trains on all tokens; weights above 1 were not studied.",
        )
    return float(plw)


def check_completion_loss_weight(weight: float) -> float:
    """Return `weight` if it is a finite number above 0; otherwise raise InputError."""
    if not is_number(weight) or not 0.0 < weight < float("inf"):
        raise InputError(
            "The completion's loss weight must be a finite number above 0.",
            value=weight,
            hint="The paper's is 1; a completion of weight 0 would not be learnt.",
        )
    return float(weight)


def token_weights(
    prompt_lengths: Sequence[int],
    lengths: Sequence[int],
    *,
    plw: float,
    completion_loss_weight: float = 1.0,
    width: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (weights, counted) of right-padded sequences, aligned with the *labels*.

    prompt_lengths  leading prompt tokens of each sequence
    lengths         tokens of each sequence without padding
    width           columns of the result; None means the longest sequence
    weights         float64 [sequences, width]: PLW on prompt tokens, `completion_loss_weight` (1 in the paper) on
                    completion tokens, 0 elsewhere
    counted         bool, same shape: tokens that are predicted (all but the first one and padding)
    """
    position = torch.arange(width if width is not None else max(lengths, default=0))
    is_prompt = position < torch.as_tensor(prompt_lengths)[:, None]
    return mask_weights(is_prompt, lengths, plw=plw, completion_loss_weight=completion_loss_weight)


def mask_weights(
    is_prompt: torch.Tensor, lengths: Sequence[int], *, plw: float, completion_loss_weight: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """`token_weights` where any tokens may be the prompt's: is_prompt is bool [sequences, width]."""
    plw, completion = check_plw(plw), check_completion_loss_weight(completion_loss_weight)
    position = torch.arange(is_prompt.shape[1])
    counted = (position >= 1) & (position < torch.as_tensor(lengths)[:, None])
    weights = torch.where(is_prompt, plw, completion).to(torch.float64) * counted
    return weights, counted


def check_answer_weight(weight: float) -> float:
    """Return the weight of earlier answers if it is a finite number from 0; otherwise raise InputError."""
    return 0.0 if is_number(weight) and weight == 0 else check_completion_loss_weight(weight)


def weigh_positions(
    weights: torch.Tensor,
    counted: torch.Tensor,
    places: Sequence[Sequence[int]],
    weight: float,
    *,
    check: Callable[[float], float] = check_plw,
) -> None:
    """Give the tokens at some places of each sequence another weight, in `weights`; what is not counted keeps 0.

    places  positions by sequence;  weight  in [0, 1], as PLW, or what `check` returns
    """
    for sequence, positions in enumerate(places):
        chosen = torch.as_tensor(list(positions), dtype=torch.int64)
        found = torch.where(counted[sequence, chosen], check(weight), 0.0)  # rounded as in mask_weights
        weights[sequence, chosen] = found.to(weights.dtype)


def group_denominators(
    weights: torch.Tensor, groups: torch.Tensor, *, normalization: str, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """Return D of each normalisation group, float64 [groups]; 0 where a group has nothing to learn from.

    weights  float [...]          one weight per token, 0 on padding
    groups   int64, broadcastable to `weights` from the left ([sequences] for [sequences, width])
    counted  bool, like weights   tokens that all_count counts (prompt tokens of weight 0 among them)
    """
    check_name("normalization", normalization, NORMALIZATIONS)
    groups = _expand(groups, weights)
    size = int(groups.max()) + 1 if groups.numel() else 0
    if normalization == "all_count" and counted is None:
        raise ValueError("all_count needs `counted`: from weights alone, padding and masked prompts look alike")
    values = {
        "sum_of_weights": weights,
        "nonzero_count": weights != 0,
        "all_count": counted,
        "token_sum": weights != 0,
    }[normalization].to(torch.float64)
    totals = torch.zeros(size, dtype=torch.float64).index_add_(0, groups.reshape(-1), values.reshape(-1))
    return (totals > 0).to(torch.float64) if normalization == "token_sum" else totals


def token_scales(
    weights: torch.Tensor,
    groups: torch.Tensor,
    *,
    normalization: str,
    unit: str,
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the final scale of every token, float64 and shaped like `weights`.

    The update's objective is sum(scale × cross-entropy). With unit "microbatch" it is the mean over the logical
    micro-batches (`groups`, numbered from 0) of their sum(w × cross-entropy) / D; with "update" there is one D.
    A micro-batch without any weight (every completion cut off, PLW 0) adds 0 to that mean and still counts in
    it: dividing by its zero tokens gave NaN in the stack of 2023.
    """
    check_name("unit", unit, UNITS)
    groups = _expand(groups, weights)
    if unit == "update":
        groups = torch.zeros_like(groups)
    denominators = group_denominators(weights, groups, normalization=normalization, counted=counted)
    reciprocal = torch.where(denominators > 0, 1.0 / denominators.clamp(min=1e-300), 0.0)
    return weights.to(torch.float64) * (reciprocal / max(len(denominators), 1))[groups]


def token_losses(logits: torch.Tensor, labels: torch.Tensor, *, label_smoothing: float = 0.0) -> torch.Tensor:
    """Return the cross-entropy of each token in nats, float32 [...]; 0 where the label is -100.

    logits  float [..., vocabulary], already aligned: logits[i] predicts labels[i]; computed in float32
    label_smoothing  e in (1 - e) × CE + e × mean over the vocabulary of -log p, as transformers' LabelSmoother
    """
    flat = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return flat.view(labels.shape)


def weighted_token_loss(
    logits: torch.Tensor, labels: torch.Tensor, scales: torch.Tensor, *, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Return sum(scale × cross-entropy) as a float32 scalar; all arguments aligned as in `token_losses`.

    Zero positions are a loss of 0 that still has a gradient (of zeros), so an empty slot does no harm.
    """
    losses = token_losses(logits, labels, label_smoothing=label_smoothing)
    return (losses * scales.to(losses.dtype)).sum()


def causal_lm_loss(
    logits: torch.Tensor, input_ids: torch.Tensor, token_scales: torch.Tensor, label_smoothing: float = 0.0, **_
) -> torch.Tensor:
    """The loss of a batch of `PromptLossCollator`: sum of scale × cross-entropy of each token given those before it.

    logits        float [sequences, width, vocabulary] as a causal language model returns them
    input_ids     int64 [sequences, width]; tokens of scale 0 (padding, the first token, a masked prompt) are no targets
    token_scales  float [sequences, width], aligned with input_ids
    Takes and ignores the rest of the batch. Raises ValueError where the logits have other positions than the tokens.
    """
    if logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits for {tuple(logits.shape[:2])} positions, but {tuple(input_ids.shape)} tokens: methods that add "
            "positions of their own (prompt tuning) are not supported"
        )
    labels = input_ids.masked_fill(token_scales == 0, IGNORED)
    return weighted_token_loss(logits[:, :-1], labels[:, 1:], token_scales[:, 1:], label_smoothing=label_smoothing)


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Return rows of token ids as an int64 matrix, padded on the right with `value`."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.int64)


def describe_loss(
    *,
    plw: float,
    normalization: str,
    unit: str,
    micro_batch: int,
    micro_batches_per_update: int,
    completion_loss_weight: float = 1.0,
    template_loss_weight: float | None = None,
    system_loss_weight: float | None = None,
    earlier_completion_loss_weight: float | None = None,
) -> str:
    """Say in words what an update minimises, for the run's record."""
    plw, completion = check_plw(plw), check_completion_loss_weight(completion_loss_weight)
    denominator = {
        "sum_of_weights": "divided by the sum of their weights",
        "nonzero_count": "divided by the number of tokens whose weight is not zero",
        "all_count": "divided by the number of prompt and completion tokens, whatever their weight",
        "token_sum": "not divided by anything",
    }[check_name("normalization", normalization, NORMALIZATIONS)]
    one = {
        "microbatch": f"of a micro-batch of {micro_batch} sequences, averaged with equal weight over the update's "
        f"micro-batches ({micro_batches_per_update}, fewer in the last window of an epoch)",
        "update": f"of all {micro_batch * micro_batches_per_update} sequences of the update",
    }[check_name("unit", unit, UNITS)]
    prompt = f"{plw!r} for prompt tokens (template and special tokens included)"
    if template_loss_weight is not None:
        prompt = (
            f"{plw!r} for tokens of instruction and input, {template_loss_weight!r} for template and special tokens"
        )
    answers = ""
    if system_loss_weight is not None:
        prompt += f", {system_loss_weight!r} for a system turn"
    if earlier_completion_loss_weight is not None:
        answers = f", {earlier_completion_loss_weight:g} for answers before a conversation's last"
    return (
        f"Sum of weight x cross-entropy over the predicted tokens, {denominator}, {one}. "
        f"Weights: {prompt}, {completion:g} for completion tokens "
        f"(end-of-sequence included){answers}, none for padding and for the first token. "
        "A unit without weighted tokens counts as a loss of 0."
    )


def check_name(key: str, value: str, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of `allowed`; otherwise raise InputError that names them."""
    if value not in allowed:
        raise InputError(f"Unknown {key}.", value=value, hint=f"Use one of {', '.join(allowed)}.")
    return value


def _expand(groups: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Repeat group numbers over the trailing dimensions of `weights`."""
    return groups.reshape(groups.shape + (1,) * (weights.dim() - groups.dim())).expand(weights.shape)

"""Batches that carry every token's scale, for the training loop of any library."""

import operator
from collections.abc import Sequence

import torch

from plw.errors import InputError
from plw.training.loss import (
    IGNORED,
    check_completion_loss_weight,
    check_name,
    check_plw,
    group_denominators,
    mask_weights,
    pad,
    token_scales,
    weigh_positions,
)
from plw.training.settings import NORMALIZATIONS, UNITS


class PromptLossCollator:
    """Make a padded batch with token scales; `causal_lm_loss(model(...).logits, **batch)` is its loss.

    A feature is a dict of `input_ids` and of where its prompt is:
        prompt_length   the number of leading prompt tokens, or
        labels          as other trainers prepare them (TRL, Alpaca): the ids, with -100 on the prompt

    plw                     weight of prompt tokens, in [0, 1]; `prompt_loss_weight` is another name for it
    completion_loss_weight  weight of completion tokens (1 in the paper)
    template_loss_weight    weight of the tokens whose positions a feature's `template` names (the prompt's template and
                            special tokens: `plw.data.tokenization.template_positions`); None: that of the prompt
    normalization, unit     see the head of plw.training.loss; by default `nonzero_count` per "microbatch". With
                            `prompt_loss_weight` the unit is the "update" by default: together that is the loss of TRL's
                            pull request 6747 (Weighted Instruction Tuning)
    micro_batch             logical micro-batches of so many sequences within a call; None: the call is one

    Each call is one logical unit. Returns input_ids, attention_mask (int64) and token_scales (float32), all
    [sequences, width]; with unit "update" also denominator, D of this call (float32 [sequences], one value), so that
    several calls can be brought to one. There are no `labels`, which a model would compute a loss of its own from.
    """

    def __init__(
        self,
        pad_token_id: int | None,
        *,
        plw: float | None = None,
        normalization: str = "nonzero_count",
        unit: str | None = None,
        micro_batch: int | None = None,
        prompt_loss_weight: float | None = None,
        completion_loss_weight: float = 1.0,
        template_loss_weight: float | None = None,
    ):
        if (plw is None) == (prompt_loss_weight is None):
            raise InputError("Give the weight of prompt tokens once: plw, or prompt_loss_weight.", value=plw)
        if unit is None:
            unit = "microbatch" if prompt_loss_weight is None else "update"
        self.pad_token_id = check_pad_token(pad_token_id)
        weight = prompt_loss_weight if plw is None else plw
        assert weight is not None  # one of the two was given
        self.plw = check_plw(weight)
        self.completion_loss_weight = check_completion_loss_weight(completion_loss_weight)
        self.template_loss_weight = None if template_loss_weight is None else check_plw(template_loss_weight)
        self.normalization = check_name("normalization", normalization, NORMALIZATIONS)
        self.unit = check_name("unit", unit, UNITS)
        if micro_batch is not None and (_as_int(micro_batch) or 0) < 1:
            raise InputError("micro_batch is a number of sequences from 1 on, or None.", value=micro_batch)
        self.micro_batch = micro_batch

    def __call__(self, features: Sequence[dict]) -> dict[str, torch.Tensor]:
        check_features(features)
        lengths = [len(feature["input_ids"]) for feature in features]
        input_ids = pad([feature["input_ids"] for feature in features], self.pad_token_id)
        weights, counted = mask_weights(
            _is_prompt(features, lengths),
            lengths,
            plw=self.plw,
            completion_loss_weight=self.completion_loss_weight,
        )
        if self.template_loss_weight is not None:
            weigh_positions(weights, counted, _templates(features), self.template_loss_weight)
        groups = torch.arange(len(features)) // (self.micro_batch or max(len(features), 1))
        named = {"normalization": self.normalization, "counted": counted}
        batch = {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < torch.as_tensor(lengths)[:, None]).long(),
            "token_scales": token_scales(weights, groups, unit=self.unit, **named).float(),
        }
        if self.unit == "update":
            (denominator,) = group_denominators(weights, torch.zeros_like(groups), **named)
            batch["denominator"] = denominator.float().repeat(len(features))
        return batch


def _as_int(value: object) -> int | None:
    """A whole number of Python, numpy or torch as an int; None for anything else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_pad_token(pad_token_id: int | None) -> int:
    """The id as an int; InputError if a tokenizer has none, as those of LLaMA and GPT-2 do."""
    number = _as_int(pad_token_id)
    if number is None or number < 0:
        raise InputError(
            "The collator needs the id of a padding token.",
            value="None" if pad_token_id is None else pad_token_id,
            where="pad_token_id",
            hint="Where the tokenizer has none, give its eos_token_id: padding is masked and weighs nothing.",
        )
    return number


def check_features(features: Sequence[dict]) -> None:
    """Raise InputError for a batch of nothing, an example without ids, or a prompt length that is none of its own."""
    if not features:
        raise InputError("A batch holds no training example.", hint="Is the data set empty, or its loader filtered?")
    for place, feature in enumerate(features):
        if "input_ids" not in feature or not len(feature["input_ids"]):
            raise InputError(
                "A training example has no tokens.",
                value=sorted(map(str, feature)),
                where=f"example {place} of a batch",
                hint="Give `input_ids`, the ids of prompt and completion.",
            )
        given = feature.get("prompt_length", 0)
        length = _as_int(given)
        if length is None or not 0 <= length <= len(feature["input_ids"]):
            raise InputError(
                "prompt_length is no number of tokens of its example.",
                value="None" if given is None else given,
                where=f"example {place} of a batch, which has {len(feature['input_ids'])} tokens",
                hint="Give the number of leading prompt tokens, special tokens included.",
            )


def _templates(features: Sequence[dict]) -> list[Sequence[int]]:
    """Where each feature's template is; InputError if one does not say, or names a place beyond its tokens."""
    for place, feature in enumerate(features):
        positions = feature.get("template")
        length = len(feature["input_ids"])
        if positions is None or not all(0 <= (_as_int(position) or 0) < length for position in positions):
            raise InputError(
                "A training example does not say where its prompt's template is.",
                value="None" if positions is None else list(positions)[:5],
                where=f"example {place} of a batch, which has {length} tokens",
                hint="Give `template`, the positions of its tokens, or leave template_loss_weight out.",
            )
    return [feature["template"] for feature in features]


def _is_prompt(features: Sequence[dict], lengths: Sequence[int]) -> torch.Tensor:
    """Which tokens are the prompt's, bool [sequences, width]; InputError if a feature does not say."""
    if all("prompt_length" in feature for feature in features):
        prompts = torch.as_tensor([int(feature["prompt_length"]) for feature in features])
        return torch.arange(max(lengths)) < prompts[:, None]
    for place, (feature, length) in enumerate(zip(features, lengths, strict=True)):
        labels = feature.get("labels")
        if labels is None or len(labels) != length:
            raise InputError(
                "A training example does not say where its prompt is.",
                value=sorted(map(str, feature)),
                where=f"example {place} of a batch",
                hint="Give `prompt_length`, or `labels` of the same length as `input_ids` with -100 on the prompt; "
                "and keep the trainer from removing them (remove_unused_columns=False).",
            )
    return pad([[label == IGNORED for label in feature["labels"]] for feature in features], False).bool()

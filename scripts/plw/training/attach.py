"""The prompt-weighted loss in somebody else's trainer or model, so that it cannot be left out without a word.

Setting `loss_function` on a model is not enough: under PEFT, DDP or DeepSpeed it lands on a wrapper that nobody asks,
and the model's own loss trains the whole prompt.
"""

from collections.abc import Callable
from functools import wraps

import torch

from plw.errors import InputError
from plw.training.collator import PromptLossCollator
from plw.training.loss import causal_lm_loss


def attach_prompt_loss(target: object) -> None:
    """Make `target` train with the loss of `PromptLossCollator`'s batches.

    target  a model, wrapped or not (PEFT, DDP, FSDP, DeepSpeed, torch.compile): its output then has that loss for each
            such batch, `labels` are refused, and so is a forward pass in training mode without token scales.
            A trainer (of transformers, TRL or derived from them) whose data_collator is a PromptLossCollator: every
            loss is that of its batches. With unit "microbatch" a device's batch is one and the update is their mean;
            with "update" all batches of an update, over accumulation steps and ranks, share one denominator.
    Raises InputError for what cannot be done right.
    """
    if isinstance(target, torch.nn.Module):
        _attach_to_model(innermost(target))
    elif hasattr(target, "compute_loss") and hasattr(target, "training_step"):
        _attach_to_trainer(target)
    else:
        raise InputError("Neither a model nor a trainer.", value=type(target).__name__)


def innermost(model: torch.nn.Module) -> torch.nn.Module:
    """The model itself, whatever wraps it: `module` of DDP, FSDP and DeepSpeed, PEFT's base, the compiled original."""
    while True:
        inner = getattr(model, "module", None) or getattr(model, "_orig_mod", None)
        if inner is None and hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        if not isinstance(inner, torch.nn.Module) or inner is model:
            return model
        model = inner


def _attach_to_model(model: torch.nn.Module) -> None:
    if getattr(model.forward, "has_prompt_loss", False):
        return
    plain = model.forward

    @wraps(plain)  # trainers ask for its signature
    def forward(*arguments, token_scales=None, denominator=None, labels=None, label_smoothing=0.0, **named):
        if labels is not None:
            raise InputError(
                "This model has a prompt-weighted loss and was given `labels`, which train the whole prompt.",
                hint="Make batches with PromptLossCollator; they hold token_scales and no labels.",
            )
        if token_scales is None:
            if model.training and torch.is_grad_enabled():
                raise InputError(
                    "This model has a prompt-weighted loss and was given a batch without token_scales.",
                    hint="Make batches with PromptLossCollator and hand all of them to the model: model(**batch).",
                )
            return plain(*arguments, **named)
        input_ids = arguments[0] if arguments else named["input_ids"]
        output = plain(*arguments, **named)
        output["loss"] = causal_lm_loss(output.logits, input_ids, token_scales, label_smoothing=label_smoothing)
        return output

    forward.has_prompt_loss = True  # type: ignore[attr-defined]  # a function takes attributes; mypy knows none
    model.forward = forward


def _attach_to_trainer(trainer) -> None:
    collator, arguments = trainer.data_collator, trainer.args
    _check_trainer(trainer)
    per_update = collator.unit == "update"
    arguments.remove_unused_columns = False  # prompt_length is no argument of the model
    # What the trainer may still scale: with "microbatch" it takes the mean over accumulation steps, with "update"
    # nothing, because the denominator covers them. Before 5.19 transformers looked at the other two names for that.
    trainer.loss_is_scaled_for_ga = trainer.model_accepts_loss_kwargs = per_update
    trainer.label_names = ["token_scales"]  # so that an evaluation has a loss, too
    trainer.compute_loss = _trainer_loss(float(getattr(arguments, "label_smoothing_factor", 0.0)))
    trainer.compute_loss_func = trainer.compute_loss if per_update else None
    if per_update:
        trainer.get_batch_samples = _shared_denominator(trainer, trainer.get_batch_samples)


def _check_trainer(trainer) -> None:
    collator, arguments = trainer.data_collator, trainer.args
    if not isinstance(collator, PromptLossCollator):
        raise InputError(
            "The trainer's data_collator makes no token scales.",
            value=type(collator).__name__,
            hint="Give the trainer data_collator=PromptLossCollator(…).",
        )
    if collator.unit == "update" and not hasattr(trainer, "get_batch_samples"):
        raise InputError(
            "This trainer does not show the batches of an update, so they cannot share a denominator.",
            hint='Use unit="microbatch", or transformers from 4.46 on.',
        )
    for name in ("packing", "padding_free", "use_liger_kernel"):
        if getattr(arguments, name, False):
            raise InputError(
                "The prompt-weighted loss does not work with this setting of the trainer.",
                value=f"{name}=True",
                hint=f"Set {name}=False.",
            )
    if getattr(arguments, "n_gpu", 1) > 1:
        raise InputError(
            "Several GPUs in one process (DataParallel) split a batch and average its loss.",
            value=arguments.n_gpu,
            hint="Start one process per GPU: torchrun or accelerate launch.",
        )


def _trainer_loss(label_smoothing: float) -> Callable:
    def compute_loss(model, inputs, return_outputs=False, num_items_in_batch=None):
        rest = {name: value for name, value in inputs.items() if name not in ("token_scales", "denominator")}
        outputs = model(**rest, use_cache=False)
        loss = causal_lm_loss(
            outputs.logits, inputs["input_ids"], inputs["token_scales"], label_smoothing=label_smoothing
        )
        return (loss, outputs) if return_outputs else loss

    return compute_loss


def _shared_denominator(trainer, get_batch_samples: Callable) -> Callable:
    """`get_batch_samples` that brings the batches of an update, on all ranks, to one denominator."""

    def shared(*arguments, **named):
        batches, items = get_batch_samples(*arguments, **named)
        own = torch.stack([batch["denominator"][0] for batch in batches]).sum().reshape(1).to(trainer.args.device)
        total = trainer.accelerator.gather(own).sum()
        if trainer.data_collator.normalization == "token_sum":
            total = torch.ones_like(total)
        for batch in batches:
            scales = batch["token_scales"]
            # Data parallelism averages gradients over ranks, so each rank's share counts as often as there are ranks.
            share = trainer.args.world_size * batch["denominator"][0].to(scales.device) / total.to(scales.device)
            batch["token_scales"] = torch.where(scales != 0, scales * share, scales)  # 0 / 0 where nothing is learnt
        return batches, items

    return shared

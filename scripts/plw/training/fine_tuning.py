"""Fine-tune one model on one data set with one prompt loss weight (§4.2, App. E.1), at any scale.

The HF Trainer runs the loop (optimiser, schedule, clipping, resume, callbacks); it is started plainly or by
torchrun, with DeepSpeed as the engine where the settings name a ZeRO stage. Weights are float32 whatever the
compute dtype: under bfloat16 the forward pass casts them, as the mixed precision of the paper's stack did.
"""

import hashlib
import json
import math
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from transformers import PreTrainedModel, TrainingArguments

from plw.data.tokenization import EncodedExample
from plw.errors import InputError
from plw.files import read_json, write_json
from plw.models.loading import DTYPES
from plw.training.batching import TrainingPlan, plan_updates
from plw.training.checkpoints import find_checkpoint
from plw.training.distance import WeightDistance, distance_of_parts
from plw.training.forward.counting import matrix_sizes
from plw.training.forward.halving import MemoryExhausted
from plw.training.launch import free_reducer, world
from plw.training.loss_log import LossLog, has_rows
from plw.training.record import sum_over_ranks
from plw.training.settings import TrainingSettings
from plw.training.trainer import PromptLossTrainer
from plw.training.zero import deepspeed_config, is_partitioned, prepare_deepspeed, weight_parts

LOSS_FILE = "loss.csv"  # in the checkpoint folder while the run goes on
ROWS_FILE = "out_of_memory.json"  # there: the last update that ran out of memory, and rows at once from there on
# What transformers 5.17 calls gradient_checkpointing has been activation_checkpointing since; 6 drops the old name.
CHECKPOINTING = next(field.name for field in fields(TrainingArguments)
                     if field.name in ("activation_checkpointing", "gradient_checkpointing"))  # fmt: skip
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # what Slurm sends before a time limit or a preemption


class TrainingInterrupted(RuntimeError):
    """The run was told to stop; it saved a checkpoint, and the same call resumes it."""

    def __init__(self, step: int, steps: int):
        super().__init__(f"Stopped by a signal after update {step} of {steps}; a rerun resumes from there.")


class TrainingOutOfMemory(TrainingInterrupted):
    """The device's memory ran out where the ranks could not go on together; the same call goes on with less at once."""

    def __init__(self, rows: int, reason: str):
        RuntimeError.__init__(
            self, f"Out of memory ({reason}).\n  Hint:  start it again: it resumes, with at most {rows} rows at once."
        )


@dataclass(frozen=True)
class FinishedTraining:
    """A trained model and what is to be said about it.

    model       the module with the final weights (partitioned between ranks under ZeRO-3)
    state_dict  full weights in `save_dtype` on the CPU; None where the module itself can be saved, and on ranks > 0
    weight_distance  from the starting model, where `save_dtype` rounds the weights; else None: the files tell it
    loss_file   the run's loss.csv, in the checkpoint folder
    operations  floating-point operations of all ranks' products with weight matrices: what was computed, and what it
                would be if every token went through everything; None after a resume, or for a model with experts
    updates     optimiser updates;  resumed_from  update of the checkpoint that was continued, or 0
    """

    model: PreTrainedModel
    state_dict: dict[str, torch.Tensor] | None
    weight_distance: WeightDistance | None
    loss_file: Path
    operations: tuple[float, float] | None
    updates: int
    resumed_from: int
    steps_per_update: int
    empty_units: int
    halvings: list[dict]


def keep_rows_with_completion(
    examples: Sequence[EncodedExample], policy: str
) -> tuple[Sequence[EncodedExample], list[int]]:
    """Apply `on_lost_completion`; return the kept examples and the indices of rows without a completion token."""
    lost = [index for index, example in enumerate(examples) if example.completion_lost]
    if lost and policy == "error":
        raise InputError(
            "Truncation leaves no completion token in some rows.",
            value=f"{len(lost)} of {len(examples)} rows, first: {lost[:5]}",
            where="training.on_lost_completion: error",
            hint="Raise max_length, clean the data, or use keep (as Alpaca does) or drop.",
        )
    if policy == "drop" and lost:
        return [example for example in examples if not example.completion_lost], lost
    return examples, lost


def make_plan(
    examples: Sequence[EncodedExample],
    settings: TrainingSettings,
    *,
    plw: float,
    seed: int,
    pad_token_id: int,
) -> TrainingPlan:
    """Return this rank's training plan; the settings' physical batch is a number, chosen where they say `auto`."""
    rank, ranks = world()
    update_size = settings.micro_batch * settings.micro_batches_per_update
    return TrainingPlan(
        examples,
        plan_updates(
            len(examples),
            epochs=settings.epochs,
            seed=seed,
            update_size=update_size,
            last_window=settings.last_window,
        ),
        plw=plw,
        template_loss_weight=settings.template_loss_weight,
        completion_loss_weight=settings.completion_loss_weight,
        system_loss_weight=settings.system_loss_weight,
        earlier_completion_loss_weight=settings.earlier_completion_loss_weight,
        normalization=settings.normalization,
        unit=settings.normalization_unit,
        micro_batch=settings.micro_batch,
        physical_batch=int(settings.physical_batch),
        tokens_per_batch=settings.tokens_per_batch,
        pad_token_id=pad_token_id,
        rank=rank,
        ranks=ranks,
    )


def training_arguments(
    settings: TrainingSettings, plan: TrainingPlan, *, folder: Path, seed: int, device: str
) -> TrainingArguments:
    """Return transformers' arguments. Under ZeRO-3 they must exist before the model is loaded (it is partitioned
    while it is read), so this comes first.
    """
    if settings.zero_stage is not None:
        prepare_deepspeed()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,  # the plan holds all epochs, with their orders
        per_device_train_batch_size=settings.physical_batch,
        gradient_accumulation_steps=plan.steps_per_update,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.lr_scheduler,
        # transformers 5 has no warmup_ratio any more; a ratio of 0.03 was ceil(0.03 × updates)
        warmup_steps=math.ceil(settings.warmup_ratio * len(plan.updates)),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_betas[0],
        adam_beta2=settings.adam_betas[1],
        adam_epsilon=settings.adam_eps,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",  # same mathematics as adamw_torch in one kernel
        # autocast; DeepSpeed has its own switch for it, and this one would turn on its rounding "bf16" instead
        bf16=settings.compute_dtype == "bfloat16" and settings.zero_stage is None,
        **{CHECKPOINTING: settings.gradient_checkpointing},
        deepspeed=deepspeed_config(settings) if settings.zero_stage is not None else None,
        ddp_find_unused_parameters=False,
        ddp_backend="gloo" if device == "cpu" and plan.ranks > 1 else None,
        use_cpu=device == "cpu",
        seed=seed,
        save_strategy="steps" if settings.checkpoint_steps else "no",
        save_steps=settings.checkpoint_steps or 500,
        save_total_limit=None,  # older checkpoints go once the new one is complete: plw.training.checkpoints
        logging_strategy="no",  # loss.csv is written by plw.training.loss_log
        logging_nan_inf_filter=False,  # it would put past means in place of NaN
        average_tokens_across_devices=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        label_names=[],
        report_to="none",
        disable_tqdm=True,
        log_level="warning",
    )


def train(
    *,
    settings: TrainingSettings,
    arguments: TrainingArguments,
    plan: TrainingPlan,
    load: Callable[[], tuple[PreTrainedModel, int]],
    ptlm: dict,
    folder: Path,
    identity: dict,
) -> FinishedTraining:
    """Train to the end of the plan, resuming from the newest complete checkpoint in `folder`.

    load      returns the starting model (float32) and how many embedding rows were added to it
    ptlm      source of that model, {path} or {hub, revision}
    folder    checkpoints and the growing loss.csv; nobody else may write there
    identity  what else makes this run itself (its row, the model's source): part of the fingerprint
    Raises TrainingInterrupted after SIGTERM or SIGUSR1, TrainingDiverged at a loss that is not finite.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs without torchrun would become DataParallel
    if settings.zero_stage is not None:
        import deepspeed  # heavy, and only needed here

        deepspeed.init_distributed()  # ZeRO-3 partitions the model while it is read: it must know its ranks first
    model, added_rows = load()
    use_cache = model.config.use_cache  # the Trainer switches it off, also in the configuration that is saved
    set_attention_dropout(model, settings.attention_dropout)
    fingerprint = make_fingerprint(model, plan, settings, identity)
    log = LossLog(folder / LOSS_FILE, plan, monitor=settings.monitor_prompt_loss)
    trainer = PromptLossTrainer(
        model,
        arguments,
        plan=plan,
        callbacks=[log],
        label_smoothing=settings.label_smoothing,
        minkowski=settings.minkowski,
        added_rows=added_rows,
        monitor=settings.monitor_prompt_loss,
        fingerprint=fingerprint,
    )
    log.trainer = trainer
    trainer.halving.rows = rows_that_fitted(folder, plan.most_rows)
    checkpoint = find_checkpoint(folder, fingerprint)
    if checkpoint is not None and not has_rows(log.path, int(checkpoint.name.rpartition("-")[2])):
        checkpoint = None
    try:
        with stop_on_signals(log):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except MemoryExhausted as error:
        raise TrainingOutOfMemory(trainer.halving.halvings[-1]["rows"], str(error)) from None
    finally:
        if trainer.halving.halvings:
            write_json(folder / ROWS_FILE, trainer.halving.halvings[-1])
        log.close()
        trainer.output.remove()
        free_reducer(trainer.model_wrapped)
    if log.stopped:
        raise TrainingInterrupted(trainer.state.global_step, trainer.state.max_steps)
    model.config.use_cache = use_cache
    return FinishedTraining(
        model=model,
        state_dict=full_weights(trainer, settings.save_dtype),
        weight_distance=distance_from_start(trainer, ptlm) if settings.save_dtype != "float32" else None,
        loss_file=log.path,
        operations=None if checkpoint else count_operations(trainer),
        updates=trainer.state.global_step,
        resumed_from=int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0,
        steps_per_update=plan.steps_per_update,
        halvings=trainer.halving.halvings,
        empty_units=sum(plan.summary(update)["empty_units"] for update in range(len(plan.updates))),
    )


def rows_that_fitted(folder: Path, most: int) -> int:
    """Return how many rows are read at once from the start: fewer where an earlier call of this run had no memory."""
    found = folder / ROWS_FILE
    return min(most, read_json(found)["rows"]) if found.is_file() else most


def set_attention_dropout(model: PreTrainedModel, probability: float) -> None:
    """Switch dropout of attention weights on while training (App. E.5); 0 leaves the model as it is."""
    if probability == 0:
        return
    layers = [module for module in model.modules() if isinstance(getattr(module, "attention_dropout", None), float)]
    if not layers:
        raise InputError("This model has no attention dropout.", value=type(model).__name__)
    for layer in layers:
        layer.attention_dropout = probability


def make_fingerprint(model: PreTrainedModel, plan: TrainingPlan, settings: TrainingSettings, identity: dict) -> dict:
    """Return what a checkpoint must match to be continued; the same on all ranks.

    Of each weight tensor the first thousand values enter, which is quick and tells any two models apart.
    Settings that do not change the result (where checkpoints are due, how batches are cut) are left out.
    """
    digest = hashlib.sha256(plan.digest().encode())
    free = {"checkpoint_steps", "processes", "physical_batch", "tokens_per_batch", "monitor_prompt_loss", "device",
            "zero_stage", "offload", "gradient_checkpointing", "save_dtype"}  # fmt: skip
    kept = {key: value for key, value in settings.for_json().items() if key not in free}
    digest.update(json.dumps([kept, identity], sort_keys=True, default=str).encode())
    for parameter in model.parameters():
        values = getattr(parameter, "ds_tensor", parameter).detach().reshape(-1)[:1000]
        digest.update(values.float().cpu().numpy().tobytes())
    marks = [{"run": digest.hexdigest(), "ranks": plan.ranks, "zero_stage": settings.zero_stage}]
    if plan.ranks > 1:
        torch.distributed.broadcast_object_list(marks)
    return marks[0]


@contextmanager
def stop_on_signals(log: LossLog) -> Iterator[None]:
    """While inside, SIGTERM and SIGUSR1 end the run after the current update, with a checkpoint."""

    def request(*_) -> None:
        log.stop_requested = True

    try:
        before = {number: signal.signal(number, request) for number in STOP_SIGNALS}
    except ValueError:  # not in the main thread (a notebook, a test): signals stay with whoever has them
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def full_weights(trainer: PromptLossTrainer, save_dtype: str) -> dict[str, torch.Tensor] | None:
    """Return all weights in `save_dtype` on the CPU, or None if the module itself holds what is to be saved.

    Under DeepSpeed they come from the optimiser's float32 master weights, which every rank must help to gather.
    """
    model, dtype = trainer.model, DTYPES[save_dtype]
    engine = trainer.is_deepspeed_enabled
    if not engine and dtype == next(model.parameters()).dtype:
        return None
    if engine:
        from deepspeed.utils import safe_get_full_fp32_param  # heavy, and only there where DeepSpeed runs
    weights = {}
    for name, parameter in model.named_parameters():
        whole = safe_get_full_fp32_param(parameter) if engine else None
        if trainer.is_world_process_zero():
            weights[name] = (parameter if whole is None else whole).detach().to("cpu", dtype, copy=True)
    return weights or None


def distance_from_start(trainer: PromptLossTrainer, ptlm: dict) -> WeightDistance | None:
    """Distance of the float32 weights from those of `ptlm`; call it on every rank, each measures its own part."""
    engine = trainer.model_wrapped if trainer.is_deepspeed_enabled else None
    mine = is_partitioned(engine) or trainer.is_world_process_zero()
    parts = weight_parts(trainer.model, engine) if mine else []
    return distance_of_parts(parts, [name for name, _ in trainer.model.named_parameters()], ptlm)


def count_operations(trainer: PromptLossTrainer) -> tuple[float, float] | None:
    """Operations of all ranks, see `FinishedTraining`; call it on every rank."""
    sizes = matrix_sizes(trainer.model)
    if sizes is None:
        return None
    plan = trainer.plan
    done = sum_over_ranks(float(sizes.operations(trainer.output.computed)))
    tokens = sum(plan.lengths[row] for update in plan.updates for row in update)
    return None if done is None else (done, float(sizes.operations_of_tokens(tokens)))


def discard_checkpoints(folder: Path) -> None:
    """Remove a finished run's checkpoints and its growing loss.csv."""
    shutil.rmtree(folder, ignore_errors=True)

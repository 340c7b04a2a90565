"""The HF Trainer with the prompt-weighted loss: batches come scaled from the plan, so nothing else may scale them.

transformers 5, accelerate and DeepSpeed each multiply or divide a loss somewhere (accumulation steps, ranks,
counts of labels). Here the loss of a physical batch is already its share of the update's objective. What is left
to undo is one thing: data parallelism *averages* gradients over ranks, so every rank's share is multiplied by
their number. tests/training/test_fine_tuning.py proves the result for batch × accumulation × ranks, with DDP and
DeepSpeed.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback

from plw.training.batching import TrainingPlan
from plw.training.checkpoints import finish_checkpoint
from plw.training.forward.halving import ForwardFailed, Halving
from plw.training.forward.output_layer import BatchLoss, WeightedOutput
from plw.training.loss import IGNORED
from plw.training.loss_log import is_monitored
from plw.training.regularizers import MinkowskiPenalty


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is not a finite number, so the run was stopped."""


class PromptLossTrainer(Trainer):
    """HF Trainer over a `TrainingPlan`; see the head of this module.

    plan              physical batches of this rank, in order; its length fixes the number of updates
    label_smoothing   as in `plw.training.loss.token_losses`
    minkowski         alpha of the penalty on the distance from the starting weights; 0 is off
    monitor           also measure the loss of tokens whose scale is 0: always, never, or once in so many updates
    fingerprint       what a checkpoint of this run is marked with
    halving           cuts physical batches that are too much for the memory
    sums              float64 [loss, prompt, completion]: this rank's sums of the current update (the objective,
                      and the unweighted cross-entropies in nats); whoever logs an update resets them
    """

    loss_is_scaled_for_ga = True  # transformers must not divide by accumulation steps: the plan's scales did (≥ 5.19)

    def __init__(
        self,
        *args,
        plan: TrainingPlan,
        label_smoothing: float = 0.0,
        minkowski: float = 0.0,
        added_rows: int = 0,
        monitor: bool | int = True,
        fingerprint: Mapping | None = None,
        **kwargs,
    ):
        super().__init__(*args, train_dataset=plan, **kwargs)
        self.remove_callback(PrinterCallback)  # the loss goes to loss.csv, not to the terminal
        self.model_accepts_loss_kwargs = False  # no count of labels is handed to the model
        self.compute_loss_func = self.compute_loss  # transformers < 5.19 divides by the steps unless this is set
        self.plan, self.monitor = plan, monitor
        self.fingerprint = dict(fingerprint or {})
        checkpointing = any(getattr(self.args, f"{kind}_checkpointing", False) for kind in ("activation", "gradient"))
        self.output = WeightedOutput(self.model, label_smoothing=label_smoothing, sparse=not checkpointing)
        stage = getattr(self.accelerator.state.deepspeed_plugin, "zero_stage", None)
        alone = not self.is_deepspeed_enabled and self.args.world_size == 1
        self.halving = Halving(plan.most_rows, agrees=stage != 3, restart=self._drop_update if alone else None)
        self.minkowski, self.added_rows = minkowski, added_rows
        self.penalty: MinkowskiPenalty | None = None
        if minkowski and not self.is_deepspeed_enabled:  # with DeepSpeed it needs the engine: create_scheduler
            self.penalty = MinkowskiPenalty(self.model, minkowski, added_rows)
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.args.device)
        self.grad_norm: float | None = None
        self._clipped_norm: torch.Tensor | None = None

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        """Serve the plan in its order. It already knows the rank, so accelerate does not wrap the loader."""
        return torch.utils.data.DataLoader(
            self.plan,
            batch_sampler=[[index] for index in range(len(self.plan))],
            collate_fn=_only_item,
            pin_memory=self.args.device.type == "cuda",
        )

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward pass of one physical batch, in as many parts as memory allows."""
        step = super().training_step

        def run(part: dict) -> torch.Tensor:
            try:
                return step(model, part)
            except ForwardFailed:
                if isinstance(model, DistributedDataParallel):
                    model.reducer._reset_state()  # ranks whose forward pass succeeded now await its backward pass
                raise

        return self.halving.step(inputs, run, lambda: self._unfinished(model))

    @contextmanager
    def _unfinished(self, model) -> Iterator[None]:
        """Inside, no gradient is exchanged that can wait, and no update ends."""
        state = self.accelerator.gradient_state
        ends = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            with model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext():
                yield
        finally:
            state._set_sync_gradients(ends)

    def _drop_update(self) -> None:
        """Forget what was added up for the update at work."""
        self.model.zero_grad()
        self.sums.zero_()

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Return this physical batch's share of the objective, times the number of ranks."""
        targets, scales = inputs["targets"], inputs["scales"]
        monitored = is_monitored(self.state.global_step, self.monitor)
        watched = (targets != IGNORED) & (scales == 0) if monitored else None
        found = self.halving.forward(lambda: self.output(model, inputs["input_ids"], targets, scales, watched), inputs)
        self._record(inputs, found, watched)
        total = found.loss * self.args.world_size
        if self.penalty is not None and self.accelerator.sync_gradients:  # once per update, on every rank
            total = self._with_penalty(self.penalty, total)
        return (total, None) if return_outputs else total

    def _with_penalty(self, penalty: MinkowskiPenalty, loss: torch.Tensor) -> torch.Tensor:
        """Add the penalty to the update's sums, and to the loss where its gradient is to come from there."""
        if penalty.partitioned:
            self.sums[0] += penalty.of_parts()
            return loss
        whole = penalty.in_loss()
        if self.is_world_process_zero():
            self.sums[0] += whole.detach()
        return loss + whole

    def _record(self, inputs, found: BatchLoss, watched: torch.Tensor | None) -> None:
        """Add to the update's sums; stop the run at once if the loss is not finite."""
        loss, losses = found.loss.detach(), found.learned
        learned = (inputs["targets"] != IGNORED) & (inputs["scales"] != 0)
        if not torch.isfinite(loss):
            raise TrainingDiverged(self._diagnosis(inputs, losses, learned))
        is_prompt = inputs["is_prompt"]
        prompt = losses[is_prompt[learned]].sum(dtype=torch.float64)
        completion = losses.sum(dtype=torch.float64) - prompt
        if watched is not None and found.watched is not None:
            prompt = prompt + found.watched[is_prompt[watched]].sum(dtype=torch.float64)
        self.sums += torch.stack([loss.double(), prompt, completion])

    def _diagnosis(self, inputs, losses: torch.Tensor, learned: torch.Tensor) -> str:
        """Say where a loss stopped being finite: update, rows, loss parts, learning rate."""
        per_token = torch.zeros(learned.shape, device=losses.device)
        per_token[learned] = losses
        bad = ~torch.isfinite(per_token).all(dim=1)
        rows = [getattr(self.plan.examples[int(row)], "source_row", int(row)) for row in inputs["rows"][bad]]
        prompt = losses[inputs["is_prompt"][learned]].mean().item()
        completion = losses[~inputs["is_prompt"][learned]].mean().item()
        return (
            f"The loss is not finite at update {self.state.global_step + 1} of {self.state.max_steps}.\n"
            f"  source_row of the sequences: {rows}\n"
            f"  mean prompt loss {prompt}, mean completion loss {completion} in this batch\n"
            f"  learning rate {self.optimizer.param_groups[0]['lr']}, "
            f"gradient norm of the update before: {self.grad_norm}\n"
            "  Hint:  a lower learning rate, a longer warm-up, or look at these rows."
        )

    # transformers' own counting and scaling, switched off

    def _get_num_items_in_batch(self, batch_samples, device):
        return None

    def floating_point_ops(self, inputs) -> int:
        return 0  # transformers would count all parameters at every step for a number nobody reads

    def _prepare_inputs(self, inputs: dict) -> dict:
        """Move tensors to the device. The parent would cast the scales to bfloat16 under DeepSpeed."""
        device = self.args.device
        return {
            key: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
            for key, value in inputs.items()
        }

    def create_scheduler(self, *args, **kwargs):
        """Create it, and the penalty if it waited for DeepSpeed's engine; a checkpoint is loaded only after this."""
        if self.minkowski and self.is_deepspeed_enabled:
            engine = self.accelerator.deepspeed_engine_wrapped.engine
            self.penalty = MinkowskiPenalty(self.model, self.minkowski, self.added_rows, engine)
        return super().create_scheduler(*args, **kwargs)

    def _prepare_for_training(self, *args, **kwargs):
        model, loader = super()._prepare_for_training(*args, **kwargs)
        if self.penalty is not None and self.penalty.partitioned:
            penalty, step = self.penalty, model.step

            def step_with_penalty(*args, **kwargs):
                if model.is_gradient_accumulation_boundary():
                    penalty.add_to_gradients()
                return step(*args, **kwargs)

            model.step = step_with_penalty
        if self.is_deepspeed_enabled and hasattr(model, "clip_fp32_gradients"):
            # ZeRO stage 0 in float32 clips without keeping the norm; do the same and keep it.
            threshold = self.args.max_grad_norm

            def clip() -> None:
                self._clipped_norm = torch.nn.utils.clip_grad_norm_(model.module.parameters(), threshold)

            model.clip_fp32_gradients = clip
        return model, loader

    def _get_grad_norm(self, model, grad_norm=None):
        """Return the norm before clipping (and keep it for loss.csv); a norm that is not finite stops the run."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        norm = self._clipped_norm if norm is None else norm
        self.grad_norm = None if norm is None else float(norm)
        if self.grad_norm is not None and not math.isfinite(self.grad_norm):
            update = self.state.global_step
            rows = [getattr(self.plan.examples[row], "source_row", row) for row in self.plan.updates[update]]
            raise TrainingDiverged(
                f"The gradient norm is {self.grad_norm} at update {update + 1} of {self.state.max_steps}, although "
                f"the loss is finite ({self.sums[0].item()} on this rank).\n  source_row of its sequences: {rows}\n"
                f"  learning rate {self.optimizer.param_groups[0]['lr']}"
            )
        return norm

    def _save_checkpoint(self, model, trial) -> None:
        """Save as the parent does, then mark the checkpoint complete and remove the older ones."""
        super()._save_checkpoint(model, trial)
        finish_checkpoint(self.args.output_dir, self.state.global_step, self.fingerprint)


def _only_item(items: list):
    return items[0]

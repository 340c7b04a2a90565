"""Trainings of such models by our trainer, in this process."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from plw.data.tokenization import EncodedExample
from plw.training.fine_tuning import make_plan, training_arguments
from plw.training.loss_log import LossLog, read_loss
from plw.training.settings import read_settings
from plw.training.trainer import PromptLossTrainer
from transformers import TrainerCallback

PAD = 0


class Gradients(TrainerCallback):
    """Keeps each update's gradient, float64 on the CPU; without clipping it is that of the whole update."""

    def __init__(self) -> None:
        self.found: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        parts = [parameter.grad.detach().to("cpu", torch.float64).flatten() for parameter in model.parameters()]
        self.found.append(torch.cat(parts))


def train(
    model, examples: Sequence[EncodedExample], *, plw: float, device: str, callbacks=(), **settings
) -> list[dict]:
    """Train one epoch with these settings; returns the rows of loss.csv."""
    checked = read_settings({"epochs": 1, "learning_rate": 1e-5} | settings)
    plan = make_plan(examples, checked, plw=plw, seed=0, pad_token_id=PAD)
    with tempfile.TemporaryDirectory() as folder:
        log = LossLog(Path(folder) / "loss.csv", plan, monitor=checked.monitor_prompt_loss)
        arguments = training_arguments(checked, plan, folder=Path(folder), seed=0, device=device)
        trainer = PromptLossTrainer(
            model, arguments, plan=plan, callbacks=[log, *callbacks], monitor=checked.monitor_prompt_loss
        )
        log.trainer = trainer
        try:
            trainer.train()
        finally:
            log.close()
            trainer.output.remove()
        return read_loss(log.path)

"""loss.csv: one row per optimiser update, in full precision, correct after a resume.

step             number of the update, from 1
loss             objective of the update (all ranks and micro-batches), regularisers included
learning_rate    used in this update;  grad_norm  L2 norm before clipping
tokens           without padding;  seconds  wall time of the update
denominator      what the weighted sums were divided by, mean over the update's normalisation units
prompt_loss, completion_loss  unweighted mean cross-entropy in nats of the predicted prompt and completion tokens;
                 empty where there is none, or where it was not measured
"""

import csv
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import torch
from transformers import TrainerCallback

from plw.training.batching import TrainingPlan

COLUMNS = (
    "step", "loss", "learning_rate", "grad_norm", "tokens", "seconds", "denominator", "prompt_loss",
    "completion_loss",
)  # fmt: skip
PROGRESS_LINES = 20  # lines on standard error over a whole run


class LossLog(TrainerCallback):
    """Writes loss.csv and stops the run, with a checkpoint, when `stop_requested` was set (by a signal).

    Both need one exchange between ranks per update, so they share it. After construction, set `trainer`.
    """

    def __init__(self, path: str | Path, plan: TrainingPlan, *, monitor: bool | int):
        self.path, self.plan, self.monitor = Path(path), plan, monitor
        self.trainer: Any = None
        self.stop_requested = False
        self.stopped = False
        self._stream: TextIO | None = None
        self._learning_rate = self._clock = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            keep_rows(self.path, state.global_step)
            self._stream = open(self.path, "a", newline="", encoding="utf-8")  # noqa: SIM115
            self._writer = csv.writer(self._stream, lineterminator="\n")
        self._clock = self._begin = time.perf_counter()
        self._first_step = state.global_step

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self._learning_rate = optimizer.param_groups[0]["lr"]  # the scheduler steps after the update

    def on_step_end(self, args, state, control, **kwargs):
        sums = self.trainer.sums
        shared = torch.cat([sums, sums.new_tensor([float(self.stop_requested)])])
        if args.world_size > 1:
            torch.distributed.all_reduce(shared)
        loss, prompt, completion, stop = shared.tolist()
        sums.zero_()
        now = time.perf_counter()
        if self._stream is not None:
            self._write(state.global_step, loss, prompt, completion, now - self._clock)
            self._report(state, loss, now)
        self._clock = now
        if stop:
            self.stopped = state.global_step < state.max_steps
            control.should_save = self.stopped
            control.should_training_stop = True

    def on_train_end(self, args, state, control, **kwargs):
        self.close()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write(self, step: int, loss: float, prompt: float, completion: float, seconds: float) -> None:
        assert self._stream is not None  # open from the beginning of training to its end
        counts = self.plan.summary(step - 1)
        measured = self.plan.plw > 0 or is_monitored(step - 1, self.monitor)
        row = [
            step,
            loss,
            self._learning_rate,
            "" if self.trainer.grad_norm is None else self.trainer.grad_norm,
            counts["tokens"],
            seconds,
            counts["denominator"],
            prompt / counts["prompt_tokens"] if measured and counts["prompt_tokens"] else "",
            completion / counts["completion_tokens"] if counts["completion_tokens"] else "",
        ]
        self._writer.writerow([repr(value) if isinstance(value, float) else value for value in row])
        self._stream.flush()

    def _report(self, state, loss: float, now: float) -> None:
        if state.global_step % max(state.max_steps // PROGRESS_LINES, 1) == 0:
            each = (now - self._begin) / (state.global_step - self._first_step)
            left = each * (state.max_steps - state.global_step)
            print(
                f"update {state.global_step}/{state.max_steps}  loss {loss:.4f}  {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )


def is_monitored(update: int, every: bool | int) -> bool:
    """Whether the masked prompt's loss is measured in an update (numbered from 0): true, false, or one in `every`."""
    return bool(every) and update % every == 0


def keep_rows(path: Path, steps: int) -> None:
    """Leave the header and the rows of the first `steps` updates; a row that was cut off in writing goes too."""
    lines = path.read_text(encoding="utf-8").splitlines() if steps and path.is_file() else []
    kept = [",".join(COLUMNS), *[line for line in lines[1:] if _step(line) and _step(line) <= steps]]
    temporary = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text("\n".join(kept) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_loss(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a loss.csv as numbers; None for empty cells."""
    with open(path, newline="", encoding="utf-8") as stream:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(stream)]


def has_rows(path: Path, steps: int) -> bool:
    """Tell whether the file has a whole row for each of the first `steps` updates."""
    if not path.is_file():
        return False
    found = {_step(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]}
    return set(range(1, steps + 1)) <= found


def _step(line: str) -> int:
    """Number of the update of a whole row; 0 for anything else."""
    cells = line.split(",")
    return int(cells[0]) if len(cells) == len(COLUMNS) and cells[0].isdigit() else 0

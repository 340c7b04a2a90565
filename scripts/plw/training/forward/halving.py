"""Physical batches in parts: after out-of-memory they are halved, and the update goes on with the same gradient.

Every token's scale comes from the logical batch, so gradients of parts sum to the gradient of the whole. A forward
pass that ran out of memory has left nothing behind: its rows are cut in two and read again, with the random numbers
that they had. Ranks agree after each forward pass whether one of them failed, so that all have as many parts and meet
in every exchange. After a backward pass that failed in a single process the update begins anew. Where ranks cannot
agree any more, since they have exchanged something (in a backward pass of several ranks or of DeepSpeed's engine, in
any pass of ZeRO-3), training stops, and the same call starts with smaller batches.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from plw.errors import InputError
from plw.models.memory import is_out_of_memory
from plw.training.loss import IGNORED

FITS, TOO_LARGE, ONE_ROW_TOO_LARGE = 0.0, 1.0, 2.0  # what ranks tell each other; the largest counts
Context = Callable[[], AbstractContextManager]


class ForwardFailed(Exception):
    """A forward pass of some rank ran out of memory, and all ranks know."""


class MemoryExhausted(RuntimeError):
    """Memory ran out where only a new start with smaller batches helps."""


class Halving:
    """Runs each physical batch of a training in as many parts as memory allows.

    most       rows of the largest physical batch of any rank;  rows  at most so many of them are read at once
    agrees     whether ranks can agree after a forward pass: not with ZeRO-3, which exchanges weights in it
    restart    forgets gradients and sums of the update at work; None where that cannot be done
    halvings   [{update, rows}]: update (from 1) that ran out of memory, and rows at once from there on
    """

    def __init__(self, most: int, *, agrees: bool = True, restart: Callable[[], None] | None = None):
        self.most = self.rows = most
        self.agrees, self.restart = agrees, restart
        self.halvings: list[dict] = []
        self._update = -1
        self._done: list[dict] = []  # batches of this update whose gradients are there
        self._begin: list[torch.Tensor] = []

    def step(self, batch: dict, run: Callable[[dict], torch.Tensor], unfinished: Context) -> torch.Tensor:
        """Return the loss of a physical batch, whose gradient is then added.

        run         forward pass (by `forward`) and backward pass of a part
        unfinished  what holds for all parts but the last: what belongs to the end of an update waits
        Raises InputError where a single row does not fit, MemoryExhausted where only a new start helps.
        """
        if batch["update"] != self._update:
            self._update, self._done, self._begin = batch["update"], [], random_states()
        batches = [batch]
        while True:
            try:
                for one in batches:
                    loss = self._in_parts(one, run, unfinished, last=one is batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.rows == 1:
                    raise one_row_too_large(batch) from None
                self._halve()
                if self.restart is None:
                    raise MemoryExhausted(str(error).partition("\n")[0]) from None
            else:
                self._done.append(batch)
                return loss
            # Outside of the exception, whose frames hold what is to be freed. A part of the gradients is there.
            forget()
            self.restart()
            set_random_states(self._begin)
            batches = [*self._done, batch]

    def forward(self, run: Callable, batch: dict):
        """Return what `run`, a forward pass, gives; ForwardFailed on all ranks where one of them has no memory."""
        if not self.agrees:
            return run()
        state, found = FITS, None
        try:
            found = run()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            state = TOO_LARGE if self.rows > 1 else ONE_ROW_TOO_LARGE
        worst = largest_of_ranks(state, batch["input_ids"].device)
        if worst == FITS:
            return found
        del found
        forget()
        if worst == ONE_ROW_TOO_LARGE:
            raise one_row_too_large(batch)
        raise ForwardFailed

    def _in_parts(self, batch: dict, run: Callable[[dict], torch.Tensor], unfinished: Context, *, last: bool):
        waiting, losses = cut(batch, self.rows, -(-self.most // self.rows)), []
        while waiting:
            states = random_states()
            try:
                with nullcontext() if last and len(waiting) == 1 else unfinished():
                    losses.append(run(waiting[0]))
                del waiting[0]
            except ForwardFailed:
                self._halve()
                set_random_states(states)
                waiting = [half for part in waiting for half in cut(part, self.rows, 2)]
        return torch.stack(losses).sum()

    def _halve(self) -> None:
        before, self.rows = self.rows, -(-self.rows // 2)
        self.halvings.append({"update": self._update + 1, "rows": self.rows})
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            print(
                f"Out of memory at update {self._update + 1} with {before} sequences at once: "
                f"it goes on with {self.rows}.",
                file=sys.stderr,
                flush=True,
            )


def cut(batch: dict, rows: int, parts: int) -> list[dict]:
    """Cut a physical batch (of `TrainingPlan`) into so many parts of at most `rows` rows, in order.

    A part loses the columns that it does not need. Several ranks get a row of padding for a part without rows, as the
    plan gives for a batch without; a single process leaves it out.
    """
    if parts == 1:
        return [batch]
    starts = range(0, parts * rows, rows)
    filled = [_rows(batch, slice(start, start + rows)) for start in starts if start < len(batch["input_ids"])]
    missing = parts - len(filled) if rank_count() > 1 else 0
    return filled + [_without_rows(batch)] * missing


def _rows(batch: dict, chosen: slice) -> dict:
    targets = batch["targets"][chosen]
    needed = (targets != IGNORED).any(0).nonzero()
    width = int(needed[-1]) + 2 if len(needed) else 2  # and the token that the last target stands for
    return {
        key: value if not torch.is_tensor(value) else value[chosen] if value.dim() == 1 else value[chosen, :width]
        for key, value in batch.items()
    }


def _without_rows(batch: dict) -> dict:
    one = {
        key: value[:0]
        if torch.is_tensor(value) and value.dim() == 1
        else value[:1, :2]
        if torch.is_tensor(value)
        else value
        for key, value in batch.items()
    }
    nothing = {"targets": torch.full_like(one["targets"], IGNORED), "scales": torch.zeros_like(one["scales"]),
               "is_prompt": torch.zeros_like(one["is_prompt"])}  # fmt: skip
    return one | nothing


def one_row_too_large(batch: dict) -> InputError:
    """What is said where nothing is left to halve."""
    tokens = batch["input_ids"].shape[1]
    return InputError(
        "The device's memory is too small for a single sequence.",
        value=f"a physical batch of 1 × {tokens} tokens",
        where="training",
        hint="Set gradient_checkpointing: true, a smaller max_length, zero_stage: 3 with more processes, or "
        "offload: cpu; a dry run says what the training takes (docs/memory.md).",
    )


def rank_count() -> int:
    """Number of ranks."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def largest_of_ranks(state: float, device: torch.device) -> float:
    """The largest of the ranks' values; every rank must ask."""
    if rank_count() == 1:
        return state
    shared = torch.tensor(state, device=device)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
    return float(shared)


def forget() -> None:
    """Give unused memory back to the GPU, whose fragments may be what was too small."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def random_states() -> list[torch.Tensor]:
    """States of the generators that dropout draws from: the CPU's, and this process's GPU's."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *gpu]


def set_random_states(states: list[torch.Tensor]) -> None:
    """Go back to them."""
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)

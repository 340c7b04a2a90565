"""Which sequences make an update (logical), and which of them a device sees at once (physical).

The logical side decides the mathematics: the order of the rows by seed and epoch, updates of `micro_batch` ×
`micro_batches_per_update` sequences, and with them every token's scale. The physical side decides only speed and
memory: within one update the sequences are sorted by length and dealt out to ranks and accumulation steps. Since
scales come from the logical batch, every physical layout gives the same gradient.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch

from plw.data.conversations import SYSTEM
from plw.data.tokenization import ANSWERS, EncodedExample
from plw.data.turn_tokens import EARLIER, positions_of
from plw.errors import InputError
from plw.study.planning.batches import cut
from plw.training.loss import IGNORED, check_answer_weight, mask_weights, pad, token_scales, weigh_positions
from plw.training.loss import group_denominators as denominators_of


def _template(example: EncodedExample) -> tuple[int, ...]:
    """Where an example's template is; only those that a run reads know it (`plw.training.run.SourcedExample`)."""
    return getattr(example, "template", ())


def prompt_mask(sequences: Sequence[EncodedExample], width: int) -> torch.Tensor:
    """Which tokens are the prompt's, bool [sequences, width]: the leading ones; in a conversation all but answers."""
    mask = torch.arange(width) < torch.tensor([sequence.prompt_length for sequence in sequences])[:, None]
    for row, sequence in enumerate(sequences):
        if sequence.roles:
            mask[row] = True
            mask[row, positions_of(sequence.roles, ANSWERS)] = False
    return mask


def epoch_order(rows: int, *, seed: int, epoch: int) -> list[int]:
    """Return the order of the rows in one epoch: a random permutation seeded with `seed` + `epoch`."""
    generator = torch.Generator().manual_seed(seed + epoch)
    return torch.randperm(rows, generator=generator).tolist()


def plan_updates(rows: int, *, epochs: float, seed: int, update_size: int, last_window: str) -> list[list[int]]:
    """Return for every optimiser update the rows it sees, in logical order.

    last_window  keep: the last update of an epoch may be shorter; drop: its rows are left out in that epoch
    epochs       a fraction ends within an epoch, after ceil(epochs × updates per epoch) updates
    """
    per_epoch = rows // update_size if last_window == "drop" else math.ceil(rows / update_size)
    if per_epoch == 0:
        raise InputError(
            "The data set is smaller than one update, so there is nothing to train on.",
            value=f"{rows} rows, {update_size} sequences per update, last_window: {last_window}",
            hint="Use last_window: keep, or make micro_batch × micro_batches_per_update smaller.",
        )
    updates = []
    for epoch in range(math.ceil(epochs)):
        order = epoch_order(rows, seed=seed, epoch=epoch)
        updates += [order[i * update_size : (i + 1) * update_size] for i in range(per_epoch)]
    return updates[: math.ceil(epochs * per_epoch)]


def lay_out(batches: Sequence[Sequence[int]], *, ranks: int, steps: int) -> list[list[list[int]]]:
    """Deal the batches of one update out to ranks and accumulation steps: layout[rank][step] = positions.

    Batches of like length stand next to each other, so ranks wait little for each other. Steps that a short update does
    not fill stay empty.
    """
    if len(batches) > ranks * steps:
        raise ValueError(f"{len(batches)} batches do not fit {ranks} ranks × {steps} steps")
    filled = [list(batch) for batch in batches] + [[]] * (ranks * steps - len(batches))
    return [[filled[step * ranks + rank] for step in range(steps)] for rank in range(ranks)]


def cut_into_batches(
    lengths: Sequence[int], *, physical_batch: int, tokens_per_batch: int | None = None
) -> list[list[int]]:
    """Return the positions of an update's sequences in physical batches (see `plw.study.planning.batches.cut`).

    Longest first, so that a batch holds sequences of like length and the one that needs most memory comes first.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    sizes = cut([lengths[index] for index in order], physical_batch=physical_batch, tokens_per_batch=tokens_per_batch)
    ends = list(accumulate(sizes))
    return [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]


class TrainingPlan(torch.utils.data.Dataset):
    """The physical batches of one rank in training order; item i belongs to update i // steps_per_update.

    examples  encoded sequences; the plan refers to them by index
    updates   rows of each update, from `plan_updates`
    """

    def __init__(
        self,
        examples: Sequence[EncodedExample],
        updates: Sequence[Sequence[int]],
        *,
        plw: float,
        template_loss_weight: float | None = None,
        completion_loss_weight: float = 1.0,
        system_loss_weight: float | None = None,
        earlier_completion_loss_weight: float | None = None,
        normalization: str,
        unit: str,
        micro_batch: int,
        physical_batch: int,
        tokens_per_batch: int | None = None,
        pad_token_id: int,
        rank: int = 0,
        ranks: int = 1,
    ):
        self.examples, self.updates = examples, updates
        self.lengths = [len(example.input_ids) for example in examples]
        self.plw, self.normalization, self.unit, self.micro_batch = plw, normalization, unit, micro_batch
        self.template_loss_weight, self.completion_loss_weight = template_loss_weight, completion_loss_weight
        self.system_loss_weight, self.earlier_weight = system_loss_weight, earlier_completion_loss_weight
        self.physical_batch, self.tokens_per_batch = physical_batch, tokens_per_batch
        self.pad_token_id, self.rank, self.ranks = pad_token_id, rank, ranks
        # The same on all ranks and for all updates: the Trainer counts on it, and under ZeRO-3 every rank must take
        # part in each step.
        self.steps_per_update = math.ceil(self._most_batches() / ranks)
        self._current: tuple[int, list[dict]] = (-1, [])

    def __len__(self) -> int:
        return len(self.updates) * self.steps_per_update

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        update, step = divmod(index, self.steps_per_update)
        if self._current[0] != update:
            self._current = (update, self._batches(update))
        return self._current[1][step]

    def scales(self, update: int) -> tuple[list[EncodedExample], torch.Tensor, torch.Tensor]:
        """Return the sequences of an update, their token scales and `counted`, both [sequences, width]."""
        sequences = [self.examples[row] for row in self.updates[update]]
        weights, counted = self._weights(sequences)
        scales = token_scales(
            weights,
            self._groups(sequences),
            normalization=self.normalization,
            unit=self.unit,
            counted=counted,
        )
        return sequences, scales, counted

    def summary(self, update: int) -> dict[str, Any]:
        """Count an update: tokens, predicted prompt and completion tokens, mean denominator, empty units.

        denominator  mean over the normalisation units of what their weighted sum is divided by
        empty_units  logical micro-batches (or updates) without any weighted token: their loss counts as 0
        """
        sequences = [self.examples[row] for row in self.updates[update]]
        weights, counted = self._weights(sequences)
        groups = self._groups(sequences)
        if self.unit == "update":
            groups = torch.zeros_like(groups)
        denominators = denominators_of(weights, groups, normalization=self.normalization, counted=counted)
        completion = int((counted & ~prompt_mask(sequences, counted.shape[1])).sum())
        return {
            "tokens": sum(len(sequence.input_ids) for sequence in sequences),
            "prompt_tokens": int(counted.sum()) - completion,
            "completion_tokens": completion,
            "denominator": float(denominators.mean()),
            "empty_units": int((denominators == 0).sum()),
        }

    def digest(self) -> str:
        """Return a hash of everything that decides the gradients' sums: sequences, order, weights."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(repr((example.prompt_length, example.input_ids)).encode())
        digest.update(repr((self.plw, self.normalization, self.unit, self.micro_batch)).encode())
        if self.completion_loss_weight != 1:
            digest.update(repr(("completion_loss_weight", self.completion_loss_weight)).encode())
        if self.template_loss_weight is not None:
            places = [_template(example) for example in self.examples]
            digest.update(repr(("template_loss_weight", self.template_loss_weight, places)).encode())
        if any(example.roles for example in self.examples):
            weights = (self.system_loss_weight, self.earlier_weight)
            digest.update(repr(("roles", weights, [example.roles for example in self.examples])).encode())
        digest.update(repr([list(update) for update in self.updates]).encode())
        return digest.hexdigest()

    def _weights(self, sequences: list[EncodedExample]) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = [len(sequence.input_ids) for sequence in sequences]
        found, counted = mask_weights(
            prompt_mask(sequences, max(lengths, default=0)),
            lengths,
            plw=self.plw,
            completion_loss_weight=self.completion_loss_weight,
        )
        if self.template_loss_weight is not None:
            weigh_positions(found, counted, list(map(_template, sequences)), self.template_loss_weight)
        if self.system_loss_weight is not None:
            places = [positions_of(sequence.roles, (SYSTEM,)) for sequence in sequences]
            weigh_positions(found, counted, places, self.system_loss_weight)
        if self.earlier_weight is not None:
            places = [positions_of(sequence.roles, (EARLIER,)) for sequence in sequences]
            weigh_positions(found, counted, places, self.earlier_weight, check=check_answer_weight)
        return found, counted

    def _groups(self, sequences: list[EncodedExample]) -> torch.Tensor:
        return torch.arange(len(sequences)) // self.micro_batch

    def _batches(self, update: int) -> list[dict[str, torch.Tensor]]:
        """Return this rank's physical batches of one update."""
        sequences, scales, counted = self.scales(update)
        layout = lay_out(self._cut(update), ranks=self.ranks, steps=self.steps_per_update)
        return [self._batch(update, sequences, scales, counted, slots) for slots in layout[self.rank]]

    def _cut(self, update: int) -> list[list[int]]:
        lengths = [self.lengths[row] for row in self.updates[update]]
        return cut_into_batches(lengths, physical_batch=self.physical_batch, tokens_per_batch=self.tokens_per_batch)

    @cached_property
    def most_rows(self) -> int:
        """Rows of the largest physical batch of any rank."""
        if self.tokens_per_batch is None:
            return self.physical_batch
        return max(len(batch) for update in range(len(self.updates)) for batch in self._cut(update))

    def _most_batches(self) -> int:
        if self.tokens_per_batch is None:
            return math.ceil(max(map(len, self.updates)) / self.physical_batch)
        return max(len(self._cut(update)) for update in range(len(self.updates)))

    def _batch(self, update, sequences, scales, counted, slots: list[int]) -> dict[str, torch.Tensor]:
        """Return one physical batch, shifted so that column t describes the prediction of token t + 1.

        input_ids  int64 [b, width]; a batch without sequences is one row of padding, with no targets
        targets    int64 [b, width]; -100 where nothing is predicted
        scales     float32 [b, width];  is_prompt  bool [b, width]: the target is a prompt token
        rows       int64 [b]: indices of the examples;  update  number of the update
        """
        if not slots:
            empty = torch.full((1, 2), self.pad_token_id)
            nothing = torch.zeros((1, 2))
            return {
                "input_ids": empty,
                "targets": torch.full_like(empty, IGNORED),
                "scales": nothing,
                "is_prompt": nothing.bool(),
                "rows": torch.empty(0, dtype=torch.int64),
                "update": update,
            }
        chosen = [sequences[slot] for slot in slots]
        input_ids = pad([sequence.input_ids for sequence in chosen], self.pad_token_id)
        width = input_ids.shape[1]
        targets = torch.full_like(input_ids, IGNORED)
        targets[:, :-1] = torch.where(counted[slots, 1:width], input_ids[:, 1:], IGNORED)
        shifted = torch.zeros(input_ids.shape)
        shifted[:, :-1] = scales[slots, 1:width]
        return {
            "input_ids": input_ids,
            "targets": targets,
            "scales": shifted,
            "is_prompt": prompt_mask(chosen, width + 1)[:, 1:],
            "rows": torch.tensor([self.updates[update][slot] for slot in slots]),
            "update": update,
        }

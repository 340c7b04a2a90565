"""Each token of a physical batch once: no padding, and what rows begin with in common only one time.

In a causal model a position's states depend on the tokens up to it and on nothing else. Rows of a batch that begin with
the same tokens (a prompt template) therefore have the same states there, and a row's positions after its last learned
token are read by nobody. A batch is here the tree of its rows: one node for each distinct beginning.
"""

from dataclasses import dataclass

import torch

from plw.training.loss import IGNORED

# Rows whose attention is computed together are at least this long, as a share of the longest of them: below it the
# cells that padding adds take longer than another call of the kernel.
LEAST_LENGTH = 0.75


@dataclass(frozen=True)
class Predictions:
    """What is predicted, each distinct pair of node and token once.

    nodes, targets  int64 [n]: the node that predicts, and the token
    places  int64 [tokens]: which of them stands for each predicted token of the batch, in row-major order
    """

    nodes: torch.Tensor
    targets: torch.Tensor
    places: torch.Tensor


@dataclass(frozen=True)
class Packing:
    """A batch of rows as a tree of `nodes` (u of them).

    input_ids, position_ids  int64 [1, u]
    groups   for each group of rows of like length: int64 [rows, width], the node at each place (0 where a row is over)
    cells    int64 [u]: where each node is in the places of all groups, laid end to end
    learned  predictions that have a scale;  scales  float64 [n], summed over the rows that share a prediction
    watched  other predictions whose loss is wanted, or None
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    groups: tuple[torch.Tensor, ...]
    cells: torch.Tensor
    learned: Predictions
    scales: torch.Tensor
    watched: Predictions | None

    @property
    def nodes(self) -> int:
        """How many positions the model computes."""
        return self.input_ids.shape[1]

    def chosen(self) -> torch.Tensor:
        """bool [1, u]: the nodes that predict something."""
        found = torch.zeros_like(self.input_ids, dtype=torch.bool)
        for predictions in (self.learned, self.watched):
            if predictions is not None:
                found[0, predictions.nodes] = True
        return found


def pack(input_ids: torch.Tensor, targets: torch.Tensor, scales: torch.Tensor, watched: torch.Tensor | None) -> Packing:
    """Return the packing of a batch, on its device.

    input_ids, targets  int64 [b, width], targets -100 where nothing is predicted;  scales  float [b, width]
    watched  bool [b, width]: whose cross-entropy is wanted though it has no scale; or None
    """
    device = input_ids.device
    input_ids, targets, scales = input_ids.cpu(), targets.cpu(), scales.cpu()
    watched = None if watched is None else watched.cpu()
    learned = (targets != IGNORED) & (scales != 0)
    wanted = learned if watched is None else learned | watched
    columns = torch.arange(input_ids.shape[1])
    lengths = torch.where(wanted, columns + 1, 0).amax(1)
    if not lengths.any():
        lengths[0] = 1  # a model needs something to compute: every rank takes part in every step
    order = _in_lexical_order(input_ids, lengths)
    ordered, lengths_ordered = input_ids[order], lengths[order]
    real = columns < lengths_ordered[:, None]
    alike = (ordered[1:] == ordered[:-1]) & real[1:] & real[:-1]
    shared = torch.cat([torch.zeros(1, dtype=torch.int64), alike.long().cumprod(1).sum(1)])
    new = real & (columns >= shared[:, None])
    nodes = torch.zeros(ordered.shape, dtype=torch.int64)
    nodes[new] = torch.arange(int(new.sum()))
    for row, count in enumerate(shared.tolist()):
        if count:
            nodes[row, :count] = nodes[row - 1, :count]
    groups, first_cells = _groups(nodes, lengths_ordered)
    of_rows = torch.zeros(input_ids.shape, dtype=torch.int64)
    of_rows[order] = nodes
    found = _predictions(of_rows, targets, learned)
    return Packing(
        input_ids=ordered[new][None].to(device),
        position_ids=columns.expand(new.shape)[new][None].to(device),
        groups=tuple(group.to(device) for group in groups),
        cells=(first_cells[:, None] + columns)[new].to(device),
        learned=_to(found, device),
        scales=torch.zeros(len(found.nodes), dtype=torch.float64)
        .index_add_(0, found.places, scales[learned].double())
        .to(device),
        watched=None if watched is None else _to(_predictions(of_rows, targets, watched), device),
    )


def _in_lexical_order(input_ids: torch.Tensor, lengths: torch.Tensor) -> list[int]:
    """Rows that are computed, so ordered that each shares with the one before it what it shares with any before."""
    rows = [row[:length] for row, length in zip(input_ids.tolist(), lengths.tolist(), strict=True)]
    return sorted((index for index, row in enumerate(rows) if row), key=rows.__getitem__)


def _groups(nodes: torch.Tensor, lengths: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Groups of rows of like length, and where each row's places begin among those of all groups."""
    first_cells = torch.zeros(len(nodes), dtype=torch.int64)
    by_length = sorted(range(len(nodes)), key=lambda row: -lengths[row])
    sizes = lengths.tolist()
    groups, begin, offset = [], 0, 0
    while begin < len(by_length):
        width = sizes[by_length[begin]]
        end = begin
        while end < len(by_length) and sizes[by_length[end]] >= LEAST_LENGTH * width:
            end += 1
        rows = by_length[begin:end]
        first_cells[rows] = offset + width * torch.arange(len(rows))
        groups.append(nodes[rows, :width])
        begin, offset = end, offset + width * len(rows)
    return groups, first_cells


def _predictions(nodes: torch.Tensor, targets: torch.Tensor, chosen: torch.Tensor) -> Predictions:
    vocabulary = max(int(targets.max()), 0) + 1
    pairs, places = torch.unique(nodes[chosen] * vocabulary + targets[chosen], return_inverse=True)
    return Predictions(pairs // vocabulary, pairs % vocabulary, places)


def _to(predictions: Predictions, device: torch.device) -> Predictions:
    return Predictions(*(getattr(predictions, name).to(device) for name in ("nodes", "targets", "places")))

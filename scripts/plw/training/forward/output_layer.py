"""The batch's share of the objective, with logits at chosen positions only.

The logits of positions that carry no weight are most of the output layer's work where prompts are masked. Where a model
returns what its output layer gives, the loss is computed inside that layer, in chunks. Some models change what it gives
(Granite divides it, Cohere multiplies it, Gemma 2 caps it): there the chosen logits go through the model's own forward
pass, and the loss comes after it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import embedding
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast

from plw.training.forward.chunked_loss import chunked_loss, chunked_token_losses
from plw.training.forward.counting import Computed
from plw.training.forward.last_block import MOST_CHOSEN, LastBlock
from plw.training.forward.norms import FewerPasses
from plw.training.forward.packed_attention import PackedAttention, can_pack
from plw.training.forward.packing import Packing, pack
from plw.training.loss import IGNORED, token_losses

PROBED = 100.0  # logits from -PROBED to PROBED tell scaling, capping and shifting from nothing; a cap is below that


@dataclass(frozen=True)
class BatchLoss:
    """What a forward pass found.

    loss     float32 scalar: sum(scale × cross-entropy), with gradient
    learned  float32 [tokens with a scale]: their cross-entropies in nats, without gradient, in row-major order
    watched  the same of the watched tokens, or None
    """

    loss: torch.Tensor
    learned: torch.Tensor
    watched: torch.Tensor | None


class WeightedOutput:
    """Lets a model compute a batch's share of the objective instead of all logits.

    computed         what it ran on so far
    label_smoothing  as in `plw.training.loss.token_losses`
    sparse           compute each distinct beginning of rows once (`packing`) and let the last layer leave positions
                     out that the output layer does not read, where the model allows it; not with activation
                     checkpointing, which runs layers again when the positions are another batch's
    """

    def __init__(self, model: PreTrainedModel, *, label_smoothing: float = 0.0, sparse: bool = True):
        head = model.get_output_embeddings()
        if head is None:
            raise TypeError(f"{type(model).__name__} has no output embeddings, so it is no language model")
        self._label_smoothing = label_smoothing
        # Such a model hands the loss on as it came. Elsewhere watched logits take the model's way to the end together
        # with the learned ones, at the cost of a copy of all (a quarter more of the output layer's time).
        self._inside = type(head) is torch.nn.Linear and returns_what_its_head_gives(model)
        self._block = LastBlock(model) if sparse else None
        self._attention = PackedAttention(model) if sparse and self._inside and can_pack(model) else None
        self._norms = FewerPasses(model)
        self.computed = Computed()
        self._head, self._inner = head, head.forward
        self._batch: Packing | tuple[torch.Tensor, ...] | None = None
        self._losses: tuple[torch.Tensor, torch.Tensor | None] | None = None
        head.forward = self._forward  # inside the module's hooks, so ZeRO-3 has gathered the weights

    def __call__(
        self,
        model: Callable,
        input_ids: torch.Tensor,
        targets: torch.Tensor,
        scales: torch.Tensor,
        watched: torch.Tensor | None,
    ) -> BatchLoss:
        """Run the model on a batch.

        model      the model that was given before, or what wraps it (DDP, DeepSpeed's engine)
        input_ids, targets  int64 [b, width], targets -100 where nothing is predicted;  scales  float32 [b, width]
        watched    bool [b, width]: whose cross-entropy is also wanted, though it has no scale; or None
        """
        # On a processor alone: attention in groups starts many small kernels, which nobody timed on a GPU.
        if self._attention is not None and input_ids.device.type == "cpu":
            return self._packed(model, pack(input_ids, targets, scales, watched))
        learned = (targets != IGNORED) & (scales != 0)
        self._choose_positions(learned if watched is None else learned | watched)
        # No attention mask: padding stands on the right, where a causal model's real tokens never look, and without a
        # mask the faster causal kernels are used.
        returned = self._run(model, (learned, targets, scales, watched), input_ids=input_ids)
        if self._inside:
            assert self._losses is not None  # the output layer ran
            return BatchLoss(returned.sum(), *self._losses)
        count = int(learned.sum())
        losses = token_losses(returned[:count], targets[learned], label_smoothing=self._label_smoothing)
        seen = None if watched is None else token_losses(returned[count:].detach(), targets[watched])
        return BatchLoss((losses * scales[learned]).sum(), losses.detach(), seen)

    def remove(self) -> None:
        """Give the model its own forward back."""
        self._head.__dict__.pop("forward", None)
        for part in (self._norms, self._block, self._attention):
            if part is not None:
                part.remove()

    def _packed(self, model: Callable, packing: Packing) -> BatchLoss:
        assert self._attention is not None  # asked for by __call__
        self._choose_positions(packing.chosen())
        self._attention.set(packing)
        returned = self._run(model, packing, input_ids=packing.input_ids, position_ids=packing.position_ids)
        assert self._losses is not None  # the output layer ran
        losses, seen = self._losses
        expanded = None if seen is None or packing.watched is None else seen[packing.watched.places]
        return BatchLoss(returned.sum(), losses[packing.learned.places], expanded)

    def _run(self, model: Callable, batch: Packing | tuple[torch.Tensor, ...], **inputs) -> torch.Tensor:
        self._batch = batch
        self.computed.positions += inputs["input_ids"].numel()
        try:
            return model(**inputs, use_cache=False).logits
        finally:
            self._batch = None
            if self._block is not None:
                self._block.positions = None
            if self._attention is not None:
                self._attention.set(None)

    def _choose_positions(self, chosen: torch.Tensor) -> None:
        count = chosen.numel()
        if self._block is not None:
            few = int(chosen.sum())
            self._block.positions = chosen if few <= MOST_CHOSEN * count else None
            count = count if self._block.positions is None else few
        self.computed.last += count

    def _forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._batch is None:
            return self._inner(hidden)
        if isinstance(self._batch, Packing):
            learned, watched, nodes = self._batch.learned, self._batch.watched, hidden[0]
            seen = None if watched is None else (nodes.detach()[watched.nodes], watched.targets)
            return self._losses_inside(embedding(learned.nodes, nodes), learned.targets, self._batch.scales, seen)
        where, targets, scales, also = self._batch
        if self._inside:
            seen = None if also is None else (hidden.detach()[also], targets[also])
            return self._losses_inside(hidden[where], targets[where], scales[where], seen)
        self.computed.learned += int(where.sum())
        logits = self._inner(hidden[where])
        if also is None or not also.any():
            return logits
        # After the pass with gradient: autocast keeps the first cast of a weight, and one that was made without
        # gradient would cut the output layer off from training.
        with torch.no_grad():
            seen_logits = self._inner(hidden[also])
        return torch.cat([logits, seen_logits])

    def _losses_inside(self, hidden, targets, scales, seen) -> torch.Tensor:
        """Loss of positions [n, width], as a model returns its logits; what `seen` has of others is only measured."""
        self.computed.learned += len(hidden)
        self.computed.watched += 0 if seen is None else len(seen[0])
        weights = self._head.weight, self._head.bias
        loss, losses = chunked_loss(hidden, *weights, targets, scales, label_smoothing=self._label_smoothing)
        self._losses = losses, None if seen is None else chunked_token_losses(seen[0], *weights, seen[1])
        return loss[None, None]  # of as many dimensions as a model may look at


def returns_what_its_head_gives(model: PreTrainedModel) -> bool:
    """Whether the model's logits are its output layer's, unchanged; False also where that cannot be seen.

    Tried with known logits in place of the output layer's and nothing in place of the layers': no weight is read.
    """
    head, body = model.get_output_embeddings(), model.base_model
    device, width = model.device, model.config.get_text_config().hidden_size
    known = torch.linspace(-PROBED, PROBED, 64, device=device, dtype=torch.float32)[None, None]
    nothing = torch.zeros((1, 1, width), device=device)
    replaced = {head: lambda *_, **__: known, body: lambda *_, **__: MoeModelOutputWithPast(last_hidden_state=nothing)}
    before = {module: module.__dict__.get("forward") for module in replaced}
    try:
        for module, forward in replaced.items():
            module.forward = forward
        with torch.no_grad():
            found = model.forward(input_ids=torch.zeros((1, 1), dtype=torch.long, device=device), use_cache=False)
        return torch.equal(found.logits, known)
    except Exception:  # a model that wants more than that is taken for one that changes its logits
        return False
    finally:
        for module, forward in before.items():
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.forward = forward

"""The batch's share of the objective, with logits at chosen positions only.

The logits of positions that carry no weight are most of the output layer's work where prompts are masked. Where a model
returns what its output layer gives, the loss is computed inside that layer, in chunks. Some models change what it gives
(Granite divides it, Cohere multiplies it, Gemma 2 caps it): there the chosen logits go through the model's own forward
pass, and the loss comes after it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast

from plw.training.forward.chunked_loss import chunked_loss, chunked_token_losses
from plw.training.forward.last_block import MOST_CHOSEN, LastBlock
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

    label_smoothing  as in `plw.training.loss.token_losses`
    sparse           let the last layer leave positions out that the output layer does not read; not with activation
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
        self._head, self._inner = head, head.forward
        self._batch: tuple[torch.Tensor, ...] | None = None
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
        learned = (targets != IGNORED) & (scales != 0)
        self._choose_positions(learned, watched)
        self._batch = (learned, targets, scales, watched)
        try:
            # No attention mask: padding stands on the right, where a causal model's real tokens never look, and
            # without a mask the faster causal kernels are used.
            returned = model(input_ids=input_ids, use_cache=False).logits
        finally:
            self._batch = None
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
        if self._block is not None:
            self._block.remove()

    def _choose_positions(self, learned: torch.Tensor, watched: torch.Tensor | None) -> None:
        if self._block is not None:
            chosen = learned if watched is None else learned | watched
            self._block.positions = chosen if chosen.sum() <= MOST_CHOSEN * chosen.numel() else None

    def _forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._batch is None:
            return self._inner(hidden)
        learned, targets, scales, watched = self._batch
        if not self._inside:
            logits = self._inner(hidden[learned])
            if watched is None or not watched.any():
                return logits
            # After the pass with gradient: autocast keeps the first cast of a weight, and one that was made
            # without gradient would cut the output layer off from training.
            with torch.no_grad():
                seen = self._inner(hidden[watched])
            return torch.cat([logits, seen])
        weights = self._head.weight, self._head.bias
        loss, losses = chunked_loss(
            hidden[learned], *weights, targets[learned], scales[learned], label_smoothing=self._label_smoothing
        )
        seen = None if watched is None else chunked_token_losses(hidden[watched], *weights, targets[watched])
        self._losses = losses, seen
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

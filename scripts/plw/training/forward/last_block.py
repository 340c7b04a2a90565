"""The last layer's projections at chosen positions only: what nobody reads is not computed.

The output layer reads chosen positions. Of the layer before it, queries, the attention's output and the feed-forward
part of the other positions are then needed by nobody; their keys and values still are. All of these work on each
position by itself, so leaving positions out changes neither values nor gradients of the others.
"""

from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
QUERIES, OUTPUT = "q_proj", "o_proj"
# With more than this share of positions chosen the copies eat up what is saved: a step of four layers on one quiet core
# took 0.91 of its time at a tenth of the positions, 0.97 at half, 0.98 at three quarters
# (benchmarks/bench_output_layer.py --shares).
MOST_CHOSEN = 0.5


class LastBlock:
    """Lets the last layer's position-wise parts work at chosen positions only.

    `positions` is bool [b, width], or None for all, of the next forward pass. A layer that is not built of LLaMA's
    projections is left as it is.
    """

    def __init__(self, model: PreTrainedModel):
        self.positions: torch.Tensor | None = None
        self._replaced = list(position_wise_parts(model))
        for module in self._replaced:
            module.forward = self._at_positions(module.forward)

    def remove(self) -> None:
        """Give the modules their own forward back."""
        for module in self._replaced:
            module.__dict__.pop("forward", None)
        self._replaced = []

    def _at_positions(self, inner):
        def forward(hidden: torch.Tensor) -> torch.Tensor:
            if self.positions is None:
                return inner(hidden)
            found = inner(hidden[self.positions])
            return found.new_zeros(*hidden.shape[:-1], found.shape[-1]).index_put((self.positions,), found)

        return forward


def position_wise_parts(model: PreTrainedModel) -> Iterator[torch.nn.Module]:
    """Query and output projections and the feed-forward part of the last layer, where they are LLaMA's; else nothing.

    Known by their structure: all of the layer's linear maps bear LLaMA's names, one of each, and its feed-forward part
    holds nothing else with weights (no router, no norm over positions).
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, torch.nn.ModuleList) or not len(layers):
        return
    attention, feed_forward = (getattr(layers[-1], name, None) for name in ("self_attn", "mlp"))
    if attention is None or feed_forward is None:
        return
    linear = {name: module for part in (attention, feed_forward) for name, module in part.named_children()
              if any(True for _ in module.parameters())}  # fmt: skip
    if set(linear) == PROJECTIONS and all(type(module) is torch.nn.Linear for module in linear.values()):
        yield from (linear[QUERIES], linear[OUTPUT], feed_forward)

"""Attention over the nodes of a packing: every row of the batch looks at its own beginning.

Everything else in a LLaMA layer works on each position by itself, so it runs on the nodes as they are. Here they are
laid out in rows and attention is causal within each: padding stands on the right, where no real token looks, so no mask
is made and the faster kernels are used. Each node takes what it got in one of its rows: in all of them it is the same.
"""

import torch
from torch.nn.functional import embedding
from transformers import AttentionInterface, LlamaForCausalLM, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from plw.training.forward.packing import Packing

NAME = "plw_packed"  # under which transformers knows it; it makes no mask for a name that has none registered
PLAIN = "sdpa"
ROTARY = {"default", "linear", "llama3"}  # whose angles depend on the position alone, not on the longest of a batch


class PackedAttention:
    """Lets a model run on packed batches until `remove`."""

    def __init__(self, model: PreTrainedModel):
        self._config = model.config
        self._modules = [layer.self_attn for layer in model.base_model.layers]
        AttentionInterface.register(NAME, packed_attention)
        self.set(None)
        self._config._attn_implementation = NAME

    def set(self, packing: Packing | None) -> None:
        """Give all layers the packing of the next forward pass; None: rows come as they are."""
        for module in self._modules:
            module.packing = packing

    def remove(self) -> None:
        """Give the model its own attention back."""
        self._config._attn_implementation = PLAIN
        for module in self._modules:
            module.__dict__.pop("packing", None)


def can_pack(model: PreTrainedModel) -> bool:
    """Whether the model is LLaMA's as transformers builds it, with attention and positions that allow packing.

    Not with dropout of attention weights: rows that share a beginning would share what is dropped there.
    """
    return (
        type(model) is LlamaForCausalLM
        and model.config._attn_implementation == PLAIN
        and model.config.rope_parameters["rope_type"] in ROTARY
        and all(layer.self_attn.attention_dropout == 0 for layer in model.base_model.layers)
    )


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options,
) -> tuple[torch.Tensor, None]:
    """transformers' SDPA attention, over nodes where the module has a packing.

    query  float [1, heads, u, size];  key, value  the same with as many heads as there are of keys
    Returns float [1, u, heads, size].
    """
    packing: Packing | None = module.packing
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    states = [(tensor.transpose(1, 2).reshape(tensor.shape[2], -1), tensor.shape[1]) for tensor in (query, key, value)]
    found = []
    for places in packing.groups:
        rows = (embedding(places, flat).unflatten(-1, (heads, -1)).transpose(1, 2) for flat, heads in states)
        found.append(sdpa_attention_forward(module, *rows, None, **options)[0].flatten(0, 1).flatten(1))
    cells = found[0] if len(found) == 1 else torch.cat(found)
    return embedding(packing.cells, cells).unflatten(-1, (query.shape[1], -1))[None], None

"""How many texts are written at once: as many as the device's free memory holds, fewer after out-of-memory."""

import torch
from transformers import PreTrainedModel

from plw.errors import InputError

# The cache grows by concatenation, which holds one layer twice, and beams are reordered by a copy; the allocator rounds
# up. What this share of the free memory does not cover, halving does.
USED_SHARE = 0.8


class BatchMemory:
    """Keeps batches of one model within the memory of its device.

    free  bytes that caches may take; None asks a GPU before each batch, and sets no limit on the CPU
    """

    def __init__(self, model: PreTrainedModel, *, free: int | None = None):
        self.model = model
        self.row_token_bytes = bytes_per_token(model)
        self._given = free
        self._learnt: int | None = None  # bytes that were too much, halved

    def rows(self, wanted: int, *, tokens: int, beams: int = 1) -> int:
        """How many of `wanted` rows fit, at least 1; `tokens` counts a row's prompt and all that may be written."""
        limits = [limit for limit in (self._free(), self._learnt) if limit is not None]
        if not limits:
            return wanted
        return max(1, min(wanted, min(limits) // self._row_bytes(tokens, beams)))

    @property
    def halved(self) -> bool:
        """Whether a batch was too much once."""
        return self._learnt is not None

    def halve(self, rows: int, *, tokens: int, beams: int = 1) -> None:
        """Remember that `rows` were too many; InputError if a single row was."""
        if rows == 1:
            raise InputError(
                f"A text of {tokens} tokens and {beams} beams does not fit into the device's memory beside the model.",
                value=f"about {self._row_bytes(tokens, beams) / 2**30:.1f} GiB are needed",
                hint="Use dtype: bfloat16, fewer beams, a smaller max_new_tokens, or a device with more free memory.",
            )
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        self._learnt = rows // 2 * self._row_bytes(tokens, beams)

    def _row_bytes(self, tokens: int, beams: int) -> int:
        return self.row_token_bytes * tokens * beams

    def _free(self) -> int | None:
        if self._given is not None:
            return self._given
        device = self.model.device
        if device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # held by torch, not in use
        return int(USED_SHARE * (free + idle))


def bytes_per_token(model: PreTrainedModel) -> int:
    """Bytes that a token of a row takes while it is read: keys and values of all layers, and one layer's activations.

    While the prompt is read, one feed-forward block holds gate, up and their product (3 · intermediate), and attention
    the residual stream and its projections (6 · hidden).
    """
    config = model.config.get_text_config()
    activations = 3 * (getattr(config, "intermediate_size", None) or 4 * config.hidden_size) + 6 * config.hidden_size
    return cache_bytes_per_token(model) + activations * model.dtype.itemsize


def cache_bytes_per_token(model: PreTrainedModel) -> int:
    """Bytes of a token's keys and values: 2 · layers · kv_heads · head_dim · bytes (524,288: LLaMA 7B in bfloat16)."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return 2 * config.num_hidden_layers * kv_heads * head_size * model.dtype.itemsize


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out: torch's own error of a GPU, or the CPU allocator's message."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)

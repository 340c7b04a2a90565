"""Logits at chosen positions only, by the model's own way to them.

The logits of positions that carry no weight are most of the output layer's work where prompts are masked. Some models
change what their output layer gives (Granite divides it, Cohere multiplies it, Gemma 2 caps it): whatever is read as
logits has therefore gone through the model's own forward pass.
"""

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import MoeModelOutputWithPast

PROBED = 100.0  # logits from -PROBED to PROBED tell scaling, capping and shifting from nothing; a cap is below that


class PositionSelector:
    """Lets the model's output layer compute logits only at chosen positions.

    `choose(learned, watched)` sets bool [b, width] masks for the next forward pass; `split(logits)` of what the model
    then returns is (logits of the learned positions, logits of the watched ones, without gradient, or None), each
    [number of True, vocabulary] in row-major order.
    """

    def __init__(self, model: PreTrainedModel):
        head = model.get_output_embeddings()
        if head is None:
            raise TypeError(f"{type(model).__name__} has no output embeddings, so it is no language model")
        # Together with the learned ones, watched logits take the model's way to the end, at the cost of a copy of all
        # (a quarter more of the output layer's time); where the model changes nothing they are as good as they are.
        self._apart = returns_what_its_head_gives(model)
        self._inner = head.forward
        self._head = head
        self._learned = self._watched = self._seen = None
        self._rows = 0
        head.forward = self._forward  # inside the module's hooks, so ZeRO-3 has gathered the weights

    def choose(self, learned: torch.Tensor, watched: torch.Tensor | None) -> "PositionSelector":
        self._learned, self._watched, self._seen = learned, watched, None
        return self

    def __enter__(self) -> "PositionSelector":
        return self

    def __exit__(self, *_) -> None:
        self._learned = self._watched = None

    def split(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the model returned, as logits to learn from and logits that are only looked at."""
        if len(logits) == self._rows:
            return logits, self._seen
        return logits[: self._rows], logits[self._rows :].detach()

    def remove(self) -> None:
        """Give the output layer its own forward back."""
        self._head.__dict__.pop("forward", None)

    def _forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._learned is None:
            return self._inner(hidden)
        logits = self._inner(hidden[self._learned])
        self._rows = len(logits)
        if self._watched is None or not self._watched.any():
            return logits
        # After the pass with gradient: autocast keeps the first cast of a weight, and one that was made
        # without gradient would cut the output layer off from training.
        with torch.no_grad():
            seen = self._inner(hidden[self._watched])
        if self._apart:
            self._seen = seen
            return logits
        return torch.cat([logits, seen])


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

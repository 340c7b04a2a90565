"""What the paper needs, one room a stage; and the prompt loss for other people's trainers:

PromptLossCollator  batches whose every token carries its scale: PLW on the prompt, 1 on the completion
causal_lm_loss      their loss
attach_prompt_loss  that loss in a model or a trainer (transformers, TRL, PEFT, DDP, DeepSpeed)
token_weights       the weights alone
invert              prompt inversion of instruction data (App. A)
generation_ratios   R_g of instruction data by each definition (§2.1)
to_w_p, from_w_p    the power transform of the prompt loss weight (§4.1)

They are loaded when they are first asked for, so that `import plw` costs nothing.
"""

from importlib import import_module

_PLACES = {
    "PromptLossCollator": "plw.training.collator",
    "causal_lm_loss": "plw.training.loss",
    "attach_prompt_loss": "plw.training.attach",
    "token_weights": "plw.training.loss",
    "invert": "plw.data.inversion",
    "generation_ratios": "plw.data.ratios",
    "to_w_p": "plw.scores.transform",
    "from_w_p": "plw.scores.transform",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'plw' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])

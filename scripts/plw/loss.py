"""Where the prompt loss was until 0.1: its names are those of `plw` itself now. Goes with 0.3."""

import warnings

from plw.training.collator import PromptLossCollator
from plw.training.loss import causal_lm_loss, token_weights

__all__ = ["PromptLossCollator", "causal_lm_loss", "token_weights"]
warnings.warn(
    "plw.loss has moved: `from plw import PromptLossCollator, causal_lm_loss`. Its batches carry no labels any more;"
    " see attach_prompt_loss for trainers.",
    DeprecationWarning,
    stacklevel=2,
)

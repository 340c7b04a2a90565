"""What §4.1 says of the loss, tried on random logits: PLW 0 is masking, PLW 1 is the plain language model loss."""

import torch

from plw.training.collator import PromptLossCollator
from plw.training.loss import IGNORED, causal_lm_loss, pad

LENGTHS, PROMPTS, VOCABULARY, SEED = (9, 14, 6), (5, 9, 1), 23, 42  # a small padded batch; one prompt is one token


def largest_differences() -> dict[str, float]:
    """Largest absolute difference of loss and gradient (nats, float32) from plain cross-entropy, at PLW 0 and 1."""
    generator = torch.Generator().manual_seed(SEED)
    rows = [torch.randint(1, VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    features = [{"input_ids": row, "prompt_length": prompt} for row, prompt in zip(rows, PROMPTS, strict=True)]
    shape = (len(rows), max(LENGTHS), VOCABULARY)
    found = {}
    for plw, name in ((0.0, "PLW 0 against masked labels"), (1.0, "PLW 1 against all labels")):
        logits = torch.randn(shape, generator=generator).requires_grad_()
        batch = PromptLossCollator(0, plw=plw)(features)
        labels = pad(rows, IGNORED)
        if plw == 0.0:
            for row, prompt in enumerate(PROMPTS):
                labels[row, :prompt] = IGNORED
        ours = causal_lm_loss(logits, **batch)
        theirs = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), ignore_index=IGNORED
        )
        ours_gradient, theirs_gradient = (torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs))
        found[f"{name}, loss"] = float((ours - theirs).detach().abs())
        found[f"{name}, gradient"] = float((ours_gradient - theirs_gradient).abs().max())
    return found

"""The claim about the implementation (§4.1): PLW 0 is masking, PLW 1 is the plain language model loss.

Checked when claims are judged, on random logits, against PyTorch's own cross-entropy.
"""

from collections.abc import Mapping

from plw.evidence import Evidence
from plw.findings import Finding, Undecided, judged

LENGTHS, PROMPTS, VOCABULARY, SEED = (9, 14, 6), (5, 9, 1), 23, 42  # a small padded batch; one prompt is one token


def largest_differences() -> dict[str, float]:
    """Largest absolute difference of loss and gradient (nats, float32) from plain cross-entropy, at PLW 0 and 1."""
    import torch

    from plw.loss import IGNORED, PromptLossCollator, causal_lm_loss

    generator = torch.Generator().manual_seed(SEED)
    rows = [torch.randint(1, VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    features = [{"input_ids": row, "prompt_length": prompt} for row, prompt in zip(rows, PROMPTS, strict=True)]
    shape = (len(rows), max(LENGTHS), VOCABULARY)
    found = {}
    for plw, name in ((0.0, "PLW 0 against masked labels"), (1.0, "PLW 1 against all labels")):
        logits = torch.randn(shape, generator=generator).requires_grad_()
        batch = PromptLossCollator(0, plw=plw)(features)
        labels = batch["labels"].clone()
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


def masking(evidence: Evidence, parameters: Mapping) -> Finding:
    """C38: loss and gradient equal cross-entropy with prompt labels of -100 (PLW 0) and with all labels (PLW 1)."""
    try:
        numbers = largest_differences()
    except ImportError as error:
        raise Undecided(f"The loss cannot be tried: {error}.") from None
    holds = max(numbers.values()) < parameters["tolerance"]
    reason = f"Largest difference {max(numbers.values()):.1e}; asked: under {parameters['tolerance']:g} in float32."
    return judged(holds, reason, numbers)

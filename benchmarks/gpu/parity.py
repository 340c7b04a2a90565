"""Loss and gradients of our trainer on the device beside a plain loop in float64 on the CPU."""

import random

import torch
from plw.data.tokenization import EncodedExample
from plw.training.batching import plan_updates

from gpu.part import Part
from gpu.shapes import build
from gpu.trainings import Gradients, train

PLWS = (0.0, 0.1, 1.0)
MICRO_BATCH = 2
UPDATE = 4  # sequences; the last window of six is shorter, so that it ends with an empty physical batch
# Relative: rounding of float32, and of bfloat16 (2⁻⁸ a number), after a few dozen sums one upon another.
TOLERANCES = {"float32": (1e-5, 1e-4), "bfloat16": (1e-2, 5e-2)}


def plain(model, examples: list[EncodedExample], *, plw: float) -> list[tuple[float, torch.Tensor]]:
    """(loss, gradient) of each update, one sequence at a time, no padding; the model is float64 on the CPU."""
    updates = plan_updates(len(examples), epochs=1, seed=0, update_size=UPDATE, last_window="keep")
    found = []
    for update in updates:
        model.zero_grad()
        groups = [update[start : start + MICRO_BATCH] for start in range(0, len(update), MICRO_BATCH)]
        total = 0.0
        for group in groups:
            top, bottom = torch.zeros((), dtype=torch.float64), 0
            for example in (examples[row] for row in group):
                ids = torch.tensor([example.input_ids])
                log_p = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0, :-1], dim=-1)
                losses = -log_p.gather(1, ids[0, 1:, None])[:, 0]
                weights = torch.where(torch.arange(1, ids.shape[1]) < example.prompt_length, plw, 1.0).double()
                top, bottom = top + (weights * losses).sum(), bottom + int((weights != 0).sum())
            total = total + (top / bottom if bottom else 0.0 * top) / len(groups)
        total.backward()
        found.append((total.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])))
    return found


def draw(longest: int, vocabulary: int, *, lost: bool) -> list[EncodedExample]:
    """Six sequences of uneven lengths; `lost`: their completions were cut off, so PLW 0 has nothing to learn."""
    rng, rows = random.Random(1), []
    for _ in range(6):
        prompt, completion = rng.randint(2, longest // 2), 0 if lost else rng.randint(1, longest // 2)
        ids = [rng.randrange(3, vocabulary) for _ in range(prompt + completion)]
        rows.append(EncodedExample(ids, prompt, lost, lost, True))
    return rows


def run(device: str, *, shape: str, longest: int, layers: int) -> dict:
    """Largest relative differences by compute dtype and PLW, and whether an update without learned tokens is a zero."""

    def trained(examples, plw, dtype):
        gradients, model = Gradients(), build(shape, "cpu", num_hidden_layers=layers).to(device)
        options = {"micro_batch": MICRO_BATCH, "micro_batches_per_update": UPDATE // MICRO_BATCH, "max_grad_norm": 0}
        # A rate that moves nothing: the second update sees the weights of the first.
        rows = train(model, examples, plw=plw, device=device, callbacks=[gradients], compute_dtype=dtype,
                     physical_batch=2, learning_rate=1e-30, **options)  # fmt: skip
        return [row["loss"] for row in rows], gradients.found

    model = build(shape, "cpu", num_hidden_layers=layers).double()
    examples = draw(longest, model.config.vocab_size, lost=False)
    values: dict = {}
    for plw in PLWS:
        expected = plain(model, examples, plw=plw)
        for dtype, (of_loss, of_gradient) in TOLERANCES.items():
            losses, gradients = trained(examples, plw, dtype)
            assert len(losses) == len(gradients) == len(expected) == 2
            loss = max(abs(one / other - 1) for one, (other, _) in zip(losses, expected, strict=True))
            gradient = max(
                ((one - other).norm() / other.norm()).item()
                for one, (_, other) in zip(gradients, expected, strict=True)
            )
            assert loss < of_loss, f"{dtype}, PLW {plw}: the loss differs by {loss:.1e}"
            assert gradient < of_gradient, f"{dtype}, PLW {plw}: the gradient differs by {gradient:.1e}"
            values[f"{dtype}, PLW {plw:g}: loss"], values[f"{dtype}, PLW {plw:g}: gradient"] = loss, gradient
    for dtype in TOLERANCES:
        losses, gradients = trained(draw(longest, model.config.vocab_size, lost=True), 0.0, dtype)
        largest = max(*map(abs, losses), *(gradient.abs().max().item() for gradient in gradients))
        assert len(losses) == 2 and largest == 0.0, f"{dtype}: an update without learned tokens learns {largest}"
        values[f"{dtype}, nothing to learn: largest loss or gradient"] = largest
    return values


PART = Part(
    "parity",
    "largest relative difference of loss and gradient (L2) from a plain loop in float64 on the CPU",
    run,
    full={"shape": "smollm2_135m", "longest": 200, "layers": 4},
    tiny={"shape": "tiny", "longest": 24, "layers": 2},
    minutes=0.7,
)

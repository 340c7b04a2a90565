"""Evaluation with lm-eval's own scoring and with shared contexts, turn by turn: the same numbers, another speed."""

import random
import statistics
import tempfile
import time

import torch
from tiny import tiny_tokenizer

from gpu.part import Part
from gpu.shapes import build, wait

TOLERANCE = 1e-3  # of a log-likelihood in nats, float32


def questions(count: int, *, choices: int, preamble: int, question: int, choice: int, vocabulary: int) -> list[tuple]:
    """Requests as lm-eval hands them on: (texts, context's tokens, continuation's tokens)."""
    rng = random.Random(0)

    def draw(length: int) -> list[int]:
        return [rng.randrange(3, vocabulary) for _ in range(length)]

    shots = draw(preamble)
    contexts = [shots + draw(question) for _ in range(count)]
    return [(("", ""), context, draw(choice)) for context in contexts for _ in range(choices)]


def run(device: str, *, shape: str, batch: int, rounds: int, **sizes) -> dict:
    """Items a second of both ways, their ratio in time, and how far their log-likelihoods are apart."""
    from plw.evaluation.harness_model import HarnessModel  # needs lm-eval

    values: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tiny_tokenizer(folder)
    for dtype in (torch.float32, torch.bfloat16):
        model = build(shape, device, dtype=dtype).eval()
        requests = questions(vocabulary=model.config.vocab_size, **sizes)
        ways = {way: HarnessModel(model, tokenizer, batch_size=batch, shared_contexts=way) for way in (False, True)}
        seconds: dict[bool, list[float]] = {False: [], True: []}
        scores: dict[bool, list[float]] = {}
        for _ in range(rounds + 1):
            for way, harness in ways.items():
                scores[way], taken = _score(harness, requests, device)
                seconds[way].append(taken)
        apart = max(abs(one - other) for one, other in zip(scores[False], scores[True], strict=True))
        name = str(dtype).removeprefix("torch.")
        values[f"{name}: log-likelihoods apart by"] = apart
        if dtype == torch.float32:
            assert apart < TOLERANCE, f"log-likelihoods differ by {apart:.1e}"
        own, shared = (statistics.median(seconds[way][1:]) for way in (False, True))
        values[f"{name}: time, shared over lm-eval's own"] = shared / own
        values[f"{name}: questions a second"] = [sizes["count"] / own, sizes["count"] / shared]
    return values


def _score(harness, requests: list[tuple], device: str) -> tuple[list[float], float]:
    wait(device)
    started = time.perf_counter()
    found = [score for score, _ in harness._loglikelihood_tokens(requests, disable_tqdm=True)]
    wait(device)
    return found, time.perf_counter() - started


PART = Part(
    "contexts",
    "questions with 25 shots and four choices, scored by lm-eval's own way and with shared contexts",
    run,
    full={"shape": "smollm2_135m", "batch": 32, "rounds": 3, "count": 64, "choices": 4, "preamble": 900, "question": 40,
          "choice": 6},
    tiny={"shape": "tiny", "batch": 4, "rounds": 1, "count": 4, "choices": 3, "preamble": 20, "question": 5,
          "choice": 2},
    minutes=0.6,
    needs=("lm_eval",),
)  # fmt: skip

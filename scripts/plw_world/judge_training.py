"""Training of the small judge: it reads a task and two answers and continues with its verdict.

The judge sees the same prompts as in the evaluation: AlpacaEval's from the prompt file of its judge
configuration, PandaLM's published one. It is trained on the verdict's tokens and, after each of the two answers,
on a digit for that answer's quality: where a generated text would go on it is never asked for, but it makes so small
a model look at each answer by itself before it compares. With `verdict_throughout` the verdict is also asked for at
every token between the second answer and the place of the verdict: one token a pair teaches it late to compare.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from plw.errors import InputError
from plw.evaluation.pandalm import judge_prompt
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from plw_world.pretraining import train

ALPACA_EVAL_VERDICT = {1: "Output (a)", 2: "Output (b)"}
PANDALM_VERDICT = {0: "tie", 1: "1", 2: "2"}


@dataclass(frozen=True)
class JudgeTraining:
    """How the judge is trained. It can start from a PTLM, because facts must be known to be checked."""

    tokens: int = 2_000_000
    batch_tokens: int = 2048  # per update, padding included
    learning_rate: float = 2e-3
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    max_length: int = 512  # longer pairs are left out
    seed: int = 42
    verdict_throughout: bool = False  # ask for the verdict from the end of the second answer on
    # So small a judge may learn to look at the position alone; which seed does differs from machine to machine.
    attempts: int = 3  # with seed, seed + 1, …
    least_both_orders: float = 0.3  # accuracy in both orders that is enough: guessing has 0.25, position alone 0

    @classmethod
    def from_settings(cls, settings: dict) -> "JudgeTraining":
        """From a study's mapping; raises InputError for an unknown key."""
        unknown = sorted(set(settings) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError(f"Unknown key {unknown[0]!r} of the judge's training.", where="--training",
                             hint=f"Known: {', '.join(cls.__dataclass_fields__)}.")  # fmt: skip
        found = cls(**settings)
        if found.attempts < 1:
            raise InputError("A judge needs at least one attempt.", value=found.attempts, where="--training: attempts",
                             hint="1 takes the judge as it comes out.")  # fmt: skip
        return found


def fill(template: str, **fields: str) -> str:
    """The template with each {field} replaced; braces inside the values are left alone."""
    return re.sub(r"\{(\w+)\}", lambda match: fields[match.group(1)], template)


def render(pair: dict, alpaca_eval_template: str) -> tuple[str, str]:
    """Prompt and verdict of a pair from `judging.judge_pairs`.

    Where the prompt file does not end its line, the verdict begins with a line feed: the parser of
    alpaca_eval's configuration wants the verdict at the start of a line.
    """
    if pair["judge"] == "pandalm":
        prompt = judge_prompt(pair["instruction"], pair["input"], pair["output_1"], pair["output_2"])
        return prompt, PANDALM_VERDICT[pair["preference"]]
    fields = {key: pair[key] for key in ("instruction", "output_1", "output_2")}
    start = "" if alpaca_eval_template.endswith("\n") else "\n"
    return fill(alpaca_eval_template, **fields), start + ALPACA_EVAL_VERDICT[pair["preference"]]


@dataclass(frozen=True)
class Example:
    """A pair as tokens: prompt with BOS, verdict with EOS, and marks (position, id that is asked for there).

    The first two marks are the digits after the two answers.
    """

    prompt: list[int]
    verdict: list[int]
    marks: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.verdict)


def answer_ends(pair: dict, template: str, prompt: str) -> list[int]:
    """Index of the character after each of the two answers in the rendered prompt."""
    ends = []
    for key in ("output_1", "output_2"):
        marked, _ = render({**pair, key: "\x00"}, template)
        # From the end of the answer on, both prompts are the same: count from the back.
        ends.append(len(prompt) - (len(marked) - marked.index("\x00") - 1))
    return ends


PAIR = {"instruction": "", "input": "", "output_1": "", "output_2": ""}


def _differing_place(verdicts: list[list[int]]) -> int:
    """Index of the first token in which verdicts differ."""
    return next(i for i, ids in enumerate(zip(*verdicts, strict=False)) if len(set(ids)) > 1)


def encode(
    pairs: list[dict], template: str, tokenizer: PreTrainedTokenizerBase, *, verdict_throughout: bool = False
) -> list[Example]:
    """The pairs as tokens; marks say the quality of each answer as a digit, and the verdict where that is asked for."""
    rendered = [render(pair, template) for pair in pairs]
    prompts = tokenizer([prompt for prompt, _ in rendered], return_offsets_mapping=True)
    verdicts = tokenizer([verdict for _, verdict in rendered], add_special_tokens=False)["input_ids"]
    digits = [tokenizer.convert_tokens_to_ids(str(digit)) for digit in range(10)]
    deciding = {
        "alpaca_eval": _differing_place(
            tokenizer([render({**PAIR, "judge": "alpaca_eval", "preference": n}, template)[1] for n in (1, 2)],
                      add_special_tokens=False)["input_ids"]),
        "pandalm": 0,
    }  # fmt: skip
    examples = []
    for i, pair in enumerate(pairs):
        offsets = prompts["offset_mapping"][i]
        marks = []
        for end, quality in zip(answer_ends(pair, template, rendered[i][0]), pair["qualities"], strict=True):
            position = next(t for t, (_, stop) in enumerate(offsets) if stop > end)
            marks.append((position, digits[round(9 * quality)]))
        verdict = [*verdicts[i], tokenizer.eos_token_id]
        if verdict_throughout:
            word = verdicts[i][deciding[pair["judge"]]]
            marks += [(position, word) for position in range(marks[-1][0] + 1, len(prompts["input_ids"][i]) - 1)]
        examples.append(Example(prompts["input_ids"][i], verdict, tuple(marks)))
    return examples


def judge_batches(examples: list[Example], settings: JudgeTraining) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(ids, labels) batches of similar lengths, in random order, until the budget of tokens is used.

    Padding is on the right, where a causal model cannot see it, with id 2; its labels are -100.
    """
    rng = random.Random(settings.seed)
    examples = [e for e in examples if len(e) <= settings.max_length]
    batches: list[tuple[torch.Tensor, torch.Tensor]] = []
    tokens = 0
    while tokens < settings.tokens:
        # Noise keeps the composition of the batches changing from epoch to epoch.
        order = sorted(examples, key=lambda e: len(e) + rng.uniform(-8, 8))
        epoch, start = [], 0
        while start < len(order):
            rows = max(1, settings.batch_tokens // (len(order[start]) + 16))
            epoch.append(order[start : start + rows])
            start += rows
        rng.shuffle(epoch)
        for batch in epoch:
            batches.append(_collate(batch))
            tokens += batches[-1][0].numel()
            if tokens >= settings.tokens:
                break
    return batches


def _collate(rows: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(row) for row in rows)
    ids = torch.full((len(rows), length), 2)
    labels = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row.prompt + row.verdict)
        labels[i, len(row.prompt) : len(row)] = torch.tensor(row.verdict)
        for position, digit in row.marks:
            labels[i, position + 1] = digit  # labels are shifted by one in the loss: read at `position`
    return ids, labels


def train_judge(model: LlamaForCausalLM, examples: list[Example], settings: JudgeTraining) -> list[dict[str, float]]:
    """Train the model in place; returns the training curve."""
    torch.manual_seed(settings.seed)
    return train(model, judge_batches(examples, settings), learning_rate=settings.learning_rate,
                 warmup_ratio=settings.warmup_ratio, weight_decay=settings.weight_decay)  # fmt: skip


def train_comparing_judge(
    start: Callable[[], LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[dict],
    heldout: list[dict],
    template: str,
    settings: JudgeTraining,
) -> tuple[LlamaForCausalLM, list[dict[str, float]], list[dict]]:
    """Train judges until one compares answers in both forms, on held-out pairs; else take the best.

    start  gives a new model to train.  Returns the judge, its training curve and the record of each attempt
    {seed, seconds, chosen, heldout}. Without held-out pairs there is one attempt.
    """
    examples = encode(pairs, template, tokenizer, verdict_throughout=settings.verdict_throughout)
    best: tuple[float, LlamaForCausalLM, list[dict[str, float]]] | None = None
    records: list[dict] = []
    for attempt in range(settings.attempts if heldout else 1):
        model, seed = start(), settings.seed + attempt
        curve = train_judge(model, examples, replace(settings, seed=seed))
        accuracy = held_out_accuracy(model, tokenizer, heldout, template)
        lowest = min(form["accuracy_both_orders"] for form in accuracy.values())
        records.append({"seed": seed, "seconds": curve[-1]["seconds"], "chosen": False, "heldout": accuracy})
        if best is None or lowest > best[0]:
            best = (lowest, model, curve)
            for record in records:
                record["chosen"] = record is records[-1]
        if lowest >= settings.least_both_orders:
            break
    assert best is not None  # there is at least one attempt
    return best[1], best[2], records


@torch.no_grad()
def likelier_verdicts(
    model: LlamaForCausalLM, examples: list[Example], verdicts: list[list[int]], *, batch: int = 32
) -> list[int]:
    """Index of the likeliest of `verdicts`, which differ in one token, after each example's prompt."""
    position = _differing_place(verdicts)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].prompt))
    result: dict[int, int] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        ids, _ = _collate([Example(examples[i].prompt, verdicts[0][:position]) for i in rows])
        logits = model(input_ids=ids, use_cache=False).logits
        for row, i in enumerate(rows):
            last = logits[row, len(examples[i].prompt) + position - 1]
            result[i] = int(torch.stack([last[v[position]] for v in verdicts]).argmax())
    return [result[i] for i in range(len(examples))]


def held_out_accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, pairs: list[dict], template: str
) -> dict[str, dict[str, float]]:
    """Accuracy of each judge form on pairs with a better answer.

    As given, with the answers swapped, and right in both orders (chance: 0.5, 0.5 and 0.25);
    `consistent` is the share of pairs where both orders are right or both are wrong.
    """
    report = {}
    for judge, words in (("alpaca_eval", ALPACA_EVAL_VERDICT), ("pandalm", PANDALM_VERDICT)):
        chosen = [pair for pair in pairs if pair["judge"] == judge and pair["preference"]]
        swapped = [
            {
                **p,
                "output_1": p["output_2"],
                "output_2": p["output_1"],
                "preference": 3 - p["preference"],
                "qualities": p["qualities"][::-1],
            }
            for p in chosen
        ]
        verdicts = [tokenizer(words[i], add_special_tokens=False)["input_ids"] for i in (1, 2)]
        right = []
        for rows in (chosen, swapped):
            guesses = likelier_verdicts(model, encode(rows, template, tokenizer), verdicts)
            right.append([guess + 1 == row["preference"] for guess, row in zip(guesses, rows, strict=True)])
        n = max(1, len(chosen))
        report[judge] = {
            "n": len(chosen),
            "accuracy": sum(right[0]) / n,
            "accuracy_swapped": sum(right[1]) / n,
            "accuracy_both_orders": sum(a and b for a, b in zip(*right, strict=True)) / n,
            "consistent": sum(a == b for a, b in zip(*right, strict=True)) / n,
        }
    return report

"""Pairs of answers for a small judge: for one task a better and a worse answer, or two equally good ones."""

import random
from typing import Any

from plw_world.instructions import replace_facts
from plw_world.tasks import Setting, Task, sample_task

# What is done to a right answer, with its quality (0 to 1) and how often it is drawn. Most answers of a
# fine-tuned model are fluent, so wrong facts are the most frequent fault; longer right answers are better, as
# people see it.
QUALITY: dict[str, tuple[float, float]] = {
    "long": (1.0, 0.24), "short": (0.85, 0.18), "half_wrong": (0.6, 0.05), "cut": (0.5, 0.10),
    "wrong": (0.35, 0.15), "other_task": (0.1, 0.10), "shuffled": (0.1, 0.05), "repeated": (0.1, 0.05),
    "unhelpful": (0.05, 0.02), "empty": (0.0, 0.05),
}  # fmt: skip
# The same without wrong facts and answers to something else, which a model of some 10^5 weights did not learn to see
# (docs/demo.md): a fault is one of form (cut, shuffled, repeated, evasive, empty) or a question in an answer's place.
FORM_QUALITY: dict[str, tuple[float, float]] = {
    "long": (1.0, 0.30), "short": (0.85, 0.24), "cut": (0.5, 0.15), "question": (0.1, 0.09), "repeated": (0.1, 0.07),
    "shuffled": (0.1, 0.07), "unhelpful": (0.05, 0.04), "empty": (0.0, 0.04),
}  # fmt: skip
TIE_SHARE = 0.1  # of PandaLM pairs are two answers of the same quality; AlpacaEval's judge must choose


def worsen(task: Task, kind: str, setting: Setting, rng: random.Random) -> str | None:
    """An answer of the kind to the task, or None if the task does not allow it."""
    base = task.long if rng.random() < 0.6 else task.short
    words = base.split(" ")
    if kind in ("long", "short"):
        return getattr(task, kind)
    if kind in ("wrong", "half_wrong"):
        text = replace_facts(base, setting, rng, share=0.5 if kind == "half_wrong" else 1.0)
        return text if text != base else None
    if kind == "cut":
        return " ".join(words[: rng.randrange(1, max(2, len(words) * 2 // 3))]) if len(words) > 3 else None
    if kind == "other_task":
        return rng.choice([sample_task(setting, rng).short, sample_task(setting, rng).long])
    if kind == "question":
        return sample_task(setting, rng).instruction
    if kind == "shuffled":
        rng.shuffle(words)
        return " ".join(words) if words != base.split(" ") else None
    if kind == "repeated":
        piece = " ".join(words[: rng.randrange(2, 7)])
        return " ".join([piece] * rng.randrange(3, 7))
    return "" if kind == "empty" else rng.choice(["I do not know.", "There is nothing to say.", "No answer."])


def _pair(setting: Setting, rng: random.Random, *, tie: bool) -> tuple[Task, list[str], list[float], list[str]] | None:
    task = sample_task(setting, rng)
    table = QUALITY if setting.size["judge_facts"] else FORM_QUALITY
    kinds = rng.choices(list(table), weights=[weight for _, weight in table.values()], k=2)
    if tie:
        kinds[1] = kinds[0]
    texts: list[Any] = [worsen(task, kind, setting, rng) for kind in kinds]
    qualities = [table[kind][0] for kind in kinds]
    gap = abs(qualities[0] - qualities[1])
    if None in texts or (not tie and (gap == 0 or gap < setting.size["judge_gap"] / 100 - 1e-9)):
        return None
    return task, texts, qualities, kinds


def judge_pairs(setting: Setting, *, seed: int, split: str, count: int) -> list[dict]:
    """`count` pairs, alternately for the two judges.

    Row: judge (alpaca_eval | pandalm), instruction, input (already part of the instruction for alpaca_eval),
    output_1, output_2, preference (1, 2; 0 = tie, pandalm only), qualities (0 to 1), kinds (how the two were
    made). The better answer stands first in every second pair of each judge, so position tells nothing.
    """
    rng = random.Random(f"{seed}/judge/{split}")
    rows: list[dict] = []
    while len(rows) < count:
        judge = ("alpaca_eval", "pandalm")[len(rows) % 2]
        pair = _pair(setting, rng, tie=judge == "pandalm" and rng.random() < TIE_SHARE)
        if pair is None:
            continue
        task, texts, qualities, kinds = pair
        better_first = (len(rows) // 2) % 2 == 0
        if qualities[0] != qualities[1] and (qualities[0] > qualities[1]) != better_first:
            texts, qualities, kinds = texts[::-1], qualities[::-1], kinds[::-1]
        preference = 0 if qualities[0] == qualities[1] else 1 if qualities[0] > qualities[1] else 2
        merged = judge == "alpaca_eval" and task.input
        rows.append({
            "judge": judge,
            "instruction": f"{task.instruction}\n{task.input}" if merged else task.instruction,
            "input": "" if judge == "alpaca_eval" else task.input,
            "output_1": texts[0], "output_2": texts[1], "preference": preference, "qualities": qualities,
            "kinds": kinds,
        })  # fmt: skip
    return rows

"""PandaLM: the judge's published prompt and parsing, with both orders of every pair.

Source: WeOpenML/PandaLM@eb758c4, pandalm/utils/pandalm_inference.py. Written anew, because that program ties
paths, token ids and devices to one machine.
# DEVIATION: PandaLM judges one order only. Both are asked here and averaged, because 17 to 50 % of verdicts
# flip with the order (its issues 18 and 41); the single orders are reported beside.
"""

import re
from collections.abc import Sequence
from typing import Any

from plw.evaluation.judge import Judge
from plw.evaluation.judgements import Pair, describe_lengths, sample_stderr

TASK = "The task is defined by the Instruction{}. Evaluate the responses and generate a reference answer for the task."
SPECIAL_TOKENS = re.compile(
    r"<unk>|<pad>|<s>|</s>|\[PAD\]|<\|endoftext\|>|\[UNK\]|\[CLS\]|\[MASK\]"
    r"|<\|startofpiece\|>|<\|endofpiece\|>|\[gMASK\]|\[sMASK\]"
)
TIE = 0


def judge_prompt(instruction: str, input_text: str, response_1: str, response_2: str) -> str:
    """The prompt that PandaLM-7B was trained on; it continues after the last newline."""
    task = TASK.format(" with an Input that provides further context" if input_text else "")
    input_part = f"### Input:\n{input_text}\n\n" if input_text else ""
    return (
        f"Below are two responses for a given task. {task}\n\n### Instruction:\n{instruction}\n\n{input_part}"
        f"### Response 1:\n{clean_response(response_1)}\n\n### Response 2:\n{clean_response(response_2)}\n\n"
        "### Evaluation:\n"
    )


def clean_response(text: str) -> str:
    """Remove the special tokens of common tokenizers, and white space around the text."""
    return SPECIAL_TOKENS.sub("", text.strip()).strip()


def parse_verdict(text: str) -> tuple[int, bool]:
    """(1, 2 or TIE, whether the answer says so): the first line decides, anything unclear is a tie."""
    first = SPECIAL_TOKENS.sub("", text.strip()).strip().split("\n")[0]
    if first in ("1", "2"):
        return int(first), True
    return TIE, first.lower() == "tie"


def majority_label(labels: Sequence[int]) -> int:
    """The label that most of three annotators gave; TIE if all differ."""
    best = max(labels, key=lambda label: sum(other == label for other in labels))
    return best if sum(label == best for label in labels) > 1 else TIE


def ask_both_orders(pairs: Sequence[Pair]) -> list[str]:
    """Two prompts per pair that is not identical: the candidate as response 1, then as response 2."""
    prompts = []
    for pair in pairs:
        if not pair.identical:
            prompts.append(judge_prompt(pair.instruction, pair.input, pair.candidate, pair.reference))
            prompts.append(judge_prompt(pair.instruction, pair.input, pair.reference, pair.candidate))
    return prompts


def judge_pairs(pairs: dict[str, list[Pair]], judge: Judge) -> dict[str, dict]:
    """Compare each run's texts with the reference in both orders, the prompts of all runs together."""
    prompts = {run: ask_both_orders(members) for run, members in pairs.items()}
    asked = [prompt for members in prompts.values() for prompt in members]
    answers = iter(judge.answers(asked, readable=lambda answer: parse_verdict(answer)[1]))
    return {run: score_pairs(members, [next(answers) for _ in prompts[run]]) for run, members in pairs.items()}


def score_pairs(pairs: Sequence[Pair], answers: Sequence[str]) -> dict:
    """Win rate of the candidates (win 1, tie ½) from the answers to `ask_both_orders(pairs)`.

    metrics        win_rate (mean of both orders), win_rate_first and win_rate_second (the candidate's place);
                   0 to 1
    conflict_rate  share of the asked pairs where the two orders name different winners; None if none was
                   asked
    items          per pair: preference (0 to 1), both verdicts as seen by the judge, raw texts
    """
    waiting = iter(answers)
    items: list[dict[str, Any]] = []
    parsed, conflicts, asked = 0, 0, 0
    for pair in pairs:
        if pair.identical:
            items.append({"id": pair.index, "preference": 0.5, "first": 0.5, "second": 0.5, "asked": False})
            continue
        raw = [next(waiting), next(waiting)]
        (verdict_1, clear_1), (verdict_2, clear_2) = map(parse_verdict, raw)
        first = {1: 1.0, 2: 0.0}.get(verdict_1, 0.5)
        second = {1: 0.0, 2: 1.0}.get(verdict_2, 0.5)
        asked += 1
        parsed += clear_1 + clear_2
        conflicts += abs(first - second) == 1.0
        shown = {"verdicts": [verdict_1, verdict_2], "parsed": [clear_1, clear_2], "raw": raw}
        items.append(
            {
                "id": pair.index,
                "preference": (first + second) / 2,
                "first": first,
                "second": second,
                "asked": True,
            }
            | shown
        )
    return {
        "metrics": {
            "win_rate": _rate(items, "preference"),
            "win_rate_first": _rate(items, "first"),
            "win_rate_second": _rate(items, "second"),
        },
        "n_total": len(items),
        "n_asked": 2 * asked,
        "n_parsed": parsed,
        "n_identical": len(items) - asked,
        "draws": sum(item["preference"] == 0.5 for item in items),
        "conflict_rate": conflicts / asked if asked else None,
        **describe_lengths(list(pairs)),
        "items": items,
    }


def _rate(items: list[dict], key: str) -> dict:
    values = [item[key] for item in items]
    score = sum(values) / len(values) if values else None
    return {"score": score, "stderr": sample_stderr(values), "n": len(values), "higher_is_better": True}

"""The two prompt templates of Stanford Alpaca, which the paper fine-tunes and generates with (§4.2).

Verbatim from tatsu-lab/stanford_alpaca (commit 761dc5b, `PROMPT_DICT` in train.py). Nothing follows the
last colon: the completion is appended directly.
"""

import re
from collections.abc import Sequence

from plw.data.conversations import ASSISTANT, SYSTEM

PROMPT_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
PROMPT_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)


def field_spans(instruction: str, input_text: str = "") -> list[tuple[int, int]]:
    """Where instruction and input lie in `format_prompt`'s text, as (first, behind the last) character."""
    template, texts = (
        (PROMPT_WITH_INPUT, [instruction, input_text]) if input_text else (PROMPT_WITHOUT_INPUT, [instruction])
    )
    spans, place = [], 0
    for before, text in zip(re.split(r"\{\w+\}", template), texts, strict=False):
        place += len(before)
        spans.append((place, place + len(text)))
        place += len(text)
    return spans


def format_prompt(instruction: str, input_text: str = "") -> str:
    """Return the prompt of one instance; the completion follows the final colon without a space.

    Only the empty string counts as "no input": white space alone is an input, as in Alpaca's own code.
    """
    if input_text == "":
        return PROMPT_WITHOUT_INPUT.format(instruction=instruction)
    return PROMPT_WITH_INPUT.format(instruction=instruction, input=input_text)


PREAMBLE = PROMPT_WITHOUT_INPUT.partition("\n\n###")[0]
INSTRUCTION_PARTS = tuple(PROMPT_WITHOUT_INPUT.removeprefix(PREAMBLE).split("{instruction}"))
Spans = list[tuple[int, int, str]]  # (first, behind the last character, role)


def exchange_texts(turns: Sequence[tuple[str, str]]) -> list[tuple[str, Spans]]:
    """A conversation in Alpaca's template: the text up to the end of each answer, and where the turns lie in it.

    An exchange is `### Instruction:` and `### Response:` as in PROMPT_WITHOUT_INPUT; an end-of-sequence follows each
    answer, and the next exchange that. A system turn stands in the preamble's place. One exchange without a system turn
    is `format_prompt` and the answer.

    turns  (role, text): perhaps system, then user and assistant by turns
    """
    # open: Alpaca has no template of several turns; this is FastChat's conversation "alpaca" (its system text is the
    # preamble, its exchanges end in </s>) with Alpaca's own line breaks.
    texts: list[tuple[str, Spans]] = []
    text, spans = PREAMBLE, []
    for role, said in turns:
        if role == SYSTEM:
            text, spans = said, [(0, len(said), SYSTEM)]
            continue
        before, behind = ("", "") if role == ASSISTANT else INSTRUCTION_PARTS
        spans.append((len(text) + len(before), len(text) + len(before) + len(said), role))
        text += f"{before}{said}{behind}"
        if role == ASSISTANT:
            texts.append((text, spans))
            text, spans = "", []
    return texts

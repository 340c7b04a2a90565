"""The two prompt templates of Stanford Alpaca, which the paper fine-tunes and generates with (§4.2).

Verbatim from tatsu-lab/stanford_alpaca (commit 761dc5b, `PROMPT_DICT` in train.py). Nothing follows the
last colon: the completion is appended directly.
"""

import re

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

"""Pre-flight table: what training will make of a data set, before any GPU hour is spent.

Truncation at the maximal length eats completions of short-completion data, and some tokenizers merge the
last character of the prompt with the first of the completion; a special token's text in an instance becomes the token.
Alpaca's code does all of it silently; here all is counted.
"""

from collections.abc import Iterable

from plw.data.instances import FIRST_PLACES, Instance
from plw.data.ratios import parts_of
from plw.data.tokenization import encode_examples, holds_special, special_texts

# Column of the table -> does the row belong to it?
PROBLEMS = {
    "truncated": lambda example, eos: example.truncated,
    "completion_lost": lambda example, eos: example.completion_lost,
    "eos_lost": lambda example, eos: example.input_ids[-1:] != [eos],
    "prompt_not_prefix": lambda example, eos: not example.prompt_is_prefix,
}
MARKED, LOST = "special_token_in_text", "answers_lost"


def check_instances(instances: Iterable[Instance], tokenizer, *, max_length: int, special_tokens: str = "keep") -> dict:
    """Encode every instance as training does, in parts, and count what goes wrong.

    tokenizer   the one that training uses, special tokens added
    max_length  in tokens, template and special tokens included
    special_tokens  keep | escape, see plw.data.tokenization
    Returns rows, max_length, special_tokens, per problem `rows`, `share` of all rows (0–1) and the first five
    `source_rows`; and the mean number of prompt and completion tokens that the loss sees, whose ratio differs from R_g
    because the template counts as prompt. Of whole conversations it is also counted which lost answers at their end.
    """
    problems: dict[str, list[int]] = {name: [] for name in (*PROBLEMS, MARKED)}
    specials, eos = special_texts(tokenizer), tokenizer.eos_token_id
    rows = prompt = completion = 0
    for part in parts_of(instances):
        fields = [
            {"instruction": it.instruction, "input": it.input, "output": it.output, "turns": it.turns} for it in part
        ]
        examples = encode_examples(tokenizer, fields, max_length, special_tokens=special_tokens)
        if any(example.roles for example in examples):  # whole conversations
            problems.setdefault(LOST, [])
        for it, row, example in zip(part, fields, examples, strict=True):
            met = [name for name, test in PROBLEMS.items() if test(example, eos)]
            met += [MARKED] * holds_special(row, specials) + [LOST] * (example.answers_lost > 0)
            for name in met:
                problems[name].append(it.source_row)
            prompt += example.prompt_tokens
            completion += len(example.input_ids) - example.prompt_tokens
        rows += len(part)
    return {
        "rows": rows,
        "max_length": max_length,
        "special_tokens": special_tokens,
        "problems": {
            name: {
                "rows": len(found),
                "share": len(found) / rows if rows else 0.0,
                "source_rows": found[:FIRST_PLACES],
            }
            for name, found in problems.items()
        },
        "mean_prompt_tokens": prompt / rows if rows else 0.0,
        "mean_completion_tokens": completion / rows if rows else 0.0,
        "r_g_of_loss": completion / prompt if prompt else None,
    }

"""`plw describe`: Table 1's row of a file of instruction data, and what training will make of it."""

from functools import partial
from typing import Any

from plw.data.description import describe_instances
from plw.data.preflight import check_instances
from plw.data.ratios import count_characters
from plw.recommend.lengths import MAX_LENGTH, measure, open_file
from plw.recommend.tokenizers import encoder, token_counter_of
from plw.recommend.words import lengths_lines


def describe(
    file: str,
    *,
    format: str | None = None,
    tokenizer: str | None = None,
    turns: str = "first",
    max_length: int = MAX_LENGTH,
    most_left_out: float = 0.1,
) -> dict[str, Any]:
    """Table 1's row, the lengths and, with a tokenizer that can train, the pre-flight table.

    The file is read once for each of them, so that no more than a part of its rows is held.

    Arguments as `plw.recommend.decision.recommend`. Returns data, unit, table_1 (`describe_instances`; in characters
    without a tokenizer), lengths (`measure`) and preflight (`check_instances`, or None).
    """
    reading = open_file(file, format=format, turns=turns, most_left_out=most_left_out)
    again = partial(open_file, file, format=reading.report.format, turns=turns, most_left_out=most_left_out)
    counter = token_counter_of(tokenizer)
    training = encoder(tokenizer)
    lengths = measure(reading, reading.report, count_tokens=counter, max_length=max_length)
    return {
        "data": file,
        "unit": "characters" if counter is None else "tokens",
        "table_1": describe_instances(again(), counter or count_characters),
        "lengths": lengths,
        "preflight": None if training is None else check_instances(again(), training, max_length=max_length),
    }


def description_text(found: dict[str, Any]) -> str:
    """The description for a terminal."""
    row, unit = found["table_1"], found["unit"]
    names = {"instruction": "instruction", "input": "input", "output": "completion"}
    fields = ", ".join(
        f"{said} {row['tokens'][name]['mean']:.2f} ({row['tokens'][name]['sd']:.2f})" for name, said in names.items()
    )
    lines = [f"{found['data']}: mean {unit} (standard deviation): {fields}; {row['total_tokens']:,} {unit} in all."]
    lines += lengths_lines(found["lengths"])
    if found["preflight"]:
        lines.append(f"In training, at {found['preflight']['max_length']} tokens:")
        for name, problem in found["preflight"]["problems"].items():
            lines.append(f"  {name.replace('_', ' ')}: {problem['rows']:,} rows ({problem['share']:.1%})")
    return "\n".join(lines)

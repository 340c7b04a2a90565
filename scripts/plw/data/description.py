"""Table 1: token lengths per field, totals and R_g of one data set.

Conventions that reproduce the printed numbers to the digit: each field is tokenised alone, without template
and special tokens; an empty field has 0 tokens; standard deviations are of the population (divided by n).
"""

from collections.abc import Iterable, Sequence
from math import sqrt

from plw.data.instances import Instance
from plw.data.ratios import (
    GrowingLengths,
    Measure,
    count_characters,
    field_lengths,
    instances_without_prompt,
    parts_of,
    ratios_by_definition,
)

FIELDS = ("instruction", "input", "output")


def describe_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Mean, population standard deviation and total of integer lengths; zeros when there are none."""
    count, total = len(lengths), sum(lengths)
    if count == 0:
        return {"mean": 0.0, "sd": 0.0, "total": 0}
    # Integers until the last step: the difference of two large sums loses no digits.
    variance = (count * sum(length * length for length in lengths) - total * total) / count**2
    return {"mean": total / count, "sd": sqrt(variance), "total": total}


def describe_instances(instances: Iterable[Instance], count_tokens: Measure) -> dict:
    """One row of Table 1 with R_g by all three definitions; the instances are gone through once, in parts.

    Returns rows, rows_inverted, `tokens` (mean, sd, total of instruction, input, output and prompt),
    total_tokens, `r_g` (ratio_of_mean_tokens, mean_of_token_ratios, ratio_of_mean_characters; None where
    undefined) and rows_without_prompt, which mean_of_token_ratios leaves out.
    """
    rows = inverted = 0
    counted, letters = GrowingLengths(), GrowingLengths()
    for part in parts_of(instances):
        counted.extend(field_lengths(part, count_tokens))
        letters.extend(field_lengths(part, count_characters))
        rows, inverted = rows + len(part), inverted + sum(instance.inverted for instance in part)
    tokens = counted.whole()
    described = {name: describe_lengths(getattr(tokens, name)) for name in (*FIELDS, "prompt")}
    return {
        "rows": rows,
        "rows_inverted": inverted,
        "tokens": described,
        "total_tokens": sum(described[name]["total"] for name in FIELDS),
        "r_g": ratios_by_definition(tokens, letters.whole()),
        "rows_without_prompt": instances_without_prompt(tokens),
    }

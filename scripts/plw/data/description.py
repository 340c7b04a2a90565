"""Table 1: token lengths per field, totals and R_g of one data set.

Conventions that reproduce the printed numbers to the digit: each field is tokenised alone, without template
and special tokens; an empty field has 0 tokens; standard deviations are of the population (divided by n).
"""

from collections.abc import Sequence
from math import sqrt

from plw.data.instances import Instance
from plw.data.ratios import Measure, count_characters, field_lengths, instances_without_prompt, ratios_by_definition

FIELDS = ("instruction", "input", "output")


def describe_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Mean, population standard deviation and total of integer lengths; zeros when there are none."""
    count, total = len(lengths), sum(lengths)
    if count == 0:
        return {"mean": 0.0, "sd": 0.0, "total": 0}
    # Integers until the last step: the difference of two large sums loses no digits.
    variance = (count * sum(length * length for length in lengths) - total * total) / count**2
    return {"mean": total / count, "sd": sqrt(variance), "total": total}


def describe_instances(instances: Sequence[Instance], count_tokens: Measure) -> dict:
    """One row of Table 1 with R_g by all three definitions.

    Returns rows, rows_inverted, `tokens` (mean, sd, total of instruction, input, output and prompt),
    total_tokens, `r_g` (ratio_of_mean_tokens, mean_of_token_ratios, ratio_of_mean_characters; None where
    undefined) and rows_without_prompt, which mean_of_token_ratios leaves out.
    """
    tokens = field_lengths(instances, count_tokens)
    described = {name: describe_lengths(getattr(tokens, name)) for name in (*FIELDS, "prompt")}
    return {
        "rows": len(instances),
        "rows_inverted": sum(instance.inverted for instance in instances),
        "tokens": described,
        "total_tokens": sum(described[name]["total"] for name in FIELDS),
        "r_g": ratios_by_definition(tokens, field_lengths(instances, count_characters)),
        "rows_without_prompt": instances_without_prompt(tokens),
    }

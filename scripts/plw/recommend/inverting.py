"""`plw invert`: a file of instruction data with its prompts inverted (App. A)."""

from plw.data.instances import instance_rows
from plw.data.inversion import apply_rule
from plw.data.ratios import count_characters, generation_ratios
from plw.errors import InputError
from plw.recommend.lengths import read_file
from plw.recommend.tokenizers import token_counter_of


def invert_file(
    file: str,
    *,
    format: str | None = None,
    tokenizer: str | None = None,
    r_g: float | None = None,
    seed: int = 42,
    most_left_out: float = 0.1,
) -> tuple[list[dict], str]:
    """The inverted rows (instruction, input, output, source_row, inverted), and what became of the ratio in words.

    r_g   invert rows in a seeded random order until the ratio of mean tokens reaches this; None: every row whose
          completion has more characters than its prompt, the paper's rule for its Short sets
    Other arguments as `plw.recommend.decision.recommend`.
    Raises InputError for a target that is not positive, without a tokenizer, or that cannot be reached.
    """
    counter = token_counter_of(tokenizer)
    if r_g is not None and not r_g > 0:
        raise InputError("R_g must be a positive number.", value=r_g, where="--r-g")
    if r_g is not None and counter is None:
        raise InputError("A target R_g is one of tokens.", value=r_g, where="--r-g", hint="Give --tokenizer.")
    instances, _ = read_file(file, format=format, most_left_out=most_left_out)
    rule = "all" if r_g is None else "target"
    result = apply_rule(instances, count_characters, counter, rule=rule, r_g=r_g, seed=seed)
    name = "ratio_of_mean_characters" if counter is None else "ratio_of_mean_tokens"
    before, after = (generation_ratios(rows, counter)[name] for rows in (instances, result.instances))
    inverted = sum(instance.inverted for instance in result.instances)
    unit = name.rsplit("_", 1)[1]
    shown = " to ".join("none" if ratio is None else f"{ratio:.3g}" for ratio in (before, after))
    said = f"{inverted:,} of {len(result.instances):,} rows inverted; R_g from {shown} ({unit})"
    return list(instance_rows(result.instances)), said

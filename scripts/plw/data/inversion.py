"""Prompt inversion: teach the model to predict the instruction that led to an output (§4.3, App. A).

It turns long-completion data into short-completion data with the same texts. Nothing is ever inverted twice.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from plw.data.instances import Instance, as_instances, instance_rows
from plw.data.ratios import FieldLengths, Measure, field_lengths, measure_of, ratio_of_means
from plw.errors import InputError

INSTRUCTION_WITHOUT_INPUT = "Predict the prompt that generated the following AI output."  # App. A, verbatim
INSTRUCTION_WITH_INPUT = (  # App. A, verbatim
    "Predict the prompt that generated the below AI output given the following context. Context: {input}"
)
RULES = ("all", "target", "tiny")


@dataclass(frozen=True)
class Inverted:
    """Result of a rule: the instances, and for the rules with a target what was reached (else None).

    r_g, achieved  target and reached ratio of mean tokens
    rows_left_out  instances of the parent that are not in the result (rule tiny)
    """

    instances: list[Instance]
    r_g: float | None = None
    achieved: float | None = None
    rows_left_out: int = 0


def invert_instance(instance: Instance) -> Instance:
    """Rotate the fields: the output becomes the input, the instruction becomes the output (App. A)."""
    if instance.inverted:
        raise ValueError("an inverted instance is never inverted again")
    if instance.input == "":
        instruction = INSTRUCTION_WITHOUT_INPUT
    else:
        instruction = INSTRUCTION_WITH_INPUT.replace("{input}", instance.input)
    return replace(instance, instruction=instruction, input=instance.output, output=instance.instruction, inverted=True)


def long_rows(instances: Sequence[Instance], measure: Measure) -> list[int]:
    """Indices of the instances that the rule inverts: R_g > 1, strictly, and not inverted yet."""
    # Strictly: with >= Table 1's DatabricksDollyShort has 378 tokens too many.
    lengths = field_lengths(instances, measure)
    return [
        index
        for index, (completion, prompt) in enumerate(zip(lengths.output, lengths.prompt, strict=True))
        if completion > prompt and not instances[index].inverted
    ]


def invert_all(instances: Sequence[Instance], measure: Measure) -> Inverted:
    """Rule `all`: invert every long-completion instance, as in the paper's three *Short data sets."""
    long = set(long_rows(instances, measure))
    return Inverted([invert_instance(item) if index in long else item for index, item in enumerate(instances)])


def invert_to_target(
    instances: Sequence[Instance], measure: Measure, count_tokens: Measure, *, r_g: float, seed: int
) -> Inverted:
    """Rule `target`: invert long-completion instances in a seeded random order until R_g crosses `r_g`.

    R_g is the ratio of mean tokens. Of the two states around the crossing the nearer one is kept.
    AlpacaDataMedium. Raises InputError when the data start at or below the target, or end above it with all
    candidates inverted.
    """
    before = field_lengths(instances, count_tokens)
    candidates = long_rows(instances, measure)
    random.Random(seed).shuffle(candidates)
    after = field_lengths([invert_instance(instances[index]) for index in candidates], count_tokens)
    steps = [
        (new_completion - before.output[index], new_prompt - before.instruction[index] - before.input[index])
        for index, new_completion, new_prompt in zip(candidates, after.output, after.prompt, strict=True)
    ]
    number, achieved = _steps_to_target(before, steps, r_g)
    chosen = set(candidates[:number])
    result = [invert_instance(item) if index in chosen else item for index, item in enumerate(instances)]
    return Inverted(result, r_g, achieved)


def thin_to_target(
    instances: Sequence[Instance], measure: Measure, count_tokens: Measure, *, r_g: float, seed: int
) -> Inverted:
    """Rule `tiny`: invert every long instance, then leave out high-ratio rows at random down to `r_g`.

    High-ratio rows are those above the data set's R_g, because leaving out any of them lowers it; once all of
    them are gone, those above the R_g that is left. The result has fewer rows than its parent, so its ratio
    and its size are confounded. AlpacaDataTiny.
    """
    # DEVIATION: rows are left out because, by Table 1's means, inverting every row of AlpacaDataCleaned ends
    # at R_g 0.078: the 0.042 of App. D cannot be reached by choosing which instances to invert.
    short = invert_all(instances, measure).instances
    lengths = field_lengths(short, count_tokens)
    order = _high_ratio_order(lengths.output, lengths.prompt, r_g, random.Random(seed))
    steps = [(-lengths.output[index], -lengths.prompt[index]) for index in order]
    number, achieved = _steps_to_target(lengths, steps, r_g)
    left_out = set(order[:number])
    result = [item for index, item in enumerate(short) if index not in left_out]
    return Inverted(result, r_g, achieved, rows_left_out=number)


def _high_ratio_order(completions: Sequence[int], prompts: Sequence[int], r_g: float, draw: random.Random) -> list[int]:
    """Rows in the order in which they are left out: pass by pass, the high-ratio rows of a pass shuffled."""
    order: list[int] = []
    rows = list(range(len(prompts)))
    while rows:
        completion, prompt = sum(completions[row] for row in rows), sum(prompts[row] for row in rows)
        high = [row for row in rows if completions[row] * prompt > completion * prompts[row]]
        if completion <= r_g * prompt or not high:
            break
        draw.shuffle(high)
        order += high
        gone = set(high)
        rows = [row for row in rows if row not in gone]
    return order


def _steps_to_target(lengths: FieldLengths, steps: list[tuple[int, int]], r_g: float) -> tuple[int, float]:
    """How many of `steps` (changes of completion and prompt tokens) bring the ratio to `r_g`, and that ratio.

    Of the two states around the crossing the nearer one counts. Sums are kept up to date: the cost is linear.
    """
    completion, prompt = sum(lengths.output), sum(lengths.prompt)
    ratio = ratio_of_means(lengths)
    if ratio is None or ratio <= r_g:
        hint = "Take a larger target, or leave the data set as it is."
        raise InputError(f"The data already have R_g = {_shown(ratio)}.", value=r_g, where="inversion.r_g", hint=hint)
    for number, (completion_change, prompt_change) in enumerate(steps, start=1):
        previous, completion, prompt = ratio, completion + completion_change, prompt + prompt_change
        if prompt == 0:
            break
        ratio = completion / prompt
        if ratio <= r_g:
            return (number, ratio) if r_g - ratio <= previous - r_g else (number - 1, previous)
    hint = f"After the last possible row R_g is {_shown(ratio)}: take a target above it, or the rule `tiny`."
    raise InputError("R_g cannot be brought this low.", value=r_g, where="inversion.r_g", hint=hint)


def _shown(ratio: float | None) -> str:
    return "undefined" if ratio is None else f"{ratio:.4g}"


def apply_rule(
    instances: Sequence[Instance],
    measure: Measure,
    count_tokens: Measure | None,
    *,
    rule: str,
    r_g: float | None,
    seed: int,
) -> Inverted:
    """Apply the rule of that name (all, target or tiny); the last two need a target and a token counter."""
    if rule not in RULES:
        raise InputError("Unknown rule of inversion.", value=rule, hint=f"Use one of: {', '.join(RULES)}.")
    if rule == "all":
        return invert_all(instances, measure)
    if r_g is None or r_g <= 0:
        raise InputError(f"The rule {rule!r} needs a target above 0.", value=r_g, where="inversion.r_g")
    if count_tokens is None:
        hint = "R_g is the ratio of mean tokens: give --tokenizer."
        raise InputError(f"The rule {rule!r} needs a tokenizer.", where="inversion", hint=hint)
    reach = invert_to_target if rule == "target" else thin_to_target
    return reach(instances, measure, count_tokens, r_g=r_g, seed=seed)


def invert(
    rows: Iterable[Instance | Mapping],
    *,
    rule: str = "all",
    r_g: float | None = None,
    unit: str = "characters",
    count_tokens: Measure | None = None,
    seed: int = 42,
) -> list[dict]:
    """Prompt inversion of instruction data: rows of `instruction`, `input`, `output`, `source_row` and `inverted`.

    rows          mappings with `instruction`, `output` and perhaps `input`
    rule          all: every row whose completion is longer than its prompt, as the paper's *Short sets; target: such
                  rows at random until R_g reaches `r_g`; tiny: all, then rows of high ratio are left out down to `r_g`
    unit          of the lengths that say which completion is longer: characters, tokens or words
    count_tokens  texts -> their numbers of tokens; needed for the unit tokens and by target and tiny
    """
    measure = measure_of(unit, count_tokens)
    result = apply_rule(as_instances(rows), measure, count_tokens, rule=rule, r_g=r_g, seed=seed)
    return list(instance_rows(result.instances))

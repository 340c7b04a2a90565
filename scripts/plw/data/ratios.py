"""The generation ratio R_g, completion length over prompt length (§2.1), by each definition in use.

The text defines the ratio of a data set as the mean of its instances' ratios, Table 1 prints the ratio of
mean lengths; the two differ by up to a factor of seven, so reports carry both. Lengths are of the fields
alone: no template, no special tokens; the prompt's length is that of the instruction plus that of the input.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import add

from plw.data.conversations import ASSISTANT, SYSTEM, USER
from plw.data.instances import Instance, as_instances
from plw.errors import InputError

Measure = Callable[[Sequence[str]], list[int]]  # texts -> their lengths
UNITS = ("characters", "tokens", "words")
PART = 1000  # instances that are held as texts where a data set is read as it comes


@dataclass(frozen=True)
class FieldLengths:
    """Lengths of each field, all in one unit; index i of each is the same instance."""

    instruction: Sequence[int]
    input: Sequence[int]
    output: Sequence[int]

    @cached_property
    def prompt(self) -> list[int]:
        """Instruction plus input."""
        return list(map(add, self.instruction, self.input))


class GrowingLengths:
    """Lengths of instances that come in parts; four bytes each."""

    def __init__(self) -> None:
        self._fields = {name: array("I") for name in ("instruction", "input", "output")}

    def extend(self, lengths: FieldLengths) -> None:
        """Add those of more instances."""
        for name, kept in self._fields.items():
            kept.extend(getattr(lengths, name))

    def whole(self) -> FieldLengths:
        """All of them."""
        return FieldLengths(**self._fields)


def parts_of(instances: Iterable[Instance]) -> Iterator[list[Instance]]:
    """The instances, PART at a time."""
    rows = iter(instances)
    while part := list(islice(rows, PART)):
        yield part


def count_characters(texts: Sequence[str]) -> list[int]:
    """Unicode code points."""
    return [len(text) for text in texts]


def count_words(texts: Sequence[str]) -> list[int]:
    """Pieces between white space, the unit of Figure 4."""
    return [len(text.split()) for text in texts]


def measure_of(unit: str, count_tokens: Measure | None = None) -> Measure:
    """The measure for `unit`; InputError for an unknown unit, or for tokens without a token counter."""
    measures = {"characters": count_characters, "words": count_words, "tokens": count_tokens}
    if unit not in measures:
        raise InputError("Unknown unit of length.", value=unit, hint=f"Use one of: {', '.join(UNITS)}.")
    measure = measures[unit]
    if measure is None:
        raise InputError("Lengths in tokens need a tokenizer.", value=unit, hint="Give --tokenizer, or another unit.")
    return measure


def field_lengths(instances: Sequence[Instance], measure: Measure) -> FieldLengths:
    """Lengths of every field of every instance; each field is measured by itself.

    Of a whole conversation the user's turns are the instruction, the system's turn is the input and the answers are the
    output, each turn measured by itself: R_g is then the length of all answers over that of all other turns.
    """
    lengths = FieldLengths(
        measure([instance.instruction for instance in instances]),
        measure([instance.input for instance in instances]),
        measure([instance.output for instance in instances]),
    )
    return _with_turns(lengths, instances, measure) if any(instance.turns for instance in instances) else lengths


def _with_turns(lengths: FieldLengths, instances: Sequence[Instance], measure: Measure) -> FieldLengths:
    by_role = {USER: list(lengths.instruction), SYSTEM: list(lengths.input), ASSISTANT: list(lengths.output)}
    turns = [(index, role, text) for index, instance in enumerate(instances) for role, text in instance.turns]
    for index, _, _ in turns:
        for found in by_role.values():
            found[index] = 0
    for (index, role, _), length in zip(turns, measure([text for _, _, text in turns]), strict=True):
        by_role[role][index] += length
    return FieldLengths(by_role[USER], by_role[SYSTEM], by_role[ASSISTANT])


def ratio_of_means(lengths: FieldLengths) -> float | None:
    """Mean completion length over mean prompt length, as in Table 1; None when all prompts are empty."""
    prompt = sum(lengths.prompt)
    return sum(lengths.output) / prompt if prompt else None


def mean_of_ratios(lengths: FieldLengths) -> float | None:
    """Mean of the instances' own ratios, without instances whose prompt has length 0 (§2.1's wording)."""
    ratios = [completion / prompt for completion, prompt in zip(lengths.output, lengths.prompt, strict=True) if prompt]
    return sum(ratios) / len(ratios) if ratios else None


def instances_without_prompt(lengths: FieldLengths) -> int:
    """Number of instances whose prompt has length 0, so that their own ratio is undefined."""
    return sum(prompt == 0 for prompt in lengths.prompt)


def generation_ratios(
    instances: Sequence[Instance | Mapping], count_tokens: Measure | None = None
) -> dict[str, float | None]:
    """R_g of a data set by each definition; None where it is undefined.

    instances     Instances, or mappings with `instruction`, `output` and perhaps `input`
    count_tokens  texts -> their numbers of tokens, without special tokens; None: no ratios of tokens
    Returns ratio_of_mean_tokens (Table 1), mean_of_token_ratios (§2.1's wording) and ratio_of_mean_characters (the rule
    that Table 1's inverted sets were made by).
    """
    instances = as_instances(instances)
    tokens = None if count_tokens is None else field_lengths(instances, count_tokens)
    return ratios_by_definition(tokens, field_lengths(instances, count_characters))


def ratios_by_definition(tokens: FieldLengths | None, characters: FieldLengths) -> dict[str, float | None]:
    """`generation_ratios` of fields that are measured already."""
    return {
        "ratio_of_mean_tokens": None if tokens is None else ratio_of_means(tokens),
        "mean_of_token_ratios": None if tokens is None else mean_of_ratios(tokens),
        "ratio_of_mean_characters": ratio_of_means(characters),
    }

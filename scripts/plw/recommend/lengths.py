"""Lengths of a file of instruction data: R_g by three definitions, and the ratio that the loss sees."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from plw.data.formats import detect_format
from plw.data.instances import DROPPED, KEPT, NOTES, Instance, Reading, RowReport
from plw.data.ratios import (
    FieldLengths,
    GrowingLengths,
    Measure,
    count_characters,
    field_lengths,
    parts_of,
    ratios_by_definition,
)
from plw.data.template import exchange_texts, format_prompt
from plw.study.sources import read_rows

# Edges of the histogram of the rows' own ratios: the paper's border between short and long (§2.1) is one of them.
EDGES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# R_g in characters over R_g in tokens of LLaMA's tokenizer, on rows of the seven data sets of Table 1: 0.93 (inverted
# UltraFeedback) to 1.10 (UltraFeedback). English text; other languages and code may lie outside.
CHARACTER_BIAS = (0.93, 1.10)
MAX_LENGTH = 512  # tokens: Alpaca's, as in the paper (App. E.1)


class Exchanges:
    """What training reads of rows, as lengths: of each exchange the text before its answer, in Alpaca's template, and
    the answer. A row has one, a whole conversation as many as it has answers.
    """

    def __init__(self) -> None:
        self._before, self._answers = array("I"), array("I")  # of rows; of a conversation the first exchange's
        self._conversations: dict[int, array] = {}  # row -> lengths before and of its answers, by turns

    def extend(self, instances: Sequence[Instance], outputs: Sequence[int], count: Measure) -> None:
        """Add rows; `outputs` are the lengths of their outputs."""
        first = len(self)
        self._before.extend(count([format_prompt(instance.instruction, instance.input) for instance in instances]))
        self._answers.extend(outputs)
        whole = {first + number: _texts(instance) for number, instance in enumerate(instances) if instance.turns}
        lengths = iter(count([text for texts in whole.values() for text in texts]))
        for row, texts in whole.items():
            self._conversations[row] = array("I", [next(lengths) for _ in texts])

    def __len__(self) -> int:
        return len(self._before)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for row, one in enumerate(zip(self._before, self._answers, strict=True)):
            lengths = self._conversations.get(row)
            yield [one] if lengths is None else list(zip(lengths[::2], lengths[1::2], strict=True))


def _texts(conversation: Instance) -> list[str]:
    """By turns the text before an answer, in the template, and the answer."""
    exchanges = exchange_texts(conversation.turns)
    starts = [spans[-1][0] for _, spans in exchanges]  # the answer's span is the last
    return [part for (text, _), start in zip(exchanges, starts, strict=True) for part in (text[:start], text[start:])]


def open_file(file: str, *, format: str | None = None, turns: str = "first", most_left_out: float = 0.1) -> Reading:
    """The instances of a file one after the other, so that one of any length takes little memory.

    format         told by the fields unless given
    turns          of conversations: the first exchange, or all (`plw.data.instances.TURNS`)
    most_left_out  share of rows, 0 to 1, that may be left out
    What was wrong with the rows is in `report` at the end. Raises InputError as `plw.data.instances.Reading`, with the
    file named.
    """
    source = {"path": str(Path(file).expanduser())}
    format = format or detect_format(read_rows(source, where=file), where=file)
    return Reading(read_rows(source, where=file), format, turns=turns, most_left_out=most_left_out, where=file)


def measure(
    instances: Iterable[Instance],
    report: RowReport,
    *,
    count_tokens: Measure | None = None,
    max_length: int = MAX_LENGTH,
) -> dict[str, Any]:
    """All that is known of the lengths.

    instances     gone through once, in parts; only their lengths are kept
    report        of their rows; it may be filled while they are read
    count_tokens  texts -> numbers of tokens without special ones; None: characters stand in, with CHARACTER_BIAS
    max_length    tokens of an example in training, template and special tokens included
    Returns rows (`_rows`), unit, r_g (`ratios_by_definition`), ratio (the one that the paper's Table 1 prints; in
    characters where no tokenizer is given), ratio_low and ratio_high (the same but for the bias), mean_lengths,
    histogram (`ratio_histogram`), short_share (rows below R_g 1), loss (`_loss_ratio`).
    """
    characters, tokens, exchanges = _lengths(instances, count_tokens)
    r_g = ratios_by_definition(tokens, characters)
    lengths = tokens or characters
    ratio = r_g["ratio_of_mean_tokens" if tokens else "ratio_of_mean_characters"]
    bias = (1.0, 1.0) if tokens else CHARACTER_BIAS
    return {
        "rows": _rows(report),
        "unit": "tokens" if tokens else "characters",
        "r_g": r_g,
        "ratio": ratio,
        "ratio_low": ratio and ratio / bias[1],
        "ratio_high": ratio and ratio / bias[0],
        "mean_lengths": {"prompt": _mean(lengths.prompt), "completion": _mean(lengths.output)},
        "histogram": ratio_histogram(lengths),
        "short_share": _short_share(lengths),
        "loss": _loss_ratio(exchanges, count_tokens is not None, max_length),
    }


def _lengths(
    instances: Iterable[Instance], count_tokens: Measure | None
) -> tuple[FieldLengths, FieldLengths | None, Exchanges]:
    """Characters and tokens (None without a counter) of each field, and what training reads, in tokens if there are."""
    characters, tokens, exchanges = GrowingLengths(), GrowingLengths(), Exchanges()
    for part in parts_of(instances):
        lengths = field_lengths(part, count_characters)
        characters.extend(lengths)
        if count_tokens:
            lengths = field_lengths(part, count_tokens)
            tokens.extend(lengths)
        exchanges.extend(part, lengths.output, count_tokens or count_characters)
    return characters.whole(), tokens.whole() if count_tokens else None, exchanges


def ratio_histogram(lengths: FieldLengths) -> list[dict]:
    """Rows by their own ratio: [{low, high, rows}] over EDGES; high is None in the last; without a prompt: in none."""
    ratios = _row_ratios(lengths)
    ends = [*EDGES[1:], float("inf")]
    return [
        {"low": low, "high": None if high == float("inf") else high, "rows": sum(low <= r < high for r in ratios)}
        for low, high in zip(EDGES, ends, strict=True)
    ]


def _row_ratios(lengths: FieldLengths) -> list[float]:
    return [output / prompt for output, prompt in zip(lengths.output, lengths.prompt, strict=True) if prompt]


def _short_share(lengths: FieldLengths) -> float | None:
    ratios = _row_ratios(lengths)
    return sum(ratio < 1 for ratio in ratios) / len(ratios) if ratios else None


def _mean(lengths: Sequence[int]) -> float:
    return sum(lengths) / len(lengths) if lengths else 0.0


def _rows(report: RowReport) -> dict:
    """Rows read and kept, and each reason that was met: {count, kept, said}."""
    met = [reason for reason in (*DROPPED, *KEPT, *NOTES) if report.counts[reason]]
    return {
        "format": report.format,
        "read": report.rows_read,
        "kept": report.rows_kept,
        "met": {
            reason: {"count": report.counts[reason], "kept": reason not in DROPPED, "said": report.describe(reason)}
            for reason in met
        },
    }


def _loss_ratio(exchanges: Exchanges, in_tokens: bool, max_length: int) -> dict[str, Any]:
    """Completion over prompt as training sees them: Alpaca's template counts as prompt, the end of sequence as
    completion, and what reaches beyond `max_length` is cut (which only a tokenizer can tell).

    Returns prompt, completion (means), sd (of whole rows), ratio, max_length, truncated and completion_lost (numbers of
    rows; None without a tokenizer). Training may merge the last token of the prompt with the first of the completion,
    which `plw.data.preflight` counts.
    """
    prompt = completion = squares = truncated = lost = 0
    for row in exchanges:
        if in_tokens:
            row, whole = _as_trained(row, max_length)
            truncated += whole > max_length
        first, second = (sum(lengths) for lengths in zip(*row, strict=True))
        lost += second == 0
        prompt, completion, squares = prompt + first, completion + second, squares + (first + second) ** 2
    rows = max(1, len(exchanges))
    variance = squares / rows - ((prompt + completion) / rows) ** 2
    return {
        "prompt": prompt / rows,
        "completion": completion / rows,
        "sd": sqrt(max(0.0, variance)),
        "ratio": completion / prompt if prompt else None,
        "max_length": max_length,
        "truncated": truncated if in_tokens else None,
        "completion_lost": lost if in_tokens else None,
    }


def _as_trained(row: list[tuple[int, int]], max_length: int) -> tuple[list[tuple[int, int]], int]:
    """The exchanges of a row with <s> before it and </s> behind each answer, cut; and the tokens before it was cut."""
    cut, whole = [], 0
    for before, answer in row:
        lengths = []
        for length in (before + (not whole), answer + 1):
            lengths.append(max(0, min(length, max_length - whole)))
            whole += length
        cut.append((lengths[0], lengths[1]))
    return cut, whole

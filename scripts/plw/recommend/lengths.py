"""Lengths of a file of instruction data: R_g by three definitions, and the ratio that the loss sees."""

from collections.abc import Sequence
from pathlib import Path
from statistics import pstdev
from typing import Any

from plw.data.formats import detect_format
from plw.data.instances import DROPPED, KEPT, NOTES, Instance, RowReport, read_instances
from plw.data.ratios import FieldLengths, Measure, count_characters, field_lengths, ratios_by_definition
from plw.data.template import format_prompt
from plw.study.sources import read_rows

# Edges of the histogram of the rows' own ratios: the paper's border between short and long (§2.1) is one of them.
EDGES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# R_g in characters over R_g in tokens of LLaMA's tokenizer, on rows of the seven data sets of Table 1: 0.93 (inverted
# UltraFeedback) to 1.10 (UltraFeedback). English text; other languages and code may lie outside.
CHARACTER_BIAS = (0.93, 1.10)
MAX_LENGTH = 512  # tokens: Alpaca's, as in the paper (App. E.1)


def read_file(file: str, *, format: str | None = None, most_left_out: float = 0.1) -> tuple[list[Instance], RowReport]:
    """The instances of a file and what was wrong with its rows; the format is told by the fields unless given.

    most_left_out  share of rows, 0 to 1, that may be left out
    Raises InputError as `plw.data.instances.read_instances`, with the file named.
    """
    source = {"path": str(Path(file).expanduser())}
    format = format or detect_format(read_rows(source, where=file), where=file)
    return read_instances(read_rows(source, where=file), format, most_left_out=most_left_out, where=file)


def measure(
    instances: Sequence[Instance],
    report: RowReport,
    *,
    count_tokens: Measure | None = None,
    max_length: int = MAX_LENGTH,
) -> dict[str, Any]:
    """All that is known of the lengths.

    count_tokens  texts -> numbers of tokens without special ones; None: characters stand in, with CHARACTER_BIAS
    max_length    tokens of an example in training, template and special tokens included
    Returns rows (`_rows`), unit, r_g (`ratios_by_definition`), ratio (the one that the paper's Table 1 prints; in
    characters where no tokenizer is given), ratio_low and ratio_high (the same but for the bias), mean_lengths,
    histogram (`ratio_histogram`), short_share (rows below R_g 1), loss (`_loss_ratio`).
    """
    characters = field_lengths(instances, count_characters)
    tokens = None if count_tokens is None else field_lengths(instances, count_tokens)
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
        "loss": _loss_ratio(instances, lengths, count_tokens, max_length),
    }


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


def _loss_ratio(
    instances: Sequence[Instance], lengths: FieldLengths, count_tokens: Measure | None, max_length: int
) -> dict[str, Any]:
    """Completion over prompt as training sees them: Alpaca's template counts as prompt, the end of sequence as
    completion, and what reaches beyond `max_length` is cut (which only a tokenizer can tell).

    Returns prompt, completion (means), sd (of whole rows), ratio, max_length, truncated and completion_lost (numbers of
    rows; None without a tokenizer). Training may merge the last token of the prompt with the first of the completion,
    which `plw.data.preflight` counts.
    """
    count = count_tokens or count_characters
    prompts = count([format_prompt(instance.instruction, instance.input) for instance in instances])
    if count_tokens is None:
        seen = list(zip(prompts, lengths.output, strict=True))
        cut: dict[str, Any] = {"truncated": None, "completion_lost": None}
    else:
        seen = [
            (min(prompt + 1, max_length), max(0, min(output + 1, max_length - prompt - 1)))  # <s> before, </s> behind
            for prompt, output in zip(prompts, lengths.output, strict=True)
        ]
        whole = [first + second + 2 for first, second in zip(prompts, lengths.output, strict=True)]
        lost = sum(second == 0 for _, second in seen)
        cut = {"truncated": sum(length > max_length for length in whole), "completion_lost": lost}
    rows = max(1, len(instances))
    prompt, completion = sum(first for first, _ in seen), sum(second for _, second in seen)
    ratio, sd = completion / prompt if prompt else None, pstdev(map(sum, seen)) if seen else 0.0
    means = {"prompt": prompt / rows, "completion": completion / rows, "sd": sd}
    return {**means, "ratio": ratio, "max_length": max_length, **cut}

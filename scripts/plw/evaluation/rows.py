"""Rows of the benchmarks: found by the same `source` key everywhere, checked, and brought to one form each.

Published copies of a benchmark differ in form (TruthfulQA's own repository ships other columns than its data
set on the Hub). Each form here keeps exactly the fields that the task's prompt and metrics read, named as on
the Hub.
"""

import string
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from plw.errors import InputError
from plw.study.rows import RowError, SourceRow, text_problem
from plw.study.sources import has_split, read_rows

SHOTS_SPLIT = "train"  # the only split that few-shot examples come from


def scored_rows(source: dict, split: str, *, where: str | None = None) -> Iterator[SourceRow]:
    """Rows to score, in file order; several splits are pooled (WMT: validation, then test).

    source  resolved source. A local `path` by split gives the named splits, or all but `train` if it names
            its splits otherwise; a file, list or pattern is scored whole
    split   names of the benchmark's scored splits, joined by "+"
    """
    names = split.split("+")
    path = source.get("path")
    if isinstance(path, dict):
        if not set(names) <= set(path):
            names = [name for name in path if name != SHOTS_SPLIT]
        for name in names:
            yield from read_rows(source, split=name, where=where)
    elif "hub" in source:
        yield from read_rows(source, split=source.get("split") or names, where=where)
    else:
        yield from read_rows(source, where=where)


def shot_rows(source: dict, *, where: str | None = None) -> Iterator[SourceRow]:
    """Rows of the training split, for few-shot examples; none if the source has no such split."""
    if has_split(source, SHOTS_SPLIT):
        yield from read_rows(source, split=SHOTS_SPLIT, where=where)


def normalize_rows(rows: Iterable[SourceRow], form: str, **options) -> list[dict]:
    """Bring rows to the Hub's fields of `form` (a key of FORMS).

    InputError names file, line and what is wrong.
    """
    normalize = FORMS[form]
    result = []
    for row in rows:
        place = f"{row.file}, row {row.line}"
        if isinstance(row.value, RowError):
            raise InputError(
                f"A benchmark row cannot be read ({row.value.reason}).", where=place, hint=row.value.detail
            )
        try:
            result.append(normalize(row.value, **options))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise InputError(
                f"A benchmark row does not have the form {form!r}.",
                value=_shorten(row.value),
                where=place,
                hint=f"{type(error).__name__}: {error}",
            ) from None
    return result


def read_preamble(path: str | Path) -> str:
    """Question-answer pairs that stand before a TruthfulQA question, without the blank line at their end."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The TruthfulQA preamble cannot be read.", value=str(path), hint=str(error)) from None
    if not text:
        raise InputError("The TruthfulQA preamble is empty.", value=str(path), hint="Write lines 'Q: …' and 'A: …'.")
    return text


def _shorten(value: object) -> str:
    text = ascii(value)  # a message is printed, whatever the row holds
    return text if len(text) <= 200 else text[:200] + "…"


def _arc(row: dict) -> dict:
    choices = {
        "text": [_text(text) for text in row["choices"]["text"]],
        "label": [str(label) for label in row["choices"]["label"]],
    }
    answer = str(row["answerKey"])
    if answer not in choices["label"] or len(choices["label"]) != len(choices["text"]):
        raise ValueError("answerKey is no label of the choices, or texts and labels differ in number")
    return {"question": _question(row["question"]), "choices": choices, "answerKey": answer}


def _piqa(row: dict) -> dict:
    label = _binary(row["label"], "label")
    return {
        "goal": _question(row["goal"]),
        "sol1": _text(row["sol1"]),
        "sol2": _text(row["sol2"]),
        "label": label,
    }


def _winogrande(row: dict) -> dict:
    answer = str(row["answer"])
    if answer not in ("1", "2") or row["sentence"].count("_") != 1:
        raise ValueError("answer is neither 1 nor 2, or the sentence has not exactly one blank (_)")
    fields = {key: _text(row[key]) for key in ("sentence", "option1", "option2")}
    return {**fields, "answer": answer}


def _truthfulqa_mc(row: dict) -> dict:
    """Also the raw form of mc_task.json, where targets are a mapping from the text to 0 or 1."""
    targets = row["mc2_targets"]
    if "choices" in targets and "labels" in targets:
        choices, labels = list(targets["choices"]), list(targets["labels"])
    else:
        choices, labels = list(targets), list(targets.values())
    labels = [_binary(label, "a label of mc2_targets") for label in labels]
    choices = [_text(choice) for choice in choices]
    if set(labels) != {0, 1} or len(labels) != len(choices):
        raise ValueError("mc2_targets needs both true and false choices, each with a label")
    return {"question": _question(row["question"]), "mc2_targets": {"choices": choices, "labels": labels}}


def _truthfulqa_gen(row: dict) -> dict:
    """Also the raw form of TruthfulQA.csv, where a column holds all answers separated by semicolons."""
    if "correct_answers" in row:
        question, right, wrong = row["question"], list(row["correct_answers"]), list(row["incorrect_answers"])
    else:
        question = row["Question"]
        right, wrong = (
            [part.strip() for part in row[f"{kind} Answers"].split(";")] for kind in ("Correct", "Incorrect")
        )
    right, wrong = ([answer for answer in map(_text, answers) if answer.strip()] for answers in (right, wrong))
    if not right or not wrong:
        raise ValueError("there is no correct or no incorrect answer")
    return {"question": _question(question), "correct_answers": right, "incorrect_answers": wrong}


def _translation(row: dict, languages: Iterable[str]) -> dict:
    return {"translation": {language: _text(row["translation"][language]) for language in languages}}


def _choices(row: dict) -> dict:
    """One's own questions with choices; the answer is a choice's text, its letter (A, B, …) or its number from 0."""
    choices, answer = [_text(choice) for choice in row["choices"]], row["answer"]
    if not isinstance(row["choices"], list) or len(choices) < 2 or len(set(choices)) < len(choices):
        raise ValueError("choices is no list of two or more different texts")
    letters = string.ascii_uppercase[: len(choices)]
    if isinstance(answer, str) and answer in choices:
        place = choices.index(answer)
    elif isinstance(answer, str) and len(answer) == 1 and answer in letters:
        place = letters.index(answer)
    elif isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        place = answer
    else:
        raise ValueError("answer is neither one of the choices nor its letter nor its number from 0")
    return {"question": _question(row["question"]), "choices": choices, "answer": place}


def _answers(row: dict) -> dict:
    """One's own questions with a short answer, or a list of good ones."""
    answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    if not answers:
        raise ValueError("answer is an empty list")
    return {"question": _question(row["question"]), "answers": [_question(answer) for answer in answers]}


def _own(row: dict) -> dict:
    """Rows of a task of the harness that is one's own: its prompts read whatever fields they name."""
    return dict(row)


def _alpaca_eval(row: dict) -> dict:
    """Instruction and, where the file has it, the reference output that the judge compares with."""
    return {"instruction": _question(row["instruction"])} | {
        key: _text(row[key]) for key in ("dataset", "output", "generator") if key in row
    }


def _pandalm(row: dict) -> dict:
    return {"instruction": _question(row["instruction"]), "input": _text(row.get("input") or "")}


def _question(value: object) -> str:
    """A text that a model is asked; as with an instruction of the training data, an empty one asks nothing."""
    if _text(value) == "":
        raise ValueError("there is nothing to answer: the text is empty")
    return _text(value)


def _binary(value: object, name: str) -> int:
    """0 or 1, as a number or as text (CSV); 0.7 or true is neither."""
    if isinstance(value, bool) or str(value) not in ("0", "1", "0.0", "1.0"):
        raise ValueError(f"{name} is neither 0 nor 1: {value!r}")
    return int(float(str(value)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {_shorten(value)}")
    if problem := text_problem(value):
        raise ValueError(problem)
    return value


FORMS: dict[str, Callable[..., dict]] = {
    "arc": _arc,
    "piqa": _piqa,
    "winogrande": _winogrande,
    "truthfulqa_mc": _truthfulqa_mc,
    "truthfulqa_gen": _truthfulqa_gen,
    "translation": _translation,
    "choices": _choices,
    "answers": _answers,
    "own": _own,
    "alpaca_eval": _alpaca_eval,
    "pandalm": _pandalm,
}

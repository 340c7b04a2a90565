"""Hostile benchmark rows: a message with file and row, or all rows in the form that scoring reads."""

import json

import pytest
from fuzzing import changed, corpus, fuzz, tried
from hypothesis import strategies as st
from plw.errors import InputError
from plw.evaluation.rows import FORMS, normalize_rows
from plw.study.rows import SourceRow, parse_rows

ROWS = [
    {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
    {"goal": "g", "sol1": "a", "sol2": "b", "label": 1},
    {"sentence": "x _ y", "option1": "a", "option2": "b", "answer": "1"},
    {"question": "q", "mc2_targets": {"choices": ["a", "b"], "labels": [1, 0]}},
    {"question": "q", "correct_answers": ["a"], "incorrect_answers": ["b"]},
    {"translation": {"en": "a", "fr": "b"}},
    {"instruction": "i", "output": "o", "generator": "g"},
    {"instruction": "i", "input": "x"},
]
SEEDS = [json.dumps(row).encode() + b"\n" for row in ROWS]


@tried(60, 4_000)
def test_benchmark_rows_are_whole_or_refused_by_their_place(examples):
    def check(content, form):
        try:
            rows = list(parse_rows(content, "bench.jsonl"))
        except InputError:
            return
        try:
            found = normalize_rows(rows, form, **({"languages": ["en", "fr"]} if form == "translation" else {}))
        except InputError as error:
            assert "bench.jsonl, row " in str(error) and len(str(error)) < 5_000
            return
        assert len(found) == len(rows)
        json.dumps(found, ensure_ascii=False).encode("utf-8")

    fuzz(check, examples, changed([*SEEDS, *corpus("benchmarks/*")]), st.sampled_from(list(FORMS)))


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("piqa", ROWS[1] | {"label": 0.7}),
        ("piqa", ROWS[1] | {"label": True}),
        ("piqa", ROWS[1] | {"label": float("inf")}),
        ("piqa", ROWS[1] | {"goal": ""}),
        ("truthfulqa_mc", ROWS[3] | {"mc2_targets": {"choices": ["a", "b"], "labels": [1.2, 0]}}),
        ("alpaca_eval", ROWS[6] | {"instruction": ""}),
        ("pandalm", ROWS[7] | {"input": ["x"]}),
    ],
)
def test_nothing_is_taken_for_a_label_or_a_question_that_is_none(form, row):
    with pytest.raises(InputError, match=r"bench\.jsonl, row 7"):
        normalize_rows([SourceRow(7, "bench.jsonl", row)], form)


def test_labels_may_be_text_as_in_a_table():
    found = normalize_rows([SourceRow(1, "x.csv", ROWS[1] | {"label": "1"})], "piqa")
    assert found[0]["label"] == 1

"""Benchmark rows: sources and splits, the forms in which copies are published, errors with their place."""

import json

import pytest
from plw.errors import InputError
from plw.evaluation.rows import normalize_rows, read_preamble, scored_rows, shot_rows
from plw.study.rows import RowError, SourceRow


def write(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def values(rows) -> list:
    return [row.value for row in rows]


def normalize(form: str, *rows, **options) -> list[dict]:
    return normalize_rows([SourceRow(i + 1, "made.jsonl", row) for i, row in enumerate(rows)], form, **options)


def test_named_splits_are_pooled_in_the_order_of_the_registry(tmp_path):
    files = {name: write(tmp_path / f"{name}.jsonl", [name]) for name in ("train", "test", "validation")}
    source = {"path": files}
    assert values(scored_rows(source, "validation+test")) == ["validation", "test"]
    assert values(scored_rows(source, "test")) == ["test"]
    assert values(shot_rows(source)) == ["train"]


def test_other_names_a_list_or_one_file_are_scored_whole(tmp_path):
    one, two = write(tmp_path / "a.jsonl", [1]), write(tmp_path / "b.jsonl", [2, 3])
    assert values(scored_rows({"path": {"train": one, "dev": two}}, "validation")) == [2, 3]
    assert values(scored_rows({"path": [one, two]}, "validation+test")) == [1, 2, 3]
    assert values(scored_rows({"path": str(tmp_path / "*.jsonl")}, "test")) == [1, 2, 3]
    assert values(shot_rows({"path": one})) == []


def test_truthfulqa_choices_have_one_form_from_the_hub_and_from_its_own_repository():
    hub = {"question": "q", "mc2_targets": {"choices": ["yes", "no"], "labels": [1, 0]}}
    raw = {"question": "q", "mc2_targets": {"yes": 1, "no": 0}}
    assert normalize("truthfulqa_mc", hub) == normalize("truthfulqa_mc", raw) == [hub]


def test_truthfulqa_answers_have_one_form_from_the_hub_and_from_the_csv_file():
    hub = {"question": "q", "best_answer": "a", "correct_answers": ["a", "b"], "incorrect_answers": ["c"]}
    raw = {"Question": "q", "Best Answer": "a", "Correct Answers": "a; b;", "Incorrect Answers": "c"}
    expected = [{"question": "q", "correct_answers": ["a", "b"], "incorrect_answers": ["c"]}]
    assert normalize("truthfulqa_gen", hub) == normalize("truthfulqa_gen", raw) == expected


def test_numbers_and_texts_stand_for_the_same_label():
    piqa = {"goal": "g", "sol1": "a", "sol2": "b"}
    assert normalize("piqa", {**piqa, "label": "1"}) == normalize("piqa", {**piqa, "label": 1})
    cloze = {"sentence": "x _ y", "option1": "a", "option2": "b"}
    assert normalize("winogrande", {**cloze, "answer": 2}) == normalize("winogrande", {**cloze, "answer": "2"})
    arc = {"question": "q", "choices": {"text": ["a", "b"], "label": [1, 2]}, "answerKey": "2"}
    assert normalize("arc", arc)[0]["choices"]["label"] == ["1", "2"]


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("arc", {"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"}),
        ("piqa", {"goal": "g", "sol1": "a", "sol2": "b", "label": 2}),
        ("piqa", {"goal": None, "sol1": "a", "sol2": "b", "label": 1}),
        ("winogrande", {"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"}),
        ("truthfulqa_mc", {"question": "q", "mc2_targets": {"choices": ["a"], "labels": [1]}}),
        ("truthfulqa_gen", {"question": "q", "correct_answers": ["a"], "incorrect_answers": [" "]}),
        ("translation", {"translation": {"en": "a"}}),
        ("alpaca_eval", {"output": "a"}),
        ("pandalm", {"input": "a"}),
        ("pandalm", ["not a mapping"]),
    ],
)
def test_a_row_of_another_form_is_an_error_with_its_place(form, row):
    options = {"languages": ["en", "fr"]} if form == "translation" else {}
    with pytest.raises(InputError, match=f"does not have the form '{form}'") as caught:
        normalize(form, row, **options)
    assert "made.jsonl, row 1" in str(caught.value)


def test_an_unreadable_row_is_an_error_with_its_place():
    with pytest.raises(InputError, match="benchmark row cannot be read") as caught:
        normalize("piqa", RowError("bad_json", "Expecting value"))
    assert "made.jsonl, row 1" in str(caught.value)


def test_a_preamble_loses_only_its_outer_line_feeds(tmp_path):
    path = tmp_path / "preamble.txt"
    path.write_text("\nQ: a\nA: b\n\nQ: c\nA: d\n\n")
    assert read_preamble(path) == "Q: a\nA: b\n\nQ: c\nA: d"
    path.write_text("\n")
    with pytest.raises(InputError, match="preamble is empty"):
        read_preamble(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_preamble(tmp_path / "absent.txt")

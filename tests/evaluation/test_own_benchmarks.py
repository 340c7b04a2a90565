"""Benchmarks of one's own: a file of questions, or a task of the harness, from outside the checkout."""

import json

import pytest
import yaml
from checkout import ROOT
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError, InputErrors
from plw.evaluation.checking import check_benchmarks, fingerprint
from plw.evaluation.harness import run_benchmark
from plw.evaluation.harness_metrics import answers_results
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.rows import normalize_rows
from plw.models.loading import load_model
from plw.study.configuration import load_configuration
from plw.study.inputs import own_task_files, task_files
from plw.study.parameters import measured_entries
from plw.study.planning.workload import benchmark_cost
from plw.study.rows import SourceRow
from tiny import tiny_model

HARNESS = ROOT / "config" / "harness"
QUESTIONS = [
    {"question": "Which one sings?", "choices": ["the bird", "the stone", "the river"], "answer": "the bird"},
    {"question": "Which one is near the house?", "choices": ["a tree", "a cat"], "answer": "B"},
    {"question": "What is green?", "choices": ["the light", "the tree", "the water"], "answer": 1},
]
TASK = """\
task: my_quiz
dataset_path: json  # not read: the rows are those of the benchmark's source
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: 0
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
STUDY = """\
base: demo
benchmarks:
  quiz: {{label: Quiz, task: choices, source: {{path: {0}/quiz.jsonl}}}}
  short: {{label: Short answers, task: answers, source: {{path: {0}/short.jsonl}}}}
  own: {{label: Own task, task: {0}/own.yaml, source: {{path: {0}/rows.jsonl}}}}
evaluation: {{benchmarks: [quiz, short, own]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    _write(folder / "quiz.jsonl", QUESTIONS)
    _write(folder / "rows.jsonl", [row | {"answer": 0} for row in QUESTIONS])
    _write(folder / "short.jsonl", [{"question": "Who sings?", "answer": ["the bird", "a bird"]}])
    (folder / "own.yaml").write_text(TASK)
    (folder / "study.yaml").write_text(STUDY.format(folder))
    return folder


def _write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def study(folder):
    return load_configuration({"study": str(folder / "study.yaml")}, root=ROOT)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    source = {"path": str(tiny_model(tmp_path_factory.mktemp("model")))}
    return HarnessModel(load_model(source), load_tokenizer(source), batch_size=4)


def entry_of(study, name, **changes):
    (entry,) = measured_entries(study, [name])
    return entry | changes


def test_a_study_needs_one_line_for_each_and_they_are_read_before_anything_trains(study):
    entries = measured_entries(study, study["evaluation"]["benchmarks"])
    found = check_benchmarks(entries, folder=HARNESS, evaluation=study["evaluation"], judges={}, say=lambda _: None)
    assert {name: read["rows"] for name, read in found.items()} == {"quiz": 3, "short": 1, "own": 3}
    assert task_files(study, ["quiz", "own"]) == ["config/harness/choices.yaml"]
    assert own_task_files(study, ["quiz", "own"]) == [study["benchmarks"]["own"]["task"]]


def test_an_edited_task_is_read_again(study, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(TASK)
    before = fingerprint(entry_of(study, "own", task=str(file)), {})
    file.write_text(TASK + "num_fewshot: 0\n")
    assert fingerprint(entry_of(study, "own", task=str(file)), {}) != before


def test_what_they_cost_is_counted_in_their_rows(study):
    quiz, short, own = (benchmark_cost(study["benchmarks"][name]) for name in ("quiz", "short", "own"))
    assert quiz["items"] == 3 and quiz["requests"] == pytest.approx(8 / 3) and quiz["new_tokens"] == 0
    assert (short["items"], short["requests"], short["new_tokens"]) == (1, 1, 32)
    assert (own["items"], own["requests"]) == (3, quiz["requests"]) and own["prompt_tokens"] > quiz["prompt_tokens"]
    assert quiz["prompt_tokens"] == pytest.approx(sum(len(row["question"]) for row in QUESTIONS) / 3 / 4)


def test_questions_with_choices_score_as_the_same_questions_in_the_form_of_arc(study, model, folder):
    rows = []
    for row, place in zip(QUESTIONS, (0, 1, 1), strict=True):
        labels = list("ABC"[: len(row["choices"])])
        choices = {"text": row["choices"], "label": labels}
        rows.append({"question": row["question"], "choices": choices, "answerKey": labels[place]})
    _write(folder / "arc.jsonl", rows)
    arc = entry_of(study, "quiz", task="arc_challenge", source={"path": str(folder / "arc.jsonl")})
    ours, theirs = (
        run_benchmark(entry, model, folder=HARNESS, evaluation={}) for entry in (entry_of(study, "quiz"), arc)
    )
    assert ours["metrics"] == theirs["metrics"] and ours["items"] == theirs["items"]
    assert ours["prompt_hash"] == theirs["prompt_hash"] and ours["n"] == 3


def test_a_task_of_ones_own_asks_its_own_prompts_of_the_benchmarks_rows(study, model):
    own = run_benchmark(entry_of(study, "own"), model, folder=HARNESS, evaluation={})
    quiz = run_benchmark(entry_of(study, "quiz"), model, folder=HARNESS, evaluation={})
    assert own["task"] == "my_quiz" and own["prompt_hash"] == quiz["prompt_hash"]
    first = [max(range(len(item["log_likelihoods"])), key=item["log_likelihoods"].__getitem__) == 0
             for item in own["items"]]  # fmt: skip
    assert [item["acc"] for item in own["items"]] == first, "by this task the first choice is always right"


def test_short_answers_are_generated_and_scored(study, model):
    found = run_benchmark(entry_of(study, "short"), model, folder=HARNESS, evaluation={})
    (item,) = found["items"]
    assert "\n" not in item["output"] and set(found["metrics"]) == {"exact_match", "f1"}


@pytest.mark.parametrize(("output", "exact", "f1"), [
    (" The Bird!", 1, 1), ("a small bird", 0, 2 / 3), ("", 0, 0), ("stone", 0, 0), ("bird bird", 0, 2 / 3),
])  # fmt: skip
def test_short_answers_count_as_in_squad(output, exact, f1):
    found = answers_results({"answers": ["the bird", "birds of a tree"]}, [output])
    assert found == {"exact_match": exact, "f1": pytest.approx(f1)}


@pytest.mark.parametrize("row", [
    {"question": "Q", "choices": ["a", "b"], "answer": "c"},
    {"question": "Q", "choices": ["a", "b"], "answer": "C"},
    {"question": "Q", "choices": ["a", "b"], "answer": 2},
    {"question": "Q", "choices": ["a", "b"], "answer": True},
    {"question": "Q", "choices": ["a", "a"], "answer": 0},
    {"question": "Q", "choices": "ab", "answer": 0},
    {"question": "", "choices": ["a", "b"], "answer": 0},
    {"question": "Q", "choices": ["a", "b"]},
])  # fmt: skip
def test_a_question_that_cannot_be_scored_is_named_with_its_row(row):
    with pytest.raises(InputError, match=r"f\.jsonl, row 7"):
        normalize_rows([SourceRow(7, "f.jsonl", row)], "choices")


@pytest.mark.parametrize(("changes", "message"), [
    ({"doc_to_text": "{{nowhere}}"}, "nowhere"),
    ({"metric_list": [{"metric": "f1"}]}, "f1"),
    ({"task": None}, "task"),
    ({"include": "other.yaml"}, "include"),
])  # fmt: skip
def test_a_task_that_the_harness_cannot_use_is_said_before_anything_trains(study, tmp_path, changes, message):
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(TASK) | changes))
    with pytest.raises(InputErrors, match=message) as caught:
        entries = [entry_of(study, "own", task=str(file))]
        check_benchmarks(entries, folder=HARNESS, evaluation={}, judges={}, say=lambda _: None)
    assert str(file) in str(caught.value)


def test_a_field_of_several_types_is_said(study, folder):
    with pytest.raises(InputErrors, match="several types"):
        entries = [entry_of(study, "own", source={"path": str(folder / "quiz.jsonl")})]
        check_benchmarks(entries, folder=HARNESS, evaluation={}, judges={}, say=lambda _: None)


def test_code_of_ones_own_is_not_run(study, tmp_path):
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef text(doc): return ''\n")
    file = tmp_path / "bad.yaml"
    file.write_text(TASK.replace('"Question: {{question}}\\nAnswer:"', "!function mine.text"))
    with pytest.raises(InputErrors, match="not run"):
        entries = [entry_of(study, "own", task=str(file))]
        check_benchmarks(entries, folder=HARNESS, evaluation={}, judges={}, say=lambda _: None)
    assert not (tmp_path / "ran").exists()

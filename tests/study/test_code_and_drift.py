"""The sum of the code that decides a result, and what a dry run says of results that other code made."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from plw.study.configuration import load_configuration
from plw.study.records import code as code_module
from plw.study.records.code import DECIDING, VERSIONS, code_record, code_sum, deciding_files
from plw.study.records.drift import drift_text, find_drift, records_of
from plw.study.records.parsed import ParsedFiles

RUNS = ["a", "b", "c"]


@pytest.fixture
def scripts(tmp_path):
    """A copy of the library that may be edited."""
    shutil.copytree(ROOT / "scripts/plw", tmp_path / "plw", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edited(scripts, name, before, after):
    """A folder like `scripts` with one passage of a file replaced."""
    other = scripts.with_name(f"{scripts.name}_edited")
    shutil.copytree(scripts, other, dirs_exist_ok=True)
    text = (other / name).read_text()
    assert before in text
    (other / name).write_text(text.replace(before, after, 1))
    return other


def test_comments_docstrings_and_layout_leave_the_sum_as_it_is(scripts):
    name = "plw/training/loss.py"
    text = (scripts / name).read_text()
    docstring = text[: text.index('"""', 3) + 3]
    other = edited(scripts, name, docstring, '"""Something else."""\n\n\n# and a comment\n')
    assert code_sum("train_model", other) == code_sum("train_model", scripts) == code_sum("train_model")


@pytest.mark.parametrize(
    "name, rule",
    [
        ("plw/training/loss.py", "train_model"),
        ("plw/data/tokenization.py", "train_model"),
        ("plw/evaluation/harness_metrics.py", "evaluate_model"),
        ("plw/models/generation.py", "evaluate_model"),
        ("plw/evaluation/pandalm.py", "judge_outputs"),
        ("plw/mechanism/weight_distance.py", "measure_mechanism"),
    ],
)
def test_another_statement_of_the_stage_or_of_what_it_imports_is_another_sum(scripts, name, rule):
    text = (scripts / name).read_text()
    other = edited(scripts, name, text, f"{text}\n\nANOTHER = 1\n")
    assert code_sum(rule, other) != code_sum(rule, scripts)


def test_code_that_decides_nothing_of_a_stage_is_not_in_its_sum(scripts):
    for name in ("plw/figures/style.py", "plw/study/planning/cost.py", "plw/study/records/drift.py"):
        text = (scripts / name).read_text()
        other = edited(scripts, name, text, f"{text}\n\nANOTHER = 1\n")
        assert all(code_sum(rule, other) == code_sum(rule, scripts) for rule in DECIDING), name


def test_imports_inside_functions_are_followed():
    assert "plw.mechanism.memorisation" in deciding_files(DECIDING["measure_mechanism"])


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Makes what a new process would know of files of Python, which lies in a folder of the test's own."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def start() -> Path:
        file = tmp_path / "kept" / "code.parsed.json"
        monkeypatch.setattr(code_module, "_parsed", ParsedFiles(code_module.parse, b"this parser", file))
        code_sum.cache_clear()
        return file

    yield start
    code_sum.cache_clear()


def sums() -> dict[str, str]:
    return {rule: code_sum(rule) for rule in DECIDING}


def test_the_next_process_parses_no_file_and_has_the_same_sums(kept, monkeypatch):
    kept()
    expected = sums()
    file = kept()
    assert file.is_file()
    monkeypatch.setattr(code_module.ast, "parse", lambda *_: pytest.fail("a file is parsed again"))
    assert sums() == expected


def test_an_edited_file_has_another_sum_though_its_earlier_form_is_kept(kept, scripts):
    kept()
    before = code_sum("train_model", scripts)
    kept()
    name = "plw/training/loss.py"
    text = (scripts / name).read_text()
    (scripts / name).write_text(f"{text}\n\nANOTHER = 1\n")
    assert code_sum("train_model", scripts) != before


FALSE_SUMS = "whole, of another parser, with false sums"
DAMAGED = ["", "[]", "{", '{"parser": "x", "files": {}}', '{"files": {}}', '{"parser": null, "files": 3}', FALSE_SUMS]


@pytest.mark.parametrize("content", DAMAGED)
def test_what_was_kept_is_not_believed_where_it_is_damaged_or_another_parsers(content, kept):
    file = kept()
    expected = sums()
    found = json.loads(file.read_text())
    if content == FALSE_SUMS:
        files = {key: ["false", names] for key, (_, names) in found["files"].items()}
        content = json.dumps({"parser": "another", "files": files})
    file.write_text(content)
    kept()
    assert sums() == expected
    assert json.loads(file.read_text()) == found


def test_without_a_place_to_keep_it_or_where_python_may_not_write_sums_are_the_same(kept, monkeypatch):
    file = kept()
    file.parent.write_text("a file where the folder would be")
    expected = sums()
    file.parent.unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kept()
    assert sums() == expected and not file.exists()


@pytest.fixture
def study():
    return load_configuration({"study": "demo"}, root=ROOT)


def write_records(folder, study, codes):
    """run.json of each run with what it says of its code."""
    paths = records_of(study, RUNS, [])["train_model"]
    for path, code in zip(paths, codes, strict=True):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps({"run": "x"} | ({"code": code} if code else {})))


def test_results_of_other_code_are_counted_and_kept(study, tmp_path):
    now = code_record("train_model", VERSIONS["train_model"])
    write_records(tmp_path, study, [now, {**now, "sum": "0" * 16}, {**now, "sum": "1" * 16}])
    text = drift_text(find_drift(study, records_of(study, RUNS, []), tmp_path))
    assert text.startswith("2 trainings were made by other code than now (version 1 not raised).")
    assert "before code was recorded" not in text


def test_a_raised_version_is_no_drift_because_the_job_runs_again(study, tmp_path):
    now = code_record("train_model", VERSIONS["train_model"])
    write_records(tmp_path, study, [now, {"version": 0, "sum": "0" * 16}, now])
    assert drift_text(find_drift(study, records_of(study, RUNS, []), tmp_path)) == ""


def test_results_from_before_code_was_recorded_are_said_to_be_so(study, tmp_path):
    write_records(tmp_path, study, [None, None, None])
    text = drift_text(find_drift(study, records_of(study, RUNS, []), tmp_path))
    assert text == "Made before code was recorded: 3 trainings."


def test_what_is_not_there_or_cannot_be_read_is_no_drift(study, tmp_path):
    assert drift_text(find_drift(study, records_of(study, RUNS, ["alpaca_eval/x.json"]), tmp_path)) == ""

"""What an earlier call recorded in another form stays, as long as it says the same of everything that decides."""

import json
import os
from types import SimpleNamespace

import pytest
from plw.study.records.earlier import Earlier, recorded_text

OLD = json.dumps({"from": "cleaned", "label": "Short", "stands_for": "AlpacaDataShort"})
NEW = json.dumps({"from": "cleaned"})
DESCRIBING = ("label", "stands_for")


def test_a_recorded_parameter_that_differs_in_what_describes_stays():
    assert recorded_text([repr(OLD), "1", repr(True)], NEW, DESCRIBING) == OLD


def test_a_recorded_parameter_that_differs_in_what_decides_is_given_up():
    other = json.dumps({"from": "plain", "label": "Short"})
    assert recorded_text([repr(other), "none"], NEW, DESCRIBING) == NEW


def test_each_mapping_of_a_recorded_list_is_compared():
    now = json.dumps([{"name": "a"}, {"name": "b"}])
    old = json.dumps([{"name": "a", "label": "A"}, {"name": "b", "label": "B"}])
    assert recorded_text([repr(old)], now, DESCRIBING) == old
    assert recorded_text([repr(old)], json.dumps([{"name": "a"}]), DESCRIBING) == json.dumps([{"name": "a"}])


def test_what_was_never_made_is_asked_as_it_is_now():
    earlier = Earlier(lambda path: None)
    assert earlier.text("x", NEW, left_out=DESCRIBING) == NEW
    assert earlier.files("x", ["a", "b"], before=["a"]) == ["a", "b"]


@pytest.fixture
def finished(tmp_path):
    """A result, two older files that decide it, and a function that names them as rules do."""
    for seconds, name in enumerate(("config.json", "model.safetensors", "run.json"), start=1000):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))

    def named(recorded):
        files = [str(tmp_path / name) for name in ("config.json", "model.safetensors")]
        record = SimpleNamespace(params=[], input=[str(tmp_path / name) for name in recorded])
        found = Earlier(lambda path: record).files(str(tmp_path / "run.json"), files, before=files[:1])
        return [file.rpartition("/")[2] for file in found]

    return tmp_path, named


def test_inputs_that_were_not_named_before_are_left_out_until_one_of_them_is_newer(finished):
    folder, named = finished
    assert named(["config.json"]) == ["config.json"]
    os.utime(folder / "model.safetensors", (2000, 2000))
    assert named(["config.json"]) == ["config.json", "model.safetensors"]


def test_inputs_of_another_folder_than_the_recorded_are_all_named(finished):
    _, named = finished
    assert named(["other/config.json"]) == ["config.json", "model.safetensors"]


def test_files_of_the_project_are_named_unless_a_record_has_none_of_their_folder(tmp_path):
    def named(recorded):
        record = None if recorded is None else SimpleNamespace(params=[], input=recorded)
        return Earlier(lambda path: record).project_files("x", ["config/judges/b.txt"], folder="config/judges")

    assert named(None) == named(["config/judges/a.txt"]) == ["config/judges/b.txt"]
    assert named(["data.jsonl"]) == []


def test_inputs_that_were_named_once_stay_named(finished):
    _, named = finished
    assert named(["config.json", "model.safetensors"]) == ["config.json", "model.safetensors"]

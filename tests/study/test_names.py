"""Names become parts of paths: no name leads out of the study's folder, and none is what a system cannot hold."""

from pathlib import Path

import pytest
import yaml
from checkout import ROOT
from plw.errors import InputError, InputErrors
from plw.files import write_json
from plw.study.configuration import load_configuration, name_from
from plw.study.layout import results
from plw.study.runs import list_runs

HOSTILE = [
    *("../x", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\n", "\na", "a b", "~", "$HOME", "{x}", "a;b"),
    *("A", "ä", "-rf", "con", "nul", "com1", "lpt9", "x" * 65, "x" * 5000, "a\u202eb", "a\x1b[2J", "<b>", "%s", "*"),
]  # fmt: skip


def load(folder, **changes):
    (folder / "mine.yaml").write_text(yaml.safe_dump({"base": "test", **changes}))
    return load_configuration({"study": str(folder / "mine.yaml")}, root=ROOT)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_is_taken(tmp_path, name):
    entry = {"label": "x", "source": {"path": "a"}}
    for changes in (
        {"name": name},
        {"ptlms": {name: entry}},
        {"datasets": {name: entry}},
        {"benchmarks": {name: {**entry, "group": "I", "type": "MC", "framework": "harness", "metric": "acc"}}},
        {"experiments": {name: {"ptlms": ["weak"], "datasets": ["plain"], "plw": [0.0]}}},
        {"benchmarks": {"piqa": {"task": name}}},
    ):
        if name in ("con", "nul") and "experiments" in changes:
            continue  # an experiment's name is no part of a path
        with pytest.raises((InputError, InputErrors)):
            load(tmp_path, **changes)


def test_the_longest_names_still_make_file_names(tmp_path):
    long = "x" * 64
    entry = {"label": "x", "source": {"path": "a"}}
    main = {"ptlms": [long], "datasets": [long], "plw": [0.1234567]}
    study = load(tmp_path, name=long, ptlms={long: entry}, datasets={long: entry}, experiments={"main": main},
                 run_experiments=["main"], evaluation={"benchmarks": ["piqa"]})  # fmt: skip
    for run in list_runs(study):
        assert len(run.run) + len(".outputs.json") < 255
        (path,) = results(study, f"runs/{run.run}")
        assert Path(path).resolve().is_relative_to(Path("results", long).resolve())


@pytest.mark.parametrize("stem", ["../../x", "con", "ä", "x" * 200, "a\nb", "..."])
def test_what_is_made_of_a_given_file_stays_below_the_results(stem):
    name = name_from("paper", Path(f"{stem}.csv"))
    assert len(name) < 200 and name.startswith("paper_from_") and name.replace("_", "").isalnum() and name.isascii()


def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(tmp_path):
    outside, inside = tmp_path / "outside.json", tmp_path / "results" / "rows.json"
    outside.write_text("mine")
    inside.parent.mkdir()
    inside.symlink_to(outside)
    write_json(inside, {"a": 1})
    assert outside.read_text() == "mine" and not inside.is_symlink()

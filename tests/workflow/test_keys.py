"""What each key of a study runs again: what only describes nothing expensive, what decides its stage and the rest."""

import re

import key_changes
import pytest

EXPENSIVE = {"world", "data", "training", "evaluation", "judging", "mechanism"}
GRANTED = ("runtime_min", "mem_mb", "threads", "gpus")
DESCRIBING = ("label", "stands_for", "description", "parameters", "group", "type", "version")
# Of these nothing but the report is made anew.
TOLD = ("description", "plan", "preload", "keep_models")
FIRST = {  # the stage that a section decides first, where all its other keys do
    "training": "training",
    "evaluation": "evaluation",
    "judges": "judging",
    "mechanism": "mechanism",
    "statistics": "statistics",
    "figures": "figures, tables",
    "world": "world",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The stages that run again by key."""
    return key_changes.plans(tmp_path_factory.mktemp("keys") / "project")


def test_the_table_of_keys_has_a_line_for_each_key_of_the_schema():
    listed = re.findall(r"^\| `(\S+)`", key_changes.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == list(key_changes.keys()), "call: make keys"


@pytest.mark.workflow
@pytest.mark.slow
def test_the_table_of_keys_is_what_the_workflow_plans_now(found):
    assert key_changes.PAGE.read_text(encoding="utf-8") == key_changes.page(found), "call: make keys"


@pytest.mark.workflow
@pytest.mark.slow
def test_what_only_describes_prepares_trains_measures_and_judges_nothing(found):
    for key, stages in found.items():
        last = key.rpartition(".")[2]
        if last in DESCRIBING or last in GRANTED or ".cost." in key or ".shape." in key or key.startswith(TOLD):
            assert not stages & EXPENSIVE, key
        if key.startswith(TOLD) or last in GRANTED or ".cost." in key or ".shape." in key:
            assert stages == {"report"}, key


@pytest.mark.workflow
@pytest.mark.slow
def test_what_decides_always_runs_its_stage_and_what_follows(found):
    for key, stages in found.items():
        section, _, last = key.partition(".")[0], *key.rpartition(".")[1:]
        if section in FIRST and last not in GRANTED and last not in DESCRIBING:
            assert {FIRST[section], "report"} <= stages, key
    for key in ("datasets.*.source", "datasets.*.limit", "datasets.*.inversion.unit"):
        assert {"data", "training", "evaluation", "claims"} <= found[key], key
    for key in ("benchmarks.*.source", "benchmarks.*.shots", "benchmarks.*.limit"):
        assert "training" not in found[key] and {"evaluation", "scores"} <= found[key], key

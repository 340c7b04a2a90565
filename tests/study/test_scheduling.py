"""What jobs ask a scheduler for."""

import pytest
from checkout import ROOT
from plw.study.configuration import load_configuration
from plw.study.parameters import judge_settings
from plw.study.planning.cost import Cost
from plw.study.planning.scheduling import Runtimes, gpus, judging_grant, mechanism_gpus, training_cores
from plw.study.runs import list_runs


@pytest.fixture(scope="module")
def paper():
    return load_configuration({"study": "paper"}, root=ROOT)


def test_a_gpu_is_asked_for_where_the_study_uses_one_if_there_is_one():
    assert [gpus({"device": device}, 4) for device in ("cuda", "auto", "cpu")] == [4, 4, 0]
    assert gpus({}) == 0


def test_a_training_gets_the_cores_of_all_its_ranks(paper):
    assert training_cores(paper) == 4 * 8


def test_no_gpu_is_held_for_a_weight_distance_alone(paper):
    asked = {run.dataset: mechanism_gpus(paper, run) for run in list_runs(paper)}
    assert {name for name, count in asked.items() if count} == set(paper["mechanism"]["memorisation"]["datasets"])


def test_a_judges_own_minutes_memory_and_cores_come_before_the_evaluations_and_are_no_reason_to_judge_again(paper):
    own = {"runtime_min": 45, "mem_mb": 200000, "threads": 16}
    study = {**paper, "judges": {**paper["judges"], "alpaca_eval": {**paper["judges"]["alpaca_eval"], **own}}}
    runs = {run.run: run for run in list_runs(study)}
    minutes = Runtimes(study, runs, Cost(study, {}))
    for name, asked in (("alpaca_eval", own), ("pandalm", {"mem_mb": 64000, "threads": 8})):
        assert {key: judging_grant(study, name, key, None) for key in asked} == asked
    assert [minutes.judging("alpaca_eval", list(runs)[:3], attempt) for attempt in (1, 2)] == [45, 90]
    assert minutes.judging("pandalm", list(runs)[:3], 1) != 45
    assert judge_settings(study, "alpaca_eval") == judge_settings(paper, "alpaca_eval")

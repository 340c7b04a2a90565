"""What jobs ask a scheduler for."""

import pytest
from checkout import ROOT
from plw.study.configuration import load_configuration
from plw.study.planning.scheduling import gpus, mechanism_gpus, training_cores
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

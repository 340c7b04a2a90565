"""A card's measured shares in place of the assumed ones: `plan.measured` names the gpu.json of `make test-gpu`."""

import copy
import json

import pytest
from checkout import ROOT
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.cost import Cost, Span
from plw.study.planning.plan import plan_study, plan_text
from plw.study.runs import list_runs

PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]


@pytest.fixture(scope="module")
def paper() -> dict:
    study = load_configuration({"study": "paper"}, root=ROOT)
    return {**study, "plan": {**study["plan"], "measured": "gpu.json"}}


def measured_file(study: dict, *, factor: float = 1.0, **left_out) -> dict:
    """What a card would write that reaches `factor` times the study's own assumptions, with LLaMA 7B's size."""
    plan = study["plan"]
    keys = ("training_utilisation", "reading_utilisation", "writing_utilisation")
    size = {"shape": "llama_7b", "parameters": 6.7e9}
    size |= {key: [factor * share for share in plan[key]] for key in keys if key not in left_out}
    return {
        "plan": {"gpu": "Card 1", "gpu_flops": plan["gpu_flops"], "gpu_bandwidth": plan["gpu_bandwidth"],
                 "source": "measured on Card 1", "sizes": [size]},
    }  # fmt: skip


def cost(study: dict, folder, found: dict | None) -> Cost:
    if found is not None:
        (folder / "gpu.json").write_text(json.dumps(found))
    return Cost(study, PRINTED, folder)


def test_a_card_that_reaches_what_was_assumed_changes_no_hour(paper, tmp_path):
    run = list_runs(paper)[0]
    assumed, measured = cost(paper, tmp_path, None), cost(paper, tmp_path, measured_file(paper))
    for hours in ("training_hours", "evaluation_hours", "mechanism_hours"):
        assert getattr(measured, hours)(run) == getattr(assumed, hours)(run)


def test_a_card_twice_as_fast_halves_what_its_arithmetic_and_bandwidth_take(paper, tmp_path):
    instant = copy.deepcopy(paper)  # nothing but the card takes time
    instant["plan"] |= {"disk": [1e30, 1e30], "start_seconds": [1e-9, 1e-9], "gpu_link": [1e30, 1e30]}
    run = list_runs(instant)[0]
    slow, fast = (cost(instant, tmp_path, found) for found in (None, measured_file(instant, factor=2.0)))
    for hours in ("training_hours", "evaluation_hours"):
        assert getattr(fast, hours)(run).high == pytest.approx(getattr(slow, hours)(run).high / 2)
    judged = [one.judging_hours("pandalm", 10_000, 1) for one in (slow, fast)]
    assert judged[1].low == pytest.approx(judged[0].low / 2)


def test_what_the_card_did_not_measure_stays_assumed(paper, tmp_path):
    run = list_runs(paper)[0]
    part = measured_file(paper, factor=2.0, reading_utilisation=None, writing_utilisation=None)
    assumed, measured = cost(paper, tmp_path, None), cost(paper, tmp_path, part)
    assert measured.evaluation_hours(run) == assumed.evaluation_hours(run)
    assert measured.training_hours(run).high < assumed.training_hours(run).high


def test_the_dry_run_says_on_which_card_and_with_which_sizes_it_was_measured(paper, tmp_path):
    runs = list_runs(paper)
    (tmp_path / "gpu.json").write_text(json.dumps(measured_file(paper)))
    plan = plan_study(paper, runs, PRINTED, tmp_path)
    assert sum(plan["gpu_hours"].values(), start=Span()).low > 0
    assert "rates measured on Card 1 with models of 6.7 billion weights, others assumed: gpu.json" in plan_text(
        plan, paper
    )
    assert plan_study(paper, runs, PRINTED, tmp_path / "elsewhere")["measured_on"] is None

"""The cost of a study before it runs."""

from pathlib import Path

import pytest
from plw.study.configuration import load_configuration, read_yaml
from plw.study.plan import dataset_tokens, inference_hours, judgements, plan_study, plan_text, training_hours
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]
PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]


@pytest.fixture(scope="module")
def paper() -> dict:
    return load_configuration({"study": "paper"}, root=ROOT)


def test_rows_of_a_data_set_follow_from_the_printed_totals_and_means():
    tokens, rows = dataset_tokens({"stands_for": "AlpacaData"}, PRINTED)
    assert tokens == 4376482
    assert rows == pytest.approx(52002, rel=1e-3)  # the published number of rows


def test_a_limit_shrinks_tokens_and_rows_alike():
    whole, part = (
        dataset_tokens({"stands_for": "DatabricksDolly", **limit}, PRINTED) for limit in ({}, {"limit": 1000})
    )
    assert part[1] == 1000
    assert part[0] / part[1] == pytest.approx(whole[0] / whole[1])


def test_a_data_set_that_stands_for_nothing_has_no_cost():
    assert dataset_tokens({"label": "Mine"}, PRINTED) is None


def test_training_hours_are_six_flops_per_weight_and_token(paper):
    run = list_runs(paper)[0]
    tokens, rows = dataset_tokens(paper["datasets"][run.dataset], PRINTED)
    plan = paper["plan"]
    flops = 6 * paper["ptlms"][run.ptlm]["parameters"] * (tokens + 45 * rows) * 3
    assert training_hours(run, paper, PRINTED) == pytest.approx(
        flops / plan["gpu_flops"] / plan["training_utilisation"] / 3600
    )


def test_twice_the_batch_halves_the_writing_and_leaves_the_reading(paper):
    plan = paper["plan"]
    hours = {
        (read, batch): inference_hours(7e9, read=read, written=1e6, batch=batch, plan=plan)
        for read in (0, 1e9)
        for batch in (1, 2)
    }
    assert hours[0, 1] == pytest.approx(2 * hours[0, 2])
    assert hours[1e9, 1] - hours[0, 1] == pytest.approx(hours[1e9, 2] - hours[0, 2])


def test_a_run_needs_one_verdict_of_alpaca_eval_and_two_of_pandalm_for_each_item(paper):
    assert judgements(list_runs(paper)[0], paper) == {"alpaca_eval": 805, "pandalm": 340}


def test_the_whole_paper_is_planned_with_every_experiment(paper):
    runs = list_runs(paper)
    plan = plan_study(paper, runs, PRINTED)
    assert plan["runs"] == len(runs) >= 270
    assert set(plan["experiments"]) == {"main", "regularizers", "datasets", "ratios", "losses"}
    assert sum(plan["experiments"].values()) > len(runs)  # some runs belong to two experiments
    assert all(hours > 0 for hours in plan["gpu_hours"].values())
    text = plan_text(plan, paper)
    assert f"{len(runs)} runs" in text and "GPU hours" in text and "231,840" in text and "GB" in text


def test_what_is_not_known_is_not_invented():
    study = load_configuration({"study": "demo"}, root=ROOT)
    plan = plan_study(study, list_runs(study), PRINTED)
    assert plan["gpu_hours"]["training"] is None
    assert "GPU hours" not in plan_text(plan, study)

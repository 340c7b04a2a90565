"""Planned beside measured, and the rates that later plans use."""

import copy
import json
from pathlib import Path

import pytest
from checkout import ROOT
from plw.report.comparison import as_markdown, compare, cost_without_pilot, rates, read_job_seconds
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.cost import Cost
from plw.study.planning.plan import plan_study
from plw.study.runs import batch_of, list_runs

PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]
NOWHERE = Path("/nowhere")


@pytest.fixture
def pilot() -> dict:
    return load_configuration({"study": "paper_pilot"}, root=ROOT)


@pytest.fixture
def took(pilot) -> dict:
    """What a finished pilot left: two runs, three hours of training each on four GPUs, and so on."""
    runs = {run.run: run for run in list_runs(pilot)}
    tokens = plan_study(pilot, list(runs.values()), PRINTED, NOWHERE)["tokens"]
    record = {
        "ptlm": "llama_2_7b",
        "tokens": tokens / 2,
        "seconds_training": 10_000.0,
        "tokens_per_second": tokens / 2 / 10_000,
        "device": {"model": "A100", "cpu": "some"},
        "peak_memory_bytes": {"host": 3e10, "device": 6e10},
    }
    piqa = {"benchmarks": {"piqa": {"seconds": 100.0, "n": 1838}, "alpaca_eval": {"seconds": 805.0}}}
    verdicts = {"alpaca_eval": 805, "pandalm": 340}
    memorised = {"memorisation": {"prompts": 10_000}, "seconds": 2000.0}
    batch = batch_of(next(iter(runs.values())), {})
    return {
        "runs": runs,
        "records": dict.fromkeys(runs, record),
        "evaluations": dict.fromkeys(runs, piqa),
        "mechanisms": dict.fromkeys(runs, memorised),
        "judgements": [
            {
                "benchmark": name,
                # PandaLM's judge is not asked about the run that it compares with.
                "runs": {run: {"n_asked": 0 if name == "pandalm" and "plw0-" in run else count} for run in runs},
            }
            for name, count in verdicts.items()
        ],
        "seconds": {
            "train_model": dict.fromkeys(runs, 10_800.0),
            "evaluate_model": dict.fromkeys(runs, 7200.0),
            "judge_outputs": {f"{name}/{batch}": 500.0 for name in verdicts},
        },
    }


def rows_of(pilot, took) -> dict:
    plan = plan_study(cost_without_pilot(pilot), list(took["runs"].values()), PRINTED, NOWHERE)
    given = {name: took[name] for name in ("records", "judgements", "seconds")}
    return {(row["stage"], row["what"]): row for row in compare(pilot, plan, **given)}


def test_hours_count_for_each_gpu_that_a_job_holds(pilot, took):
    rows = rows_of(pilot, took)
    assert rows["training", "time in all"]["measured"] == pytest.approx(2 * 3 * 4)
    assert rows["judging", "time in all"]["measured"] == pytest.approx((4 + 1) * 500 / 3600)
    assert rows["training", "tokens of rows"]["measured"] == pytest.approx(
        rows["training", "tokens of rows"]["planned_low"]
    )
    assert rows["judging", "pandalm"]["measured"] == rows["judging", "pandalm"]["planned_low"] == 340
    assert rows["jobs", "train model"]["measured"] == rows["jobs", "train model"]["planned_high"] == 2


def test_the_page_says_what_lies_outside_the_plan(pilot, took):
    planned = rows_of(pilot, took)["training", "time in all"]
    middle = (planned["planned_low"] + planned["planned_high"]) / 2
    for hours, inside in ((middle, "yes"), (10 * middle, "no")):
        given = copy.deepcopy(took)
        given["seconds"]["train_model"] = dict.fromkeys(took["runs"], hours / 2 / 4 * 3600)
        page = as_markdown(list(rows_of(pilot, given).values()), name="paper_pilot", devices=["A100"])
        (line,) = (line for line in page.splitlines() if line.startswith("| training | time in all"))
        assert line.endswith(f"| {inside} |")
        assert "On A100." in page


def test_the_rates_of_a_pilot_plan_exactly_what_the_pilot_took(pilot, took, tmp_path):
    found = rates(pilot, **took)
    (tmp_path / "rates.json").write_text(json.dumps(found))
    study = copy.deepcopy(pilot)
    study["plan"]["measured"] = "rates.json"
    cost, run = Cost(study, PRINTED, tmp_path), next(iter(took["runs"].values()))
    assert cost.training_seconds(run).high == pytest.approx(10_800)
    assert cost.mechanism_hours(run).high == pytest.approx(2000 / 3600)
    assert cost.judging_hours("pandalm", 340, 1).high == pytest.approx(500 / 3600)
    assert found["evaluation"]["piqa"]["items_per_second"] == pytest.approx([18.38] * 2)
    assert found["evaluation"]["alpaca_eval"]["items_per_second"] == [1.0, 1.0]


def test_a_judges_rate_is_not_taken_for_another_judge(pilot, took, tmp_path):
    (tmp_path / "rates.json").write_text(json.dumps(rates(pilot, **took)))
    study = copy.deepcopy(pilot)
    study["plan"]["measured"] = "rates.json"
    study["judges"]["pandalm"]["source"] = {"path": "another"}
    assert Cost(study, PRINTED, tmp_path).judging_hours("pandalm", 340, 1).low != pytest.approx(500 / 3600)


def test_seconds_are_read_by_rule_and_job_and_the_last_repeat_counts(tmp_path):
    path = tmp_path / "judge_outputs/pandalm/strong.short.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("s\th:m:s\n9.5\t0:00:09\n4.5\t0:00:04\n")
    (tmp_path / "train_judge.tsv").write_text("s\th:m:s\n1\t0:00:01\n")
    assert read_job_seconds(tmp_path) == {"judge_outputs": {"pandalm/strong.short": 4.5}, "train_judge": {"": 1.0}}

"""The plan of the test study against what its jobs did: within a fifth, job counts exactly.

Hours are compared with rates of the same run, because a machine that others use at the same time takes any time; a
quiet run's hours are in tests/study/test_plan_processor.py.
"""

import json

import pytest
from finished_study import RESULTS
from plw.report.comparison import read_job_seconds
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.plan import plan_study
from plw.study.runs import list_runs

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]


def test_tokens_judgements_and_jobs_of_the_finished_study_are_those_of_its_plan(finished_study):
    project = finished_study
    study = load_configuration({"study": "test"}, root=project)
    printed = read_yaml(project / "config/paper_numbers.yaml")["table_1"]["rows"]
    plan = plan_study(study, list_runs(study), printed, project)
    records = [json.loads(path.read_text()) for path in (project / RESULTS / "runs").glob("*/run.json")]
    assert plan["lengths"] == {"measured"}
    assert plan["tokens"] == pytest.approx(sum(record["tokens"] for record in records), rel=0.2)
    for name, planned in plan["judgements"].items():
        batches = [json.loads(path.read_text()) for path in (project / RESULTS / "judgements" / name).glob("*.json")]
        asked = sum(run["n_asked"] for batch in batches for run in batch["runs"].values())
        assert planned == pytest.approx(asked, rel=0.2)
    for rule in ("train_model", "evaluate_model", "measure_mechanism", "judge_outputs"):
        assert plan["jobs"][rule] == len(list((project / RESULTS / "times" / rule).rglob("*.tsv")))
    page = (project / RESULTS / "planned_and_measured.md").read_text()
    counts = [line for line in page.splitlines() if "| hours |" not in line]  # how long they took, the machine decides
    assert not any("| no |" in line for line in counts)
    assert sum("| yes |" in line for line in counts) >= 7
    assert plan["measured_rates"] == str(RESULTS / "rates.json")  # what it measured, its next plan rests on


def test_the_next_plan_says_what_the_finished_study_took_and_no_stage_was_far_from_the_first_plan(finished_study):
    project = finished_study
    study = load_configuration({"study": "test"}, root=project)
    printed = read_yaml(project / "config/paper_numbers.yaml")["table_1"]["rows"]
    plan = plan_study(study, list_runs(study), printed, project)
    seconds = {rule: sum(jobs.values()) for rule, jobs in read_job_seconds(project / RESULTS / "times").items()}
    stages = {"training": "train_model", "evaluation": "evaluate_model", "mechanism": "measure_mechanism",
              "judging": "judge_outputs"}  # fmt: skip
    for stage, rule in stages.items():
        assert 3600 * plan["gpu_hours"][stage].low == pytest.approx(seconds[rule], rel=0.2)
    assert 3600 * plan["processor"]["hours"]["world"].low > seconds["pretrain_model"]
    factors = json.loads((project / RESULTS / "rates.json").read_text())["processor"]
    # All jobs ran on one machine, so none is much slower or faster than the others, set against the first plan.
    for rule in ("train_model", "evaluate_model", "judge_outputs"):
        assert 0.5 < factors[rule] / factors["all"] < 2, rule

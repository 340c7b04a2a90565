"""The plan of the test study against what its jobs did: within a fifth, job counts exactly."""

import json

import pytest
from finished_study import RESULTS
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.plan import plan_study
from plw.study.runs import list_runs

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]


def test_tokens_judgements_and_jobs_of_the_finished_study_are_those_of_its_plan(finished_study):
    project = finished_study.project
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
    assert "| no |" not in page and page.count("| yes |") >= 7
    assert plan["measured_rates"] == str(RESULTS / "rates.json")  # what it measured, its next plan rests on

"""The jobs that the plan counts before anything ran are those of Snakemake's dry run in a fresh checkout."""

import re

import pytest
from checkout import ROOT, copy_project, planned_jobs, snakemake
from plw.study.configuration import load_configuration
from plw.study.planning.processor import count_all_jobs
from plw.study.runs import list_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("fresh") / "project")


@pytest.mark.parametrize("name", ["test", "demo", "paper"])
def test_the_planned_jobs_are_those_of_a_dry_run_rule_by_rule(fresh, name):
    done = snakemake("--dry-run", "--cores", "2", "--config", f"study={name}", folder=fresh)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    study = load_configuration({"study": name}, root=ROOT)
    found = planned_jobs(output)
    total = found.pop("total")
    assert count_all_jobs(study, list_runs(study)) == found
    if name != "paper":
        assert f"Jobs: {total}, from nothing to the report." in output
        assert re.search(r"Minutes on 2 cores of this machine: [0-9.–]+ if nothing else runs", output)

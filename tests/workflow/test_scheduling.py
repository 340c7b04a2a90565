"""How often Snakemake chooses jobs."""

import pytest
from checkout import copy_project, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def looks_and_jobs(project, *words: str) -> tuple[int, int]:
    done = snakemake("--cores", "1", "--verbose", "table_1", *words, "--config", "study=test", folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    said = done.stdout + done.stderr
    return said.count("Resources before job selection"), said.count("Finished jobid")


def test_jobs_are_chosen_when_one_is_done_and_not_again_in_between(tmp_path):
    looks, jobs = looks_and_jobs(copy_project(tmp_path / "project"))
    assert jobs > 10
    assert looks <= jobs + 1


def test_a_limit_of_jobs_a_second_that_was_asked_for_stays(tmp_path):
    looks, jobs = looks_and_jobs(copy_project(tmp_path / "project"), "--max-jobs-per-timespan", "50/1s")
    assert looks > jobs + 1  # Snakemake looks again while jobs run

"""Results of an older commit stay: where only the places of programs changed, nothing expensive runs again."""

import shutil
import subprocess

import pytest
from checkout import ROOT, copy_project
from named_results import finish_in_name, planned_again

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
BEFORE_THE_ROOMS = "887a70f"  # the last commit whose library was one folder
STUDY = ("--config", "study=test")
# What a moved program may remake: seconds each, from what is measured already. What that commit did not measure, scores
# of the ptlms before fine-tuning and what the study can show, is made anew; it takes seconds too.
NEW = {"evaluate_ptlm", "judge_ptlms", "check_showing"}
CHEAP = NEW | {"all", "build_report", "check_loss", "check_regression", "fit_gam", "fit_glmm", "judge_claims",
         "write_study", "compare_plan"}  # fmt: skip
CHEAP_KINDS = ("collect_", "draw_", "make_table_")


def test_a_study_that_was_finished_before_the_rooms_trains_evaluates_and_judges_nothing_again(tmp_path):
    archive = subprocess.run(["git", "archive", BEFORE_THE_ROOMS], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip(f"commit {BEFORE_THE_ROOMS} is not in this clone's history")
    subprocess.run(["tar", "x", "-C", str(tmp_path)], input=archive.stdout, check=True)
    finish_in_name(tmp_path, *STUDY)
    for name in ("scripts", "workflow", "config"):
        shutil.rmtree(tmp_path / name)
    for name in ("Snakefile", "profiles", "slurm"):
        (tmp_path / name).unlink()
    copy_project(tmp_path)
    jobs = set(planned_again(tmp_path, *STUDY))
    assert "draw_figure_1" in jobs, "a program that moved is another input of its rule"
    assert not {job for job in jobs - CHEAP if not job.startswith(CHEAP_KINDS)}

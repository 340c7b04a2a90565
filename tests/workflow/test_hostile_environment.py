"""The test study from nothing under a hostile environment: the bytes of the one that was made under an ordinary one."""

import os

import pytest
from checkout import copy_project, snakemake
from finished_study import RESULTS, STUDY
from hostile_environment import hostile
from same_results import contents

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]


def test_every_result_is_the_same_under_a_hostile_environment(finished_study, tmp_path):
    project = copy_project(tmp_path / "project")
    done = snakemake(
        "--cores", "all", *STUDY, folder=project, environment=hostile(tmp_path / "shell", dict(os.environ))
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    expected, found = contents(finished_study / RESULTS), contents(project / RESULTS)
    assert sorted(found) == sorted(expected)
    assert len(found) > 400
    assert [name for name in found if found[name] != expected[name]] == []

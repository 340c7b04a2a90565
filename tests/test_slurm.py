"""The test study on a real Slurm: a private one-node cluster, started and removed by the test."""

import subprocess

import pytest
import slurm_cluster
from checkout import copy_project, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slurm, pytest.mark.slow]


def test_the_slurm_profile_runs_the_test_study_to_its_end(tmp_path):
    reason = slurm_cluster.why_not()
    if reason:
        pytest.skip(reason)
    project = copy_project(tmp_path / "project")
    with slurm_cluster.cluster(tmp_path / "cluster") as environment:
        done = snakemake(
            *("--profile", "slurm", "--config", "study=test"),
            # A test need not spare the controller: ask it often.
            *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
            *("--latency-wait", "10"),
            folder=project,
            environment=environment,
            timeout=2400,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-6000:]
        left = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True).stdout
    assert (project / "results/test/report.html").stat().st_size > 10_000
    assert "has been submitted with SLURM jobid" in output
    assert left == ""

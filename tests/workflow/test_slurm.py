"""The test study on a real Slurm: a private one-node cluster, started and removed by the test."""

import re

import pytest
from finished_study import RESULTS

pytestmark = [pytest.mark.study, pytest.mark.slurm, pytest.mark.slow]


def test_the_slurm_profile_runs_the_test_study_to_its_end(finished_study):
    if finished_study.no_slurm:
        pytest.skip(finished_study.no_slurm)
    assert (finished_study.project / RESULTS / "report.html").stat().st_size > 10_000
    # Each training, evaluation, measurement and judgement is a Slurm job of its own.
    runs = len(list((finished_study.project / RESULTS / "runs").iterdir()))
    judgements = len(list((finished_study.project / RESULTS / "judgements").glob("*/*.json")))
    submitted = set(re.findall(r"SLURM jobid '?(\d+)", finished_study.output))
    assert len(submitted) > 3 * runs + judgements
    assert finished_study.left == ""

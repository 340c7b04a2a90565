"""A study on a real Slurm: a private one-node cluster, started and removed by the test.

It has a fourth of the test study's runs, since through Slurm every job loads its libraries anew: enough for work at
every stage, the regression among them.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import slurm_cluster
from checkout import copy_project, snakemake
from finished_study import RESULTS
from plw.files import read_json
from same_results import contents, without

pytestmark = [pytest.mark.study, pytest.mark.slurm, pytest.mark.slow, pytest.mark.r]
RUNS = 3 + 1  # main, ratios
OF_THE_FOLDER = {"path", "specification"}  # a model's place, and the sum of what says where the questions lie
STUDY = """base: test
description: A part of the test study, through Slurm.
experiments: {main: {ptlms: [strong]}, ratios: {datasets: [plain], plw: [0.0]}}
judges: {pandalm: {together: study}, alpaca_eval: {together: ptlm}}
run_experiments: [main, ratios]
"""


def verdicts(folder: Path) -> dict[str, dict]:
    """What a judge said of each run."""
    return {run: found for file in folder.glob("*.json") for run, found in read_json(file)["runs"].items()}


def test_the_slurm_profile_runs_a_study_to_its_end_and_each_run_is_the_one_made_without_it(finished_study, tmp_path):
    if reason := slurm_cluster.why_not():
        pytest.skip(reason)
    project = copy_project(tmp_path / "project")
    (project / "through_slurm.yaml").write_text(STUDY)
    with slurm_cluster.cluster(tmp_path / "cluster") as environment:
        done = snakemake(
            *("--profile", "slurm", "--config", "study=through_slurm.yaml"),
            # A test need not spare the controller: ask it often.
            *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
            *("--latency-wait", "10"),
            folder=project,
            environment=environment,
            timeout=1500,
        )
        output = done.stdout + done.stderr
        left = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True).stdout
    assert done.returncode == 0, output[-6000:]
    results = project / "results/through_slurm"
    assert (results / "report.html").stat().st_size > 10_000
    assert {"short.json", "short.checks.json"} <= set(os.listdir(results / "regression"))
    # Each training, evaluation, measurement and judgement is a Slurm job of its own.
    runs = sorted(os.listdir(results / "runs"))
    judgements = len(list((results / "judgements").glob("*/*.json")))
    submitted = set(re.findall(r"SLURM jobid '?(\d+)", output))
    assert judgements == 2  # each judge is loaded once for all runs
    assert len(runs) == RUNS and len(submitted) > 3 * RUNS + judgements
    assert left == ""
    for run in runs:
        found, expected = (
            without(contents(folder / "runs" / run), OF_THE_FOLDER) for folder in (results, finished_study / RESULTS)
        )
        assert found == expected, run
    for name in ("alpaca_eval", "pandalm"):
        ours, theirs = (verdicts(folder / "judgements" / name) for folder in (results, finished_study / RESULTS))
        assert ours == {run: theirs[run] for run in runs}, "one load for all runs or for those of a data set"

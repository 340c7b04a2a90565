"""A study on a real Slurm: a private one-node cluster, started and removed by the test.

Through Slurm every job loads its libraries anew, so it is the test study, finished without Slurm, that goes on there:
two of its runs are gone, and each stage of a study but its world has work, from training to claims.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import slurm_cluster
from checkout import snakemake
from finished_study import RESULTS
from plw.files import read_json
from same_results import contents, without

pytestmark = [pytest.mark.study, pytest.mark.slurm, pytest.mark.slow, pytest.mark.r]
RUNS = 6 + 1  # main, ratios
GONE = ("strong-short-plw1-nonzero_count-none-s42", "weak-short-plw0-nonzero_count-none-s42")
STAGES = {  # how many jobs of each rule Slurm gets
    "train_model": 2, "evaluate_model": 2, "measure_mechanism": 2,
    "judge_outputs": 1 + 2,  # PandaLM is loaded once for all runs, AlpacaEval's judge for those of a ptlm
    "fit_glmm": 1, "check_regression": 1, "judge_claims": 1,
}  # fmt: skip
OF_THE_FOLDER = {"path", "specification"}  # a model's place, and the sum of what says where the questions lie
STUDY = """name: test
base: test
experiments: {ratios: {datasets: [plain], plw: [0.0]}}
judges: {pandalm: {together: study}, alpaca_eval: {together: ptlm}}
run_experiments: [main, ratios]
"""


def verdicts(folder: Path) -> dict[str, dict]:
    """What a judge said of each run."""
    return {run: found for file in folder.glob("*.json") for run, found in read_json(file)["runs"].items()}


def test_the_slurm_profile_runs_a_study_to_its_end_and_each_run_is_the_one_made_without_it(finished_study, tmp_path):
    if reason := slurm_cluster.why_not():
        pytest.skip(reason)
    project = shutil.copytree(finished_study, tmp_path / "project", symlinks=True)
    results, expected = project / RESULTS, finished_study / RESULTS
    (project / "through_slurm.yaml").write_text(STUDY)
    for gone in ("judgements", "regression", *(f"runs/{run}" for run in GONE)):
        shutil.rmtree(results / gone)
    (results / "report.html").unlink()
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
    assert (results / "report.html").stat().st_size > 10_000
    assert {"short.json", "short.checks.json"} <= set(os.listdir(results / "regression"))
    # Each training, evaluation, measurement, judgement and fit is a Slurm job of its own.
    submitted = re.findall(r"SLURM jobid '?\d+'? \(log: \S+/rule_(\w+?)/", output)
    assert Counter(submitted) == STAGES
    assert left == ""
    for run in GONE:
        found, made = (without(contents(folder / "runs" / run), OF_THE_FOLDER) for folder in (results, expected))
        assert found == made, run
    for name in ("alpaca_eval", "pandalm"):
        ours, theirs = (verdicts(folder / "judgements" / name) for folder in (results, expected))
        assert len(ours) == RUNS and ours == {run: theirs[run] for run in ours}, "one load, more runs"

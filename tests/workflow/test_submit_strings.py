"""What Slurm is asked for: the sbatch command of every rule of the paper study, as the plugin itself builds it."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, copy_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
PROFILE = ROOT / "slurm/config.yaml"
SMALL = "-t 60 --mem 4000 --nodes=1 --ntasks=1 --cpus-per-task=1"
TRAINING = "--mem 100000 --nodes=1 --cpus-per-task=32 --gpus=4"
ONE_GPU = "--mem 64000 --nodes=1 --cpus-per-task=8 --gpus=1"
# Rule → what its jobs ask for, and how many jobs ask for that. Minutes come from the plan.
ASKED = {
    "train_model": {
        f"-t 60 {TRAINING}": 60,  # Dolly
        f"-t 120 {TRAINING}": 20,  # AlpacaData
        f"-t 150 {TRAINING}": 168,
        f"-t 180 {TRAINING}": 10,  # LLaMA 3 8B on UltraFeedbackShort
        f"-t 210 {TRAINING}": 20,  # UltraFeedback
        f"-t 240 {TRAINING}": 10,
    },
    "evaluate_model": {
        f"-t 120 {ONE_GPU}": 128,  # without translation
        f"-t 150 {ONE_GPU}": 40,
        f"-t 660 {ONE_GPU}": 120,
    },
    "measure_mechanism": {
        "-t 60 --mem 64000 --nodes=1 --ntasks=1 --cpus-per-task=8": 200,  # weight distance alone: no GPU
        f"-t 60 {ONE_GPU}": 88,
    },
    "judge_outputs": {
        "-t 60 --mem 64000 --nodes=1 --cpus-per-task=8 --gpus=4": 20,
        "-t 210 --mem 64000 --nodes=1 --cpus-per-task=8 --gpus=4": 2,  # of the many runs on AlpacaDataShort
        f"-t 180 {ONE_GPU}": 20,
        f"-t 750 {ONE_GPU}": 2,
    },
    "fit_glmm": {SMALL: 3},
    "check_regression": {SMALL: 3},
    "fit_gam": {SMALL: 1},
    "judge_claims": {SMALL: 1},
}


def commands(folder: Path, *arguments: str) -> dict[str, dict[str, int]]:
    """Rule → what its sbatch commands ask for → number of jobs, in a copy of the project in which nothing was run."""
    project = folder / "project"
    if not project.exists():
        copy_project(project)
    written = folder / "commands.jsonl"
    program = [sys.executable, str(ROOT / "tests/submit_strings.py"), str(written)]
    call = [*program, "--dry-run", "--forceall", "--cores", "1000", *arguments]  # a cluster's, so that none is capped
    done = subprocess.run(call, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    asked: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in written.read_text().splitlines():
        job = json.loads(line)
        asked[job["rule"]][job["command"].partition("--comment JOB ")[2]] += 1
    return asked


def gres_lines() -> dict:
    """The lines that the profile gives for clusters that take GPUs only by --gres."""
    lines = [line[1:] for line in PROFILE.read_text().splitlines() if line.startswith("#   ") and "gres:" in line]
    return yaml.safe_load("\n".join(lines))


def test_the_paper_asks_for_what_its_jobs_need_on_one_node_each(tmp_path):
    assert commands(tmp_path, "--profile", "slurm", "--config", "study=paper") == ASKED


def test_the_profiles_gres_lines_ask_for_the_same_without_gpus(tmp_path):
    profile = yaml.safe_load(PROFILE.read_text())
    profile["set-resources"] = gres_lines()
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(yaml.safe_dump(profile))
    expected = {
        rule: {asked.replace("--gpus=", "--gres=gpu:"): count for asked, count in found.items()}
        for rule, found in ASKED.items()
    }
    assert commands(tmp_path, "--profile", str(tmp_path / "profile"), "--config", "study=paper") == expected


def test_a_study_whose_device_is_auto_asks_for_a_gpu_and_one_for_the_cpu_does_not(tmp_path):
    for study, gpus in (("smol", 1), ("demo", 0)):
        asked = commands(tmp_path, "--profile", "slurm", "--config", f"study={study}")
        for rule in ("train_model", "evaluate_model"):
            assert all(("--gpus=1" in command) == bool(gpus) for command in asked[rule]), study
            assert not any("--gres" in command for command in asked[rule])

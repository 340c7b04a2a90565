"""How many fine-tuned models lie on the disk at once: Snakemake's own scheduler on programs that only make files."""

import re

import pytest
import yaml
from checkout import copy_project, snakemake
from tiny import tiny_model

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
CORES = 4
RUNS = 20  # two ptlms, ten PLWs
STUDY = {
    "name": "alive",
    "ptlms": {name: {"label": name, "source": {"path": f"ptlms/{name}"}} for name in ("one", "two")},
    "tokenizer_of": "one",
    "datasets": {"mine": {"label": "Mine", "source": {"path": "mine.jsonl"}, "format": "alpaca"}},
    "experiments": {"main": {"ptlms": ["one", "two"], "datasets": ["mine"]}},
    "run_experiments": ["main"],
    "training": {"processes": 1, "threads": 1, "device": "cpu"},
    "evaluation": {"benchmarks": ["piqa"], "device": "cpu", "threads": 1},
    "mechanism": {"memorisation": {"datasets": []}},
}
# Makes the files that its flags name; a training waits as long as a measurement and says how many models there are.
PROGRAM = """
import sys, time
from pathlib import Path
outputs = ("--instances", "--rows", "--model-dir", "--loss", "--run-json", "--index", "--out", "--windows")
for flag, value in zip(sys.argv, sys.argv[1:]):
    if flag == "--model-dir":
        Path(value).mkdir(parents=True, exist_ok=True)
        (Path(value) / "model.safetensors").write_bytes(bytes(100_000))
        found = len(list(Path("results/alive/runs").glob("*/model/model.safetensors")))
        with open("alive.txt", "a") as stream:
            print(found, file=stream)
    elif flag in outputs and not Path(value).exists():
        Path(value).write_text("{}")
time.sleep(0.2)
"""


def most_alive(project) -> int:
    """Run the study in `project` and return the largest number of models that were there at once."""
    done = snakemake("--cores", str(CORES), "--config", "study=alive.yaml", "--", "results/alive/mechanism.csv",
                     folder=project)  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    counts = [int(line) for line in (project / "alive.txt").read_text().split()]
    assert len(counts) == RUNS
    assert not list(project.glob("results/alive/runs/*/model"))
    return max(counts)


@pytest.fixture
def project(tmp_path):
    """A copy of the project whose programs only make files, with a study of twenty runs whose models are temporary."""
    copy_project(tmp_path)
    for name in ("prepare_dataset", "train_model", "evaluate_model", "measure_mechanism", "collect_mechanism"):
        (program,) = (tmp_path / "scripts").glob(f"*/{name}.py")
        program.write_text(PROGRAM)
    (tmp_path / "mine.jsonl").write_text("{}\n")
    for name in ("one", "two"):
        tiny_model(tmp_path / "ptlms" / name)
    (tmp_path / "alive.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def test_models_are_measured_and_deleted_before_further_trainings_start(project):
    # Those in training, and those whose two measurements wait for a core or run.
    assert most_alive(project) <= 2 * CORES


def test_the_count_sees_what_happens_without_the_rules_priority(project):
    for path in (project / "workflow/rules").glob("*.smk"):
        path.write_text(re.sub(r"\n +priority: .*", "", path.read_text()))
    assert most_alive(project) > 2 * CORES

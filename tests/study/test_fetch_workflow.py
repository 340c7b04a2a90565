"""The target `fetch` in the workflow: before jobs are queued, and what jobs do after it."""

import json
import os

import pytest
from checkout import ROOT, copy_project, snakemake
from hub_models import sharded
from hub_repositories import alpaca_rows, lines, piqa_rows
from hub_server import ACCEPTED

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
COMMIT = "e" * 40
STUDY = f"""
base: paper
ptlms: {{tiny: {{label: Tiny, parameters: 1.0e+5, source: {{hub: o/model, revision: {COMMIT}}}}}}}
tokenizer_of: tiny
datasets: {{rows: {{label: Rows, source: {{hub: o/rows, revision: {COMMIT}}}, format: alpaca}}}}
experiments: {{main: {{ptlms: [tiny], datasets: [rows], plw: [0.0, 1.0]}}}}
run_experiments: [main]
evaluation: {{benchmarks: [piqa]}}
benchmarks: {{piqa: {{source: {{hub: o/piqa, revision: {COMMIT}}}}}}}
"""
DATA = ["results/mine/data/rows/statistics.json", "results/mine/data/rows/instances.jsonl"]


@pytest.fixture
def project(hub, tmp_path):
    """A checkout with a study whose sources are on the local Hub, and the environment to reach it."""
    folder = copy_project(tmp_path / "project")
    (folder / "mine.yaml").write_text(STUDY)
    hub.add("o/rows", {"train.jsonl": lines(alpaca_rows(20))}, kind="dataset", commit=COMMIT)
    hub.add("o/piqa", {"validation.jsonl": lines(piqa_rows(3))}, kind="dataset", commit=COMMIT)
    hub.add("o/model", sharded(tmp_path / "model"), commit=COMMIT, gated=True)
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT / "scripts")}
    return folder, variables


def call(project, *arguments: str, **changes):
    folder, variables = project
    return snakemake(
        *arguments, "--config", "study=mine.yaml", folder=folder, environment={**variables, **changes}, timeout=300
    )


def test_jobs_after_a_fetch_ask_nobody_and_one_whose_source_is_gone_says_so_by_name(hub, project, tmp_path):
    done = call(project, "--cores", "1", "fetch", HF_TOKEN=ACCEPTED)
    assert done.returncode == 0, done.stderr
    assert "Fetched: 3 sources, 0.00 GB" in done.stderr and "Not pinned" not in done.stderr
    record = json.loads((project[0] / "results/mine/fetched.json").read_text())
    assert {entry["hub"] for entry in record["sources"]} == {"o/model", "o/rows", "o/piqa"}
    for file in (project[0] / "results").rglob("*"):
        assert not file.is_file() or ACCEPTED not in file.read_text(errors="replace"), file
    hub.requests.clear()
    done = call(project, "--cores", "1", *DATA)  # no token is needed any more
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
    (tmp_path / "hf").rename(tmp_path / "elsewhere")
    done = call(project, "--cores", "1", "--force", DATA[1])
    assert done.returncode != 0
    message = done.stdout + done.stderr
    assert "not fetched" in message and f"o/rows@{COMMIT}" in message and "snakemake --cores 1 --force fetch" in message
    assert hub.requests == []


def test_a_source_that_follows_a_branch_is_fetched_with_the_line_that_pins_it(hub, project):
    (project[0] / "mine.yaml").write_text(STUDY.replace(f"o/piqa, revision: {COMMIT}", "o/piqa, revision: main"))
    done = call(project, "--cores", "1", "fetch", HF_TOKEN=ACCEPTED)
    assert done.returncode == 0, done.stderr
    assert "Not pinned: o/piqa (revision: main)" in done.stderr and f"\n    revision: {COMMIT}\n" in done.stderr
    assert "benchmarks.piqa.source" in done.stderr
    record = json.loads((project[0] / "results/mine/fetched.json").read_text())
    assert [entry["commit"] for entry in record["sources"] if entry["hub"] == "o/piqa"] == [COMMIT]


def test_a_refused_licence_ends_the_fetch_with_the_page_to_go_to_and_leaves_no_record(hub, project):
    done = call(project, "--cores", "1", "fetch")
    assert done.returncode != 0
    assert f"Accept it at {hub.endpoint}/o/model" in done.stdout + done.stderr
    assert not (project[0] / "results/mine/fetched.json").exists()
    assert not [request for request in hub.requests if request.path.endswith(".safetensors")]


def test_on_a_cluster_nothing_is_queued_before_the_fetch(hub, project):
    # The plugin's own checks need a cluster's programs only when a job is submitted, which must not happen.
    done = call(project, "--executor", "slurm", "--jobs", "2", "scores")
    message = done.stdout + done.stderr
    assert done.returncode != 0
    assert "needs 3 sources from the network" in message and "snakemake --cores 1 fetch" in message
    assert not (project[0] / "results/mine/runs").exists() and hub.requests == []

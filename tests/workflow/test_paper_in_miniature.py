"""The whole `paper` study on small twins: fetched from a local Hub, then to the report with nobody to ask.

The study is config/studies/paper.yaml as it stands; `tests/miniature.py` holds the twins and, with its reasons, all
that the miniature changes.
"""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import completions_server
import pytest
import yaml
from checkout import ROOT, copy_project, snakemake
from hub_server import ACCEPTED, HubServer
from miniature import serve_paper, study_text
from plw.study.sources import load_registry

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]
SOURCES = load_registry(ROOT / "config" / "sources.yaml")
PAPER = yaml.safe_load((ROOT / "config/studies/paper.yaml").read_text())
RESULTS = Path("results/miniature")
STUDY = ("--config", "study=miniature.yaml")
ARTIFACTS = [*(f"figure_{n}" for n in range(1, 11)), *(f"table_{n}" for n in range(1, 7)), "table_losses"]
RUNS = 12 + 2 + 4 + 3 + 1  # main, regularizers, datasets, ratios, losses
OF_SMOL = {"smollm2_135m", "smollm2_360m", "qwen2_5_7b_instruct"}  # of config/studies/smol.yaml alone
JUDGE = SOURCES["mixtral_8x7b_instruct"]
KEY = "for-the-judge"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project in which the miniature was fetched with the Hub, and made without it."""
    folder = tmp_path_factory.mktemp("miniature")
    project = copy_project(folder / "project")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"HF_HOME": str(folder / "hf"), "OPENAI_API_KEY": KEY}
    port = free_port()
    with HubServer() as hub:
        serve_paper(hub, SOURCES, folder / "made")
        (project / "miniature.yaml").write_text(study_text(hub, f"http://127.0.0.1:{port}/v1"))
        # Written down for the calls after it too: the server is then gone, and whoever asks it fails.
        variables["HF_ENDPOINT"] = hub.endpoint
        finish("--cores", "1", "fetch", folder=project, environment={**variables, "HF_TOKEN": ACCEPTED})
    with judge_server(port, variables, folder / "judge.log"):
        finish("--cores", "all", folder=project, environment=variables)
    return project


def finish(*arguments: str, folder: Path, environment: dict) -> None:
    done = snakemake(*arguments, *STUDY, folder=folder, environment=environment, timeout=3000)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class judge_server:
    """The Mixtral twin as it was fetched, behind an OpenAI-compatible address."""

    def __init__(self, port: int, variables: dict, log: Path):
        self.port, self.log = port, log
        paths = os.pathsep.join(path for path in sys.path if path)
        self.variables = {**variables, "PYTHONPATH": paths, "VLLM_API_KEY": KEY, "HF_HUB_OFFLINE": "1"}

    def __enter__(self):
        command = [sys.executable, completions_server.__file__, "--port", str(self.port)]
        command += ["--model", JUDGE["hub"], "--revision", JUDGE["revision"]]
        with open(self.log, "wb") as stream:
            self.process = subprocess.Popen(command, env=self.variables, stdout=stream, stderr=stream)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.2)
        raise TimeoutError(self.log.read_text())

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(30)


def rows(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_source_was_fetched_at_its_revision_and_read(project):
    record = json.loads((project / RESULTS / "fetched.json").read_text())
    fetched = {entry["hub"]: entry["commit"] for entry in record["sources"] if "hub" in entry}
    named = {
        entry["hub"]: entry["revision"] for name, entry in SOURCES.items() if "hub" in entry and name not in OF_SMOL
    }
    assert set(fetched) == set(named)
    assert all(fetched[hub] == revision for hub, revision in named.items() if revision != "main")
    assert len(record["read"]) == 3 + 4 + 13 + 2  # ptlms, data sets with a source, benchmarks, judges


def test_every_run_was_trained_by_two_ranks_under_zero_3_with_bfloat16(project):
    runs = rows(project / RESULTS / "runs.csv")
    assert len(runs) == RUNS
    assert {row["dataset"] for row in runs} == set(PAPER["datasets"])
    for row in runs:
        record = json.loads((project / RESULTS / "runs" / row["run"] / "run.json").read_text())
        assert record["processes"] == 2 and record["updates"] > 0
        assert record["source"]["hub"] == SOURCES[row["ptlm"]]["hub"]
        assert record["weight_distance"]["dtypes"]["model"] == ["F32"]  # taken from the ranks' own float32 parts
        for key in ("zero_stage", "compute_dtype", "save_dtype", "micro_batch", "epochs", "normalization_unit"):
            assert record["training"][key] == PAPER["training"][key], key


def test_both_judges_gave_verdicts_that_differ(project):
    for benchmark, values in (("alpaca_eval", {1.0, 2.0}), ("pandalm", {0.0, 1.0})):
        files = sorted((project / RESULTS / "judgements" / benchmark).glob("*.json"))
        judged = [result for file in files for result in json.loads(file.read_text())["runs"].items()]
        assert len(judged) == RUNS
        asked = [item for _, result in judged for item in result["items"] if item["asked"]]
        assert all(result["n_parsed"] == result["n_asked"] for _, result in judged)
        assert values <= {item["preference"] for item in asked}, benchmark


def test_every_artifact_and_the_report_are_there(project):
    names = [f"figures/{name}.{kind}" for name in ARTIFACTS[:10] for kind in ("pdf", "png", "csv")]
    names += [f"tables/{name}.{kind}" for name in ARTIFACTS[10:] for kind in ("csv", "md", "tex")]
    for name in names:
        assert (project / RESULTS / name).stat().st_size > 50, (
            name
        )  # Figure 10 has columns alone: two ratios, no surface
    page = (project / RESULTS / "report.html").read_text(encoding="utf-8")
    for anchor in ARTIFACTS:
        assert f'id="{anchor}"' in page
    claims = json.loads((project / RESULTS / "claims.json").read_text())["claims"]
    assert len(claims) == 40


def test_the_score_table_is_whole(project):
    missing = json.loads((project / RESULTS / "missing.json").read_text())["missing"]
    assert missing == []
    table = rows(project / RESULTS / "scores.csv")
    cells = {(row["run"], row["benchmark"]) for row in table}
    assert len(cells) == 13 * (12 + 3 + 1) + 7 * (2 + 4)

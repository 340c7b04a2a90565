"""The program that fetches, as a user starts it: alone, killed, twice at once, on a full disk; and the token."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT
from hub_models import pickled, sharded
from hub_repositories import alpaca_rows, lines, piqa_rows
from hub_server import ACCEPTED, DEFAULT_COMMIT, Fault
from plw.study.sources import read_rows

pytestmark = pytest.mark.slow
COMMIT = "e" * 40
ROWS = {"hub": "o/rows", "revision": COMMIT}
BIG = lines(alpaca_rows(4000))  # some 0.5 MB: many pieces


def unfinished(folder: Path) -> list[Path]:
    """Downloads that are not whole, in the client's cache."""
    return [path for path in folder.rglob("*") if ".incomplete" in path.name]


def command_lines(process: subprocess.Popen) -> str:
    """What a list of processes shows of this one and its children, once they are there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        with contextlib.suppress(OSError):
            shown = [Path(f"/proc/{number}/cmdline").read_bytes().decode() for number in (process.pid, *children)]
            if len(shown) > 1 and shown[1]:
                return "".join(shown)
        time.sleep(0.05)
    raise TimeoutError("no process was started")


STUDY = """
base: paper
ptlms: {{tiny: {{label: Tiny, parameters: 1.0e+5, source: {{hub: o/model, revision: {commit}}}}}}}
tokenizer_of: tiny
datasets: {{rows: {{label: Rows, source: {{hub: o/rows, revision: {commit}}}, format: alpaca}}}}
experiments: {{main: {{ptlms: [tiny], datasets: [rows], plw: [0.0, 1.0], benchmarks: [piqa, pandalm]}}}}
run_experiments: [main]
evaluation: {{benchmarks: [piqa, pandalm]}}
benchmarks:
  pandalm: {{source: {{hub: o/prompts, revision: {commit}}}}}
  piqa: {{source: {{hub: o/piqa, revision: {commit}}}}}
judges: {{pandalm: {{source: {{hub: o/judge, revision: main}}, reference: {{ptlm: tiny, dataset: rows, plw: 0.0}}}}}}
"""


@pytest.fixture
def small(hub, tmp_path):
    """A study file with everything on the local Hub, its model gated and its judge pickled, and a real environment."""
    file = tmp_path / "small.yaml"
    file.write_text(STUDY.format(commit=COMMIT))
    rows = {"o/rows": {"train.jsonl": BIG}, "o/piqa": {"validation.jsonl": lines(piqa_rows(3))}}
    for name, files in {**rows, "o/prompts": {"test.json": json.dumps(alpaca_rows(3))}}.items():
        hub.add(name, files, kind="dataset", commit=COMMIT)
    hub.add("o/model", sharded(tmp_path / "model"), commit=COMMIT, gated=True)
    hub.add("o/judge", pickled(tmp_path / "judge"), commit=DEFAULT_COMMIT)
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ACCEPTED}
    variables |= {"PYTHONPATH": str(ROOT / "scripts"), "HF_DEBUG": "1"}  # the client at its most talkative
    config, sources, record = json.dumps({"study": str(file)}), tmp_path / "sources.json", tmp_path / "fetched.json"
    program = (  # as the rules call them
        f"{sys.executable} scripts/study/fetch_sources.py --config '{config}' --record {sources}$$ &&"
        f" {sys.executable} scripts/evaluation/read_sources.py --config '{config}' --sources {sources}$$"
        f" --record {record}"
    )
    return ["bash", "-c", program], variables, tmp_path


def start(small, **changes) -> subprocess.Popen:
    program, variables, _ = small
    return subprocess.Popen(
        program, cwd=ROOT, env={**variables, **changes}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def test_the_program_fetches_reads_and_records_and_shows_the_token_nowhere(hub, small):
    process = start(small)
    shown = command_lines(process)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    folder = small[2]
    record = json.loads((folder / "fetched.json").read_text())
    assert record["read"]["benchmarks.piqa.source"] == {"rows": 3}
    assert record["read"]["benchmarks.pandalm.source"] == {"rows": 3}
    assert record["read"]["datasets.rows.source"]["rows_kept"] == 4000
    assert record["read"]["judges.pandalm.source"]["model_type"] == "llama"
    assert "fetch_sources.py" in shown and ACCEPTED not in output + shown
    for file in folder.rglob("*"):
        assert not file.is_file() or ACCEPTED.encode() not in file.read_bytes(), file
    for request in hub.requests:
        assert ACCEPTED not in request.path
        assert request.host == "hub" or request.authorization is None  # the other host gets no token


def test_what_was_fetched_is_loaded_without_the_hub_and_what_was_not_fails_by_name_in_seconds(hub, small):
    process = start(small)
    assert process.communicate(timeout=120) and process.returncode == 0
    asked = len(hub.requests)
    program = (
        "from plw.models.loading import load_model; from plw.data.tokenizers import load_tokenizer\n"
        "judge = {'hub': 'o/judge', 'revision': 'main'}\n"
        f"for source in (judge, {{'hub': 'o/model', 'revision': '{COMMIT}'}}):\n"
        "    model, tokenizer = load_model(source), load_tokenizer(source)\n"
        "    print(sum(p.abs().sum() for p in model.parameters()) > 0, len(tokenizer))\n"
        "load_model({'hub': 'o/other', 'revision': 'main'})\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], env={**small[1], "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    assert done.stdout.count("True") == 2, done.stderr
    assert "o/other" in done.stderr and "snakemake" in done.stderr
    assert time.monotonic() - started < 30 and len(hub.requests) == asked


def test_a_fetch_that_is_killed_leaves_nothing_that_is_taken_for_whole(hub, small):
    hub.faults["train.jsonl"] = Fault(delay=0.2)
    process = start(small)
    folder = small[2] / "hf" / "hub"
    deadline = time.monotonic() + 60
    while not unfinished(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert unfinished(folder)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (small[2] / "fetched.json").exists()
    hub.faults.clear()
    again = start(small)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert len(list(read_rows(ROWS))) == 4000


def test_two_fetches_at_once_end_well_with_the_same_files(hub, small):
    hub.faults["train.jsonl"] = Fault(delay=0.02)
    processes = [start(small), start(small)]
    for process in processes:
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
    assert not unfinished(small[2] / "hf" / "hub")
    assert not list((small[2] / "hf" / "plw" / "converted").glob(".*"))
    assert len(list(read_rows(ROWS))) == 4000


def test_a_full_disk_is_told_and_what_is_whole_stays(hub, small):
    """A limit on the size of a file stands for a disk without room: the write fails in the same place."""
    process = subprocess.Popen(
        small[0], cwd=ROOT, env={**small[1], "HF_DEBUG": "0"}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )  # fmt: skip
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in output
    assert "no room left" in output and "HF_HOME" in output
    assert not unfinished(small[2] / "hf" / "hub") and not (small[2] / "fetched.json").exists()
    again = start(small)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output

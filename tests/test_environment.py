"""Programs give the same bytes whatever shell started them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import training_runs
from checkout import ROOT
from hostile_environment import MATPLOTLIBRC, RPROFILE, hostile
from plw import environment as own
from plw.files import write_json
from simulated_scores import score_table
from tiny import tiny_instances, tiny_model

PROGRAMS = sorted(path for path in ROOT.glob("scripts/*/*.py") if path.parent.name not in ("plw", "plw_world"))
BASE = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
REGRESSION = json.dumps({"sensitivity": False, "simulations": 20})


def test_a_closed_environment_is_not_changed_by_closing_it_again(tmp_path):
    once = own.closed(hostile(tmp_path, BASE), threads=3)
    assert own.closed(once, threads=3) == once
    assert own.shell_commands(own.closed(once)) == ""


def test_what_says_where_things_are_stays():
    kept = {
        "PATH": "a",
        "HOME": "b",
        "HF_HOME": "c",
        "HF_TOKEN": "d",
        "R_LIBS": "e",
        "CUDA_VISIBLE_DEVICES": "1",
        "SLURM_JOB_ID": "2",
    }
    assert kept.items() <= own.closed(kept).items()


def test_only_under_torchrun_the_variables_of_ranks_stay():
    ranks = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "TORCHELASTIC_RUN_ID": "x"}
    assert not ranks.keys() & own.closed(ranks).keys()
    assert ranks.items() <= own.closed(ranks, torchrun=True).items()
    assert not own.started_by_torchrun(ranks, os.getpid()), "a test process is no torchrun, whatever the variables say"
    forked = {own.FORKED: f"{os.getpid()} torch.distributed.run"}
    assert own.started_by_torchrun(ranks | forked, os.getpid()) and not own.started_by_torchrun(forked, os.getpid())
    assert not own.started_by_torchrun(ranks | forked, os.getppid()), "left over from another torchrun"


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [
        (["x", "--threads", "2"], 2),
        (["--threads=3"], 3),
        (["--threads"], None),
        (["--threads", "-1"], None),
        ([], None),
    ],
)
def test_the_threads_of_a_command_line(arguments, threads):
    assert own.threads_asked(arguments) == threads
    expected = {str(threads)} if threads else set()
    assert {own.closed({}, threads=threads).get(name) for name in own.THREADS} - {None} == expected


def test_the_shell_of_a_rule_comes_out_closed(tmp_path):
    start = hostile(tmp_path, BASE)
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    command = f"{own.shell_commands(start)}{sys.executable} -c '{code}'"
    done = subprocess.run(["bash", "-c", command], env=start, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert own.closed(seen) == seen


def test_without_a_writable_home_caches_go_elsewhere_and_what_is_set_stays():
    assert not own.home_writable({"HOME": "/dev/null"})
    closed = own.closed({"HOME": "/dev/null", "MPLCONFIGDIR": "/m"}, home=False)
    assert closed["MPLCONFIGDIR"] == "/m"
    assert not closed["XDG_CACHE_HOME"].startswith("/dev/null")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_program_closes_its_environment_off_before_it_imports_anything_else(program):
    imports = re.findall(r"^(?:from|import) ([\w.]+)", program.read_text(encoding="utf-8"), re.MULTILINE)
    assert imports[0] == "plw.program"


def test_the_document_shows_the_table_of_the_code():
    assert own.table() in (ROOT / "docs/environment.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ real programs


def bytes_of(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


def start(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    program, *rest = words
    command = [sys.executable, str(ROOT / program), *rest]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def figure_1(folder: Path, environment: dict[str, str]) -> dict[str, bytes]:
    """The files of Figure 1, drawn in `folder`."""
    folder.mkdir(exist_ok=True)
    scores = folder.with_suffix(".scores.csv")
    score_table(plws=(0.0, 0.1, 1.0), benchmarks=3).to_csv(scores, index=False)
    flags = {
        "scores": str(scores),
        "benchmarks": json.dumps([{"name": f"b{index}", "metric": "acc"} for index in range(3)]),
        "datasets": json.dumps([{"name": "short", "label": "Short", "stands_for": "AlpacaDataShort"}]),
        "ptlms": json.dumps([{"name": name, "label": name} for name in ("weak", "strong")]),
        **{name: f"figure.{name}" for name in ("pdf", "png", "csv")},
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    start(["scripts/figures/draw_figure_1.py", *words], folder, environment)
    return bytes_of(folder, "figure.*")


def regression(folder: Path, environment: dict[str, str]) -> dict[str, bytes]:
    """The regression of one data set, fitted in `folder` by R inside the program."""
    folder.mkdir(exist_ok=True)
    scores = folder.with_suffix(".scores.csv")
    score_table(datasets=("short",), benchmarks=4).to_csv(scores, index=False)
    benchmarks = json.dumps([{"name": f"b{index}", "metric": "acc"} for index in range(4)])
    words = ["--scores", str(scores), "--benchmarks", benchmarks, "--dataset", "short", "--out", "short.json"]
    start(["scripts/statistics/fit_glmm.py", *words, "--settings", REGRESSION], folder, environment)
    return bytes_of(folder, "short.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "start_up", "text"),
    [(figure_1, "matplotlibrc", MATPLOTLIBRC), pytest.param(regression, ".Rprofile", RPROFILE, marks=pytest.mark.r)],
    ids=["figure", "regression"],
)
def test_what_is_made_has_the_same_bytes_under_any_environment_and_beside_any_start_up_file(
    tmp_path, made, start_up, text
):
    plain = made(tmp_path / "plain", BASE)
    assert plain
    assert made(tmp_path / "hostile", hostile(tmp_path / "shell", BASE)) == plain
    assert made(tmp_path / "homeless", {**BASE, "HOME": "/dev/null"}) == plain
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / start_up).write_text(text)
    assert made(beside, BASE) == plain


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), ("-m", "plw.preload")], ids=["plain", "preloaded"])
def test_a_training_is_the_same_under_any_environment(tmp_path, launcher):
    tiny_model(tmp_path / "model")
    rows = "".join(json.dumps(row) + "\n" for row in tiny_instances(8, seed=5))
    (tmp_path / "instances.jsonl").write_text(rows)
    weights = {}
    for name, environment in {"plain": BASE, "hostile": hostile(tmp_path / "shell", BASE)}.items():
        command = training_runs.command(tmp_path, tmp_path / name, launcher=(sys.executable, *launcher))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        weights[name] = (tmp_path / name / "model/model.safetensors").read_bytes()
    assert weights["hostile"] == weights["plain"]


@pytest.mark.parametrize("mask", [0o077, 0o002, 0o022])
def test_the_umask_decides_who_may_read_a_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_json(tmp_path / "file.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "file.json").stat().st_mode & 0o777 == 0o666 & ~mask

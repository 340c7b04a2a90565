"""Interrupted training: kill -9, signals, stale and foreign checkpoints."""

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest
import torch
from plw.errors import InputError
from plw.training.checkpoints import MARKER, find_checkpoint, sole_user
from plw.training.fine_tuning import TrainingInterrupted
from plw.training.loss_log import has_rows, keep_rows
from training_runs import command, preloaded_ranks, run, torchrun, wait_for

MANY = {"epochs": 8, "checkpoint_steps": 2}  # 24 updates


@pytest.fixture(scope="module")
def uninterrupted(world, tmp_path_factory):
    return run(world, tmp_path_factory.mktemp("whole"), **MANY)


def without_time(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("at", [10])
def test_a_killed_run_resumes_and_ends_with_bitwise_the_same_weights(world, tmp_path, uninterrupted, at):
    with subprocess.Popen(command(world, tmp_path, **MANY)) as process:
        wait_for(tmp_path / "checkpoints" / f"checkpoint-{at}" / MARKER, process)
        process.kill()
    assert not (tmp_path / "model").exists() and not (tmp_path / "loss.csv").exists()
    rows, weights, record = run(world, tmp_path, **MANY)
    assert record["resumed_from"] >= at
    assert torch.equal(weights, uninterrupted[1])
    assert without_time(rows) == without_time(uninterrupted[0])
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR1])
def test_a_signal_ends_the_run_with_a_checkpoint_and_a_failure(world, tmp_path, uninterrupted, number):
    settings = MANY | {"checkpoint_steps": None}
    log = tmp_path / "checkpoints" / "loss.csv"
    with subprocess.Popen(command(world, tmp_path, **settings), stderr=subprocess.PIPE, text=True) as process:
        wait_for(log, process)
        process.send_signal(number)
        message = process.stderr.read()
    assert process.returncode == 75  # "try again"
    assert "a rerun resumes" in message and "Traceback" not in message
    (saved,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    assert (saved / MARKER).exists()
    _, weights, record = run(world, tmp_path, **settings)
    assert record["resumed_from"] == int(saved.name.rpartition("-")[2])
    assert torch.equal(weights, uninterrupted[1])


def stop_after(update, monkeypatch):
    """Make the next run in this process stop as if a signal had come during `update`."""
    from plw.training import loss_log

    original = loss_log.LossLog.on_step_end

    def on_step_end(self, arguments, state, control, **kwargs):
        self.stop_requested = state.global_step == update
        return original(self, arguments, state, control, **kwargs)

    monkeypatch.setattr(loss_log.LossLog, "on_step_end", on_step_end)


def test_dropout_goes_on_with_the_same_random_numbers_after_a_resume(world, tmp_path, monkeypatch):
    row = {"regularizer": "dropout", "strength": 0.3}
    whole = run(world, tmp_path / "a", row=row)
    with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted, match="after update 1 of 3"):
        stop_after(1, patch)
        run(world, tmp_path / "b", row=row)
    resumed = run(world, tmp_path / "b", row=row)
    assert resumed[2]["resumed_from"] == 1
    assert torch.equal(whole[1], resumed[1])


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"plw": 0.2}, {"normalization_unit": "update"}])
def test_a_checkpoint_of_other_settings_is_not_continued(world, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted):
        stop_after(2, patch)
        run(world, tmp_path)
    found = run(world, tmp_path, **change)
    assert found[2]["resumed_from"] == 0
    assert [row["step"] for row in found[0]] == [1, 2, 3]


def test_another_physical_layout_may_continue(world, tmp_path, monkeypatch):
    whole = run(world, tmp_path / "a")
    with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted):
        stop_after(2, patch)
        run(world, tmp_path / "b")
    found = run(world, tmp_path / "b", physical_batch=3)
    assert found[2]["resumed_from"] == 2
    assert torch.allclose(found[1], whole[1], atol=1e-6)


def test_a_second_training_of_the_same_run_is_refused_while_the_first_lives(world, tmp_path):
    with sole_user(tmp_path / "checkpoints"), pytest.raises(InputError, match=f"process {os.getpid()}"):
        run(world, tmp_path)
    assert run(world, tmp_path)[2]["updates"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("python", "processes"), [("python", 2), ("python -m plw.preload", 4)]
)  # there each rank has a client
def test_workers_whose_torchrun_was_killed_save_and_stop(world, tmp_path, python, processes):
    settings = MANY | {"epochs": 200}
    variables = {**os.environ, "PLW_PYTHON": python, "HF_HOME": str(tmp_path)}  # another home, another server
    with subprocess.Popen(command(world, tmp_path, launcher=torchrun(2), **settings), env=variables) as process:
        wait_for(tmp_path / "checkpoints" / "checkpoint-4" / MARKER, process)
        workers = psutil.Process(process.pid).children(recursive=True)
        servers = {rank.parent() for rank in workers if rank.parent().parent() in workers}  # which live on
        workers = [worker for worker in workers if worker not in servers]
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == processes and alive == [] and not (tmp_path / "model").exists()
    assert find_any_checkpoint(tmp_path / "checkpoints")


@pytest.mark.slow
def test_ranks_that_are_told_to_stop_all_end_with_the_status_that_asks_for_another_try(world, tmp_path):
    settings = MANY | {"epochs": 200}
    call = command(world, tmp_path, launcher=preloaded_ranks(2), **settings)
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path / "checkpoints" / "checkpoint-4" / MARKER, process)
        for rank in psutil.Process(process.pid).children():
            rank.send_signal(signal.SIGUSR1)
        _, message = process.communicate(timeout=120)
    told = re.findall(r"rank +: (\d).*\n.*exitcode *: (-?\d+)", message)  # the first to end is named once more
    assert set(told) == {("0", "75"), ("1", "75")}, message
    assert find_any_checkpoint(tmp_path / "checkpoints")


def find_any_checkpoint(folder):
    return [path for path in folder.glob("checkpoint-*") if (path / MARKER).is_file()]


def make_checkpoint(folder, step, marker):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if marker is not None:
        (path / MARKER).write_text(json.dumps(marker))
    return path


def test_only_the_newest_complete_checkpoint_of_the_run_is_taken(tmp_path):
    mine = {"run": "a", "ranks": 1, "zero_stage": None}
    make_checkpoint(tmp_path, 9, mine)
    wanted = make_checkpoint(tmp_path, 10, mine)
    make_checkpoint(tmp_path, 11, None)
    make_checkpoint(tmp_path, 12, mine | {"run": "b"})
    assert find_checkpoint(tmp_path, mine) == wanted
    assert find_checkpoint(tmp_path, mine | {"run": "c"}) is None
    assert find_checkpoint(tmp_path / "none", mine) is None


def test_partitioned_checkpoints_refuse_another_number_of_ranks(tmp_path):
    make_checkpoint(tmp_path, 5, {"run": "a", "ranks": 2, "zero_stage": 2})
    with pytest.raises(InputError, match="number of processes"):
        find_checkpoint(tmp_path, {"run": "a", "ranks": 4, "zero_stage": 2})


def test_rows_after_the_checkpoint_and_half_rows_are_cut(tmp_path):
    path = tmp_path / "loss.csv"
    keep_rows(path, 0)
    header = path.read_text()
    path.write_text(header + "1,1.0,0,1,9,1,4,1,1\n2,1.0,0,1,9,1,4,1,1\n3,1.0,0,1,9,1,4,1,1\n4,1.0,0")
    assert has_rows(path, 3) and not has_rows(path, 4)
    keep_rows(path, 2)
    assert path.read_text() == header + "1,1.0,0,1,9,1,4,1,1\n2,1.0,0,1,9,1,4,1,1\n"


@pytest.mark.slow
@pytest.mark.parametrize("limit", [100_000])
def test_a_full_disk_leaves_no_damaged_output(world, tmp_path, limit):
    code = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.argv = sys.argv[1:]\nsys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command(world, tmp_path)[1:]], env=os.environ, capture_output=True
    )
    assert done.returncode != 0
    assert [name for name in ("model", "loss.csv", "run.json") if (tmp_path / name).exists()] == []

"""How the training program was started, and how its ranks part: without waiting for each other for ever."""

import os
import subprocess
import sys

import pytest
from checkout import ROOT
from plw.errors import InputError
from plw.training.launch import check_devices, check_launch, single_process_environment, world
from training_runs import command, preloaded


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_NTASKS": "2"},
        {"SLURM_NTASKS": "4", "SLURM_JOB_NUM_NODES": "2"},
        {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1"},
    ],
)
def test_a_program_that_slurm_starts_several_times_refuses(environment):
    with pytest.raises(InputError, match="tasks_per_gpu: 0"):
        check_launch(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_NTASKS": "1"},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NUM_NODES": "2"},
        {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"},
    ],
)
def test_one_task_per_node_is_fine(environment):
    check_launch(environment)


def test_fewer_gpus_than_ranks_fail_with_both_numbers():
    with pytest.raises(InputError, match=r"(?s)4 GPU\(s\).*0 are visible.*CUDA_VISIBLE_DEVICES=''?|not set"):
        check_devices("cuda", visible=0, environment={"LOCAL_WORLD_SIZE": "4", "CUDA_VISIBLE_DEVICES": ""})
    with pytest.raises(InputError, match="2 are visible"):
        check_devices("auto", visible=2, environment={"LOCAL_WORLD_SIZE": "4"})


@pytest.mark.parametrize(
    ("device", "visible", "used"), [("auto", 0, "cpu"), ("auto", 1, "cuda"), ("cpu", 4, "cpu"), ("cuda", 1, "cuda")]
)
def test_the_device_is_what_was_asked_for_or_what_is_there(device, visible, used):
    assert check_devices(device, visible=visible, environment={}) == used


def test_a_single_process_gets_what_torchrun_would_set():
    made = single_process_environment({})
    assert made["WORLD_SIZE"] == "1" and int(made["MASTER_PORT"]) > 1023
    assert single_process_environment({"RANK": "1"}) == {}


def test_rank_and_ranks_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert world() == (0, 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert world() == (3, 4)


TOO_OFTEN = """
import sys, tempfile
import torch
from plw.training.launch import free_reducer

for _ in range(200):
    store = f"file://{tempfile.mkdtemp(dir=sys.argv[1])}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64))
    model(torch.randn(8, 64)).sum().backward()
    free_reducer(model)
    torch.distributed.destroy_process_group()
    del model
"""
HELD = """
import gc, os, sys
from torch.nn.parallel import DistributedDataParallel
sys.path.insert(0, os.environ["STAGE"])
import train_model
from plw.training import launch

end = launch._end_process_group

def look():
    found = [model for model in gc.get_objects() if type(model) is DistributedDataParallel]
    os.write(2, f"wrapped {len(found)}, held {sum(model.reducer is not None for model in found)}\\n".encode())
    end()

launch._end_process_group = look
train_model.main()
"""


@pytest.mark.slow
def test_a_group_that_a_wrapped_model_outlives_ends_each_time(tmp_path):
    """Without free_reducer one end in ten to ninety never came."""
    program = tmp_path / "often.py"
    program.write_text(TOO_OFTEN)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(program), str(tmp_path)], env=variables, timeout=120, check=True)


@pytest.mark.slow
def test_a_trained_model_does_not_hold_the_group_of_its_ranks_when_that_ends(world, tmp_path):
    program = tmp_path / "held.py"
    program.write_text(HELD)
    call = command(world, tmp_path, launcher=preloaded(2))
    call[len(preloaded(2))] = str(program)
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "STAGE": str(ROOT / "scripts/training")}
    done = subprocess.run(call, env=variables, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.count("wrapped 1, held 0\n") == 2, done.stderr

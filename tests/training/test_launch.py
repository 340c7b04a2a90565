"""How the training program was started."""

import pytest
from plw.errors import InputError
from plw.training.launch import check_devices, check_launch, single_process_environment, world


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

"""How a training process was started, checked before anything slow happens, and how its ranks part."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from plw.errors import InputError


def check_launch(environment: Mapping[str, str]) -> None:
    """Refuse a start by which the scheduler would run the program several times over.

    torchrun starts the ranks itself, so a Slurm step must have one task per node. Slurm's executor plugin of
    Snakemake asks for one task per GPU unless told otherwise, and then each copy would train alone.
    """
    scope = "SLURM_STEP_" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_"
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or 1)
    nodes = int(environment.get("SLURM_STEP_NUM_NODES" if scope == "SLURM_STEP_" else "SLURM_JOB_NUM_NODES") or 1)
    if tasks > nodes:
        raise InputError(
            "Slurm starts this program several times, but torchrun starts its workers itself.",
            value=f"{tasks} tasks on {nodes} node(s)",
            hint="Set `tasks_per_gpu: 0` (and one task per node) for train_model in the Slurm profile.",
        )


def check_devices(device: str, *, visible: int, environment: Mapping[str, str]) -> str:
    """Return the device type to use, "cpu" or "cuda".

    device   what the settings ask for: auto | cpu | cuda
    visible  CUDA devices that PyTorch sees
    """
    needed = int(environment.get("LOCAL_WORLD_SIZE", 1))
    if device == "cpu" or (device == "auto" and visible == 0):
        return "cpu"
    if visible < needed:
        mask = environment.get("CUDA_VISIBLE_DEVICES")
        raise InputError(
            f"Training asks for {needed} GPU(s) on this node, but {visible} are visible.",
            value=f"CUDA_VISIBLE_DEVICES={mask if mask is not None else '(not set)'}",
            hint="Ask the scheduler for more GPUs, lower training.processes, or set training.device: cpu.",
        )
    return "cuda"


def single_process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which DeepSpeed finds its peers, for a process that torchrun did not start."""
    if "RANK" in environment:
        return {}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def world() -> tuple[int, int]:
    """Return (rank, number of ranks) as torchrun set them; (0, 1) without it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


@contextmanager
def ranks_leave_together(*stops: type[BaseException]) -> Iterator[None]:
    """End the process group where all ranks come out: at the end, and where all of them stop by one of `stops`.

    A rank that ends inside it may abort, and its exit status would say so instead of why it stopped.
    """
    try:
        yield
    except stops:
        _end_process_group()
        raise
    _end_process_group()


def free_reducer(model: nn.Module) -> None:
    """Take from a model under DistributedDataParallel, which is done with training, its hold on the process group.

    The last to let go of a group of Gloo waits for its threads. PyTorch gives the interpreter's lock away meanwhile,
    but not where that last one is a reducer, and one of the threads may wait for that lock: both wait for ever (torch
    2.13; tests/training/test_launch.py shows it).
    """
    if isinstance(model, DistributedDataParallel):
        model.reducer = model.logger = None


def _end_process_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

"""How ranks part: the process group ends while nothing else holds it, on all ranks at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def ranks_leave_together(*stops: type[BaseException]) -> Iterator[None]:
    """End the process group where all ranks come out: at the end, and where all of them stop by one of `stops`.

    A rank that ends inside it may abort, and its exit status would say so instead of why it stopped.
    """
    try:
        yield
    except stops:
        _end()
        raise
    _end()


def free_reducer(model: nn.Module) -> None:
    """Take from a model under DistributedDataParallel, which is done with training, its hold on the process group.

    The last to let go of a group of Gloo waits for its threads. PyTorch gives the interpreter's lock away meanwhile,
    but not where that last one is a reducer, and one of the threads may wait for that lock: both wait for ever (torch
    2.13; tests/training/test_process_group.py shows it).
    """
    if isinstance(model, DistributedDataParallel):
        model.reducer = model.logger = None


def _end() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

"""Checkpoints that can be trusted: one counts only when its marker, written last, says whose it is.

They live in a folder that no rule declares as output (Snakemake wipes declared outputs before a job). The
marker names the run's settings and data by a fingerprint: a checkpoint of other settings is never continued.
"""

import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from plw.errors import InputError
from plw.files import write_json
from plw.models.loading import sync_folder

MARKER = "complete.json"


@contextmanager
def sole_user(folder: str | Path) -> Iterator[None]:
    """Hold the folder's lock: two trainings of one run (a rerun beside an orphan of a killed job) would mix up.

    The system gives the lock back when the process ends, however it ends.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / "lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InputError(
                "Another process is training this run.",
                value=lock.read().strip() or "unknown process",
                where=str(folder),
                hint="Wait for it to end (or stop it), then start again: it resumes from the last checkpoint.",
            ) from None
        except OSError:  # a file system without locks: go on without
            yield
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}\n")
        lock.flush()
        yield


def find_checkpoint(folder: str | Path, fingerprint: dict) -> Path | None:
    """Return the newest complete checkpoint below `folder` that belongs to `fingerprint`, or None.

    fingerprint  "run": hash of settings, data and starting weights; "ranks": processes; "zero_stage"

    Checkpoints of another run (settings, data or model changed) are ignored: training starts from the beginning.
    One of the same run that DeepSpeed wrote with another number of processes cannot be read, which is an
    InputError rather than a silent loss of the work done.
    """
    for path in sorted(Path(folder).glob("checkpoint-*"), key=_step, reverse=True):
        marker = path / MARKER
        if not marker.is_file():
            continue
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found.get("run") != fingerprint["run"]:
            continue
        partitioned = fingerprint["zero_stage"] is not None or found.get("zero_stage") is not None
        if partitioned and _layout(found) != _layout(fingerprint):
            raise InputError(
                "The checkpoint was written by another number of processes or ZeRO stage.",
                value=f"{_layout(found)}, now {_layout(fingerprint)} (processes, ZeRO stage)",
                where=str(path),
                hint="Start with the same again to resume, or delete this folder to train from the beginning.",
            )
        return path
    return None


def _layout(fingerprint: dict) -> tuple:
    return fingerprint.get("ranks"), fingerprint.get("zero_stage")


def finish_checkpoint(folder: str | Path, step: int, fingerprint: dict) -> None:
    """Flush checkpoint `step` to disk, write its marker, then remove all others. Call it on every rank."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed:
        torch.distributed.barrier()  # every rank has written its part
    if not distributed or torch.distributed.get_rank() == 0:
        path = Path(folder) / f"checkpoint-{step}"
        sync_folder(path)
        write_json(path / MARKER, fingerprint | {"step": step})
        for other in Path(folder).glob("checkpoint-*"):
            if other != path:
                shutil.rmtree(other, ignore_errors=True)
    if distributed:
        torch.distributed.barrier()


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1

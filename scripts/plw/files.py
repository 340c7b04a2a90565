"""Files that are either whole or absent: write beside the target, flush to disk, then rename."""

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from plw.errors import InputError


def _umask() -> int:
    """What this process's new files may not be; Linux says it without setting it, which other threads would notice."""
    try:
        line = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        line = None
    if line:
        return int(line[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def atomic_path(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; on success it replaces `target`, on an error it is removed.

    Creates the target's parent folders. The suffix of the target is kept, because writers such as
    matplotlib choose their format by it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success it becomes `target`, on an error it is removed.

    Creates the target's parent folders. The target must not be there: OSError where it is, and is no empty folder.
    """
    target = Path(os.path.abspath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(file: str | os.PathLike) -> Iterator[None]:
    """Wait for the lock of `file`, which is made, and hold it; without one where the file system has no locks.

    The system gives it back when the process ends, however it ends. Creates the parent folders.
    """
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a", encoding="utf-8") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike, value: object) -> None:
    """Write `value` as readable JSON (non-ASCII kept, NaN refused, key order kept), atomically."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_jsonl(target: str | os.PathLike, rows: Iterable[dict]) -> None:
    """Write one JSON object per line, atomically."""
    with atomic_path(target) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Read one JSON value from a UTF-8 file; InputError (a ValueError) where it holds none, OSError where it is not."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number without end; nested too deeply
        raise InputError("This file is no whole JSON.", where=str(path), hint=str(error)) from None


def read_jsonl(path: str | os.PathLike) -> list[dict]:
    """Read a JSON Lines file that this workflow wrote; InputError with file and line for one that is damaged."""
    rows: list[dict] = []
    number = 0
    try:
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                number += 1
                if line.strip():
                    rows.append(json.loads(line))
    except (ValueError, RecursionError) as error:
        where, hint = f"{path}, line {max(number, 1)}", f"{error}. Delete the file and make it again."
        raise InputError("This line is no JSON.", where=where, hint=hint) from None
    return rows

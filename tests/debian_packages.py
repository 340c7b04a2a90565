"""Debian packages that some tests need and that the project itself does not: installed where that is allowed."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def find(program: str) -> str | None:
    """Where a program lies, also among the daemons, where a PATH that `su` left to root does not look."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


def why_not(program: str) -> str | None:
    """Why `program` neither is here nor can be installed, or None."""
    if find(program):
        return None
    if shutil.which("apt-get") is None:
        return f"{program} is not installed and there is no apt-get"
    return None if os.geteuid() == 0 else f"{program} is not installed and apt-get needs root"


def install(program: str, *packages: str) -> None:
    """Install `packages` by apt-get if `program` is missing; one test process at a time."""
    with open(Path(tempfile.gettempdir()) / "plw-tests-apt.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find(program):
            return
        quiet = {
            "check": True,
            "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            "stdout": subprocess.DEVNULL,
        }
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet)

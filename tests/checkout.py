"""A copy of the project as git would give it, to run the workflow in without touching the working tree."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import forked_snakemake

ROOT = Path(__file__).resolve().parents[1]


def project_files() -> list[str]:
    """Tracked files and new ones that git does not ignore, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if os.path.lexists(ROOT / name)]


def copy_project(folder: Path) -> Path:
    """Copy the project's files to `folder`; links stay links."""
    for name in project_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return folder


def snakemake(
    *arguments: str, folder: Path = ROOT, environment: dict | None = None, timeout: float = 900, own_child: bool = False
):
    """Call snakemake as a user would; returns the finished process with its output as text.

    own_child  a process of its own, whose time is that of this one's children
    """
    variables = dict(environment or os.environ)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    forked = None if own_child else forked_snakemake.run(arguments, folder=folder, variables=variables, timeout=timeout)
    return forked or _started(arguments, folder, variables, timeout)


def _started(arguments: Sequence[str], folder: Path, variables: dict, timeout: float) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["snakemake", *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=timeout
    )


def planned_jobs(output: str) -> dict[str, int]:
    """Jobs by rule out of a dry run's last table."""
    jobs: dict[str, int] = {}
    for line in output.rpartition("Job stats:")[2].splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            jobs[words[0]] = int(words[1])
    return jobs

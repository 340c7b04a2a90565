"""A copy of the project as git would give it, to run the workflow in without touching the working tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def snakemake(*arguments: str, folder: Path = ROOT, environment: dict | None = None, timeout: float = 900):
    """Call snakemake as a user would; returns the finished process with its output as text."""
    variables = dict(environment or os.environ)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
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

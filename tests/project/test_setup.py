"""Set-up where R is missing and may not be installed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT

PROGRAMS = ("bash", "cat", "sha256sum", "cut", "dirname")


@pytest.fixture
def without_r(tmp_path) -> dict[str, str]:
    """An environment in whose PATH there is no R."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(shutil.which(name))
    return {**os.environ, "PATH": str(folder)}


def current() -> str:
    """What a finished set-up is stamped with."""
    files = (ROOT / "envs/requirements.lock.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(files).hexdigest()


def set_up(folder: Path, stamp: str, environment: dict) -> subprocess.CompletedProcess:
    (folder / ".venv").mkdir()
    (folder / ".venv/.complete").write_text(stamp + "\n")
    shutil.copytree(ROOT / "envs", folder / "envs")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return subprocess.run(["envs/install.sh"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_finished_set_up_does_nothing_again(tmp_path, without_r):
    done = set_up(tmp_path, current(), without_r)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_set_up_without_r_is_done_and_says_what_does_not_work(tmp_path, without_r):
    done = set_up(tmp_path, f"{current()} without R", without_r)
    assert done.returncode == 0, done.stderr
    assert "training and evaluation work, statistics do not" in done.stderr


@pytest.mark.r
def test_whether_r_is_complete_is_an_exit_status_and_nothing_is_installed(without_r):
    for environment, status in ((os.environ, 0), (without_r, 1)):
        done = subprocess.run([ROOT / "envs/install_r.sh", "--check"], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, "")

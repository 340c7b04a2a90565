"""Huge pages: children share them, and nothing else changes."""

import platform
import re
import subprocess
import sys

import pytest
from checkout import ROOT
from plw import huge_pages

FORKING = """
import os, sys
from plw.huge_pages import collapse

OBJECTS = 1_000_000  # some 70 MB
objects = [str(number) for number in range(OBJECTS)]


def child():
    if os.fork() == 0:
        kilobytes = next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHuge"))
        objects[7] = "mine"  # what a child writes is its own
        same = all(text == str(number) for number, text in enumerate(objects) if number != 7)
        os.write(1, f"{kilobytes} {same}\\n".encode())
        os._exit(0)
    os.wait()


child()
os.write(1, f"{collapse()}\\n".encode())
child()
os.write(1, f"{objects[7]}\\n".encode())
"""


def _collapses() -> bool:
    """Whether this kernel can (Linux 6.1)."""
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    known = sys.platform == "linux" and version is not None and huge_pages.SIZE.exists()
    return known and tuple(map(int, version.groups())) >= (6, 1)


@pytest.mark.skipif(not _collapses(), reason="no Linux 6.1 or later with huge pages")
def test_a_child_shares_the_huge_pages_of_its_parent_and_has_memory_of_its_own_where_it_writes():
    done = subprocess.run(
        [sys.executable, "-c", FORKING], env={"PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True
    )
    before, moved, after, parents = done.stdout.splitlines()
    assert done.stderr == "" and parents == "7"
    assert int(moved) > 30e6
    (plain, first), (shared, second) = before.split(), after.split()
    assert first == second == "True"
    assert int(plain) < 10_000 and int(shared) > 30_000, "kilobytes in huge pages"


def test_a_system_without_huge_pages_keeps_its_memory_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(huge_pages, "SIZE", tmp_path / "none")
    assert huge_pages.collapse() == 0

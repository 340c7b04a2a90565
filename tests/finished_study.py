"""The test study from nothing to the report, once for all tests that look at it: making it takes minutes."""

from pathlib import Path

from checkout import copy_project, snakemake

STUDY = ("--config", "study=test")
RESULTS = Path("results/test")


def make_study(folder: Path) -> Path:
    """Make the study in a copy of the project below `folder`, on this machine; returns that copy."""
    project = copy_project(folder / "project")
    done = snakemake("--cores", "all", *STUDY, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return project

"""The test study from nothing to the report: on a private Slurm where one can be started, else on this machine.

One finished study serves the tests of Slurm and the end-to-end tests, because making it takes minutes. What runs
without Slurm is then seen on the same study grown by a few runs.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import slurm_cluster
from checkout import copy_project, snakemake

STUDY = ("--config", "study=test")
RESULTS = Path("results/test")


@dataclass(frozen=True)
class FinishedStudy:
    """A copy of the project in which the test study is finished.

    project    its folder
    output     what Snakemake printed
    no_slurm   why it was made without Slurm, or None
    left       jobs in Slurm's queue afterwards, as squeue prints them
    """

    project: Path
    output: str
    no_slurm: str | None
    left: str


def make_study(folder: Path, *, slurm: bool) -> FinishedStudy:
    """Make the study in a copy of the project below `folder`; through Slurm if `slurm` and it can be started."""
    project = copy_project(folder / "project")
    no_slurm = slurm_cluster.why_not() if slurm else "tests marked slurm are deselected"
    if no_slurm:
        done = snakemake("--cores", "all", *STUDY, folder=project)
        return FinishedStudy(project, _output(done), no_slurm, "")
    with slurm_cluster.cluster(folder / "cluster") as environment:
        done = snakemake(
            *("--profile", "slurm", *STUDY),
            # A test need not spare the controller: ask it often.
            *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
            *("--latency-wait", "10"),
            folder=project,
            environment=environment,
            timeout=2400,
        )
        output = _output(done)
        left = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True).stdout
    return FinishedStudy(project, output, None, left)


def _output(done: subprocess.CompletedProcess) -> str:
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    return output

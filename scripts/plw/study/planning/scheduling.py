"""What a job asks a scheduler for. Nothing here decides a result, so nothing of it is a parameter of a rule."""

import math
from collections.abc import Mapping, Sequence

from plw.study.parameters import memorisation_settings
from plw.study.planning.cost import Cost, Span
from plw.study.planning.workload import judgements
from plw.study.runs import Run

DEFAULT_MINUTES = 60  # where the study grants none and the plan knows none
MARGIN = 1.25  # over the plan's upper end: a job that is killed at its limit has cost all of its time
STEP = 30  # minutes; schedulers fill gaps with short jobs, finer steps help nobody


def gpus(settings: dict, count: int = 1) -> int:
    """GPUs of a job: `count` where the settings' `device` is cuda, or auto (a node without them trains on its CPU)."""
    return count if settings.get("device") in ("cuda", "auto") else 0


def training_cores(study: dict) -> int:
    """Cores of one training: `threads` for each rank, because Slurm's --cpus-per-task counts for all ranks together."""
    training = study["training"]
    return training.get("threads", 1) * training["processes"]


def mechanism_gpus(study: dict, run: Run) -> int:
    """GPUs to measure a run's mechanism: only memorisation generates; a weight distance reads files."""
    asked = memorisation_settings(study, run) != "null" if "mechanism" in study else False
    return gpus(study["evaluation"]) if asked else 0


def judging_grant(study: dict, benchmark: str, key: str, default: int | None) -> int | None:
    """`runtime_min`, `mem_mb` or `threads` of a judge's jobs: its own, else those of the evaluation, else `default`."""
    return study["judges"][benchmark].get(key, study["evaluation"].get(key, default))


def minutes(granted: int | None, planned: Span | None, attempt: int) -> int:
    """Minutes of a job, times the attempt, so that a job that ran out of time gets more.

    granted  `runtime_min` of the study, which decides where it is given
    planned  GPU hours or wall hours of the job by the plan (`Cost`), whose upper end is taken with a margin
    """
    if granted is None and planned is not None and planned.high:
        granted = math.ceil(60 * planned.high * MARGIN / STEP) * STEP
    return (granted or DEFAULT_MINUTES) * attempt


class Runtimes:
    """Minutes of the jobs of a study by the attempt, from what the study grants or its plan says.

    cost   of the study
    runs   all runs by id
    """

    def __init__(self, study: dict, runs: Mapping[str, Run], cost: Cost):
        self._study, self._runs, self._cost = study, runs, cost
        self._training, self._evaluation = (study[name].get("runtime_min") for name in ("training", "evaluation"))

    def training(self, run: str, attempt: int) -> int:
        """Minutes of a fine-tuning."""
        seconds = self._cost.training_seconds(self._runs[run]) if self._training is None else None
        return minutes(self._training, seconds and seconds * (1 / 3600), attempt)

    def evaluation(self, run: str, attempt: int) -> int:
        """Minutes of measuring a run on its benchmarks."""
        planned = self._cost.evaluation_hours(self._runs[run]) if self._evaluation is None else None
        return minutes(self._evaluation, planned, attempt)

    def mechanism(self, run: str, attempt: int) -> int:
        """Minutes of measuring what a run did to its model."""
        planned = self._cost.mechanism_hours(self._runs[run]) if self._evaluation is None else None
        return minutes(self._evaluation, planned, attempt)

    def judging(self, benchmark: str, runs: Sequence[str], attempt: int) -> int:
        """Minutes of one batch of verdicts."""
        granted = judging_grant(self._study, benchmark, "runtime_min", None)
        planned = None
        if granted is None:
            verdicts = sum(judgements(self._runs[run], self._study).get(benchmark, 0) for run in runs)
            hours = self._cost.judging_hours(benchmark, verdicts, 1)
            planned = hours and hours * (1 / max(self._study["judges"][benchmark].get("gpus", 0), 1))
        return minutes(granted, planned, attempt)

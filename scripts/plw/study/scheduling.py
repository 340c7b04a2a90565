"""What a job asks a scheduler for. Nothing here decides a result, so nothing of it is a parameter of a rule."""

from plw.study.parameters import memorisation_settings
from plw.study.runs import Run

DEFAULT_MINUTES = 60  # where the study grants none


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


def minutes(granted: int | None, attempt: int) -> int:
    """Minutes of a job: what the study grants, times the attempt, so that a job that ran out of time gets more."""
    return (granted or DEFAULT_MINUTES) * attempt

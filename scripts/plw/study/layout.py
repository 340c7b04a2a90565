"""Where the files of a study lie: what stages hand to each other has its place here and nowhere else."""

from collections.abc import Iterable
from pathlib import Path


def results(study: dict, *paths: str) -> list[str]:
    """Paths inside the study's folder of results, relative to the project's root."""
    return [f"results/{study['name']}/{path}" for path in paths]


def of_runs(study: dict, runs: Iterable[str], name: str) -> list[str]:
    """The file `name` of each run id."""
    return results(study, *(f"runs/{run}/{name}" for run in runs))


def of_measured_runs(folder: str | Path, runs: Iterable[str], name: str) -> list[Path]:
    """The file `name`, where it is there, of those runs below `folder` (RUN/…) that are evaluated: a call may ask for
    finished runs only.

    For programs: thousands of paths are more than a command takes (128 KiB in one argument of execve(2)).
    """
    evaluated = [Path(folder, run) for run in runs if Path(folder, run, "evaluation.json").exists()]
    return [place / name for place in evaluated if (place / name).exists()]


def of_datasets(study: dict, datasets: Iterable[str], name: str) -> list[str]:
    """The file `name` of each data set."""
    return results(study, *(f"data/{dataset}/{name}" for dataset in datasets))


def regressions(study: dict, datasets: Iterable[str], *, checks: bool = False) -> list[str]:
    """The regression of each data set, or what was checked about it."""
    return results(study, *(f"regression/{dataset}{'.checks' if checks else ''}.json" for dataset in datasets))


def generations(study: dict, run: str, benchmark: str) -> str:
    """The texts that a run's model wrote for a judged benchmark; no rule declares them, evaluation.json lists them."""
    (path,) = results(study, f"runs/{run}/benchmarks/{benchmark}.outputs.json")
    return path


def artifact(study: dict, name: str) -> list[str]:
    """The three files of a figure or a table."""
    kinds = ("pdf", "png", "csv") if name.startswith("figure") else ("csv", "md", "tex")
    folder = "figures" if name.startswith("figure") else "tables"
    return results(study, *(f"{folder}/{name}.{kind}" for kind in kinds))


def code(*names: str) -> list[str]:
    """Programs and library files by their place below scripts/: inputs of cheap rules, so that an edit remakes them."""
    return [f"scripts/{name}" for name in names]

"""The run table: one run per ptlm × data set × plw × normalization × regularizer × seed, whoever asks for it."""

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

NO_REGULARIZER = "none"


@dataclass(frozen=True)
class Run:
    """One fine-tuning.

    plw          prompt loss weight in [0, 1] (§4.1)
    strength     strength of the regularizer; 0 for `none`
    experiments  the experiments that use this run, in the study's order
    """

    run: str
    ptlm: str
    dataset: str
    plw: float
    normalization: str
    regularizer: str
    strength: float
    seed: int
    experiments: tuple[str, ...]


COLUMNS = tuple(field.name for field in fields(Run))
RUN_COLUMNS = [name for name in COLUMNS if name != "experiments"]  # what a run is, whoever asks for it


def run_id(
    ptlm: str, dataset: str, *, plw: float, normalization: str, regularizer: str, strength: float, seed: int
) -> str:
    """Readable and stable name: changing any factor, the loss's normalization included, names another run."""
    name = regularizer if regularizer == NO_REGULARIZER else f"{regularizer}{strength:g}"
    return f"{ptlm}-{dataset}-plw{plw:g}-{normalization}-{name}-s{seed}"


def _settings(experiment: dict) -> list[tuple[str, float]]:
    """The (regularizer, strength) pairs of an experiment; plain fine-tuning if it names none."""
    regularizers = experiment.get("regularizers")
    if not regularizers:
        return [(NO_REGULARIZER, 0.0)]
    return [(name, float(strength)) for name, strengths in regularizers.items() for strength in strengths]


def plws_of(experiment: dict, dataset: str) -> list[float]:
    """The prompt loss weights of an experiment's runs on a data set: its `plw`, for all or by data set."""
    plws = experiment["plw"]
    return [float(plw) for plw in (plws[dataset] if isinstance(plws, dict) else plws)]


def seeds_of(experiment: dict, dataset: str, study: dict) -> list[int]:
    """The seeds of an experiment's runs on a data set: its `seeds`, for all or by data set, else the study's."""
    seeds = experiment.get("seeds", study["seeds"])
    return seeds.get(dataset, study["seeds"]) if isinstance(seeds, dict) else seeds


def list_runs(study: dict) -> list[Run]:
    """All runs of the study's `run_experiments`, in order of first appearance; a shared run is listed once."""
    cells: dict[tuple[str, str, float, str, str, float, int], list[str]] = {}
    for name in study["run_experiments"]:
        experiment = study["experiments"][name]
        for ptlm, dataset in itertools.product(experiment["ptlms"], experiment["datasets"]):
            factors = itertools.product(
                plws_of(experiment, dataset),
                experiment.get("normalizations", [study["training"]["normalization"]]),
                _settings(experiment),
                seeds_of(experiment, dataset, study),
            )
            for plw, normalization, (regularizer, strength), seed in factors:
                cell = (ptlm, dataset, plw, normalization, regularizer, strength, seed)
                names = cells.setdefault(cell, [])
                if name not in names:
                    names.append(name)
    return [
        Run(
            run_id(
                cell[0],
                cell[1],
                plw=cell[2],
                normalization=cell[3],
                regularizer=cell[4],
                strength=cell[5],
                seed=cell[6],
            ),
            *cell,
            tuple(names),
        )
        for cell, names in cells.items()
    ]


def run_row(run: Run) -> dict:
    """The run as a flat row; experiments joined by ';'."""
    return {**asdict(run), "experiments": ";".join(run.experiments)}


def runs_csv(runs: list[Run]) -> str:
    """The run table as CSV text with the columns of `Run`."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(run_row(run) for run in runs)
    return stream.getvalue()


def read_runs_csv(path: str | Path) -> list[dict]:
    """The rows of a run table that `runs_csv` made: text, but for plw and strength (float) and seed (int)."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    numbers = {"plw": float, "strength": float, "seed": int}
    return [{name: numbers.get(name, str)(value) for name, value in row.items()} for row in rows]


def benchmarks_of(run: Run, study: dict) -> list[str]:
    """The benchmarks of a run in the study's order: those that any of its experiments asks for (§6 leaves out some)."""
    wanted = set()
    for name in run.experiments:
        wanted.update(study["experiments"][name].get("benchmarks", study["evaluation"]["benchmarks"]))
    return [name for name in study["evaluation"]["benchmarks"] if name in wanted]


def datasets_of(runs: list[Run], study: dict) -> list[str]:
    """The data sets that the runs train on and the parents that they are derived from; parents first."""
    names: list[str] = []
    for name in dict.fromkeys(run.dataset for run in runs):
        parent = study["datasets"][name].get("from")
        names += [item for item in (parent, name) if item and item not in names]
    return names


def batch_of(run: Run) -> str:
    """The judging batch of a run: all runs of one ptlm on one data set are judged by one process, one model load."""
    return f"{run.ptlm}.{run.dataset}"


def reference_run(study: dict, runs: Sequence[Run], benchmark: str) -> Run | None:
    """The run that a judge's `reference: {ptlm, dataset, plw}` names; None when the reference is a file.

    Raises KeyError when no run of the table fits; `check_references` says so to people.
    """
    wanted = study["judges"][benchmark].get("reference")
    if wanted is None:
        return None
    for run in runs:
        plain = run.regularizer == NO_REGULARIZER and run.normalization == study["training"]["normalization"]
        if plain and all(getattr(run, key) == value for key, value in wanted.items()):
            return run
    raise KeyError(str(wanted))

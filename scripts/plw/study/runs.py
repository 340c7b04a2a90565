"""The run table: one run per ptlm × data set × plw × normalization × regularizer × seed, whoever asks for it."""

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from plw.errors import InputError

NO_REGULARIZER = "none"


@dataclass(frozen=True)
class Run:
    """One fine-tuning.

    plw          prompt loss weight in [0, 1] (§4.1)
    strength     strength of the regularizer; 0 for `none`
    experiments  the experiments that use this run, in the study's order
    examples     rows that are drawn from the data set that `dataset` is derived from; None: no draw
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
    examples: int | None = None


PAPER_EXPERIMENTS = ("main", "ratios", "datasets", "regularizers", "losses")
LONGEST_NAME = 64  # of a data set, in the schema
EXAMPLES = "examples"  # a column of run tables that have draws, of no others
COLUMNS = tuple(field.name for field in fields(Run) if field.name != EXAMPLES)
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


def subset_name(dataset: str, rows: int) -> str:
    """The name of the data set of so many rows of another."""
    return f"{dataset}_n{rows}"


def subsets_of(experiment: dict) -> list[tuple[str, int]]:
    """The (data set, number of rows) pairs that an experiment's `examples` asks for, without whole data sets."""
    sizes = [size for size in experiment.get(EXAMPLES, []) if size != "all"]
    return [(dataset, size) for dataset in experiment["datasets"] for size in sizes]


def with_subsets(study: dict) -> dict:
    """The study with a data set for each number of rows that its experiments ask for; one that is there stays."""
    datasets = dict(study["datasets"])
    for experiment in study["experiments"].values():
        for dataset, size in subsets_of(experiment):
            label = f"{study['datasets'][dataset]['label']}, {size:,} rows"
            datasets.setdefault(subset_name(dataset, size), {"label": label, "from": dataset, "subset": {"rows": size}})
    return {**study, "datasets": datasets}


def subset_errors(study: dict, place: Callable[[tuple], str]) -> list[InputError]:
    """What is wrong with the numbers of rows that a study's experiments ask for, and with data sets that are draws.

    place  key path -> where a file sets it
    """
    errors = []
    for name, experiment in study["experiments"].items():
        if EXAMPLES not in experiment:
            continue
        where = place(("experiments", name, EXAMPLES))
        if name in PAPER_EXPERIMENTS:
            hint = "Give them an experiment of their own, e.g. `sizes`, and name it under run_experiments."
            what = f"The experiment {name} is of whole data sets: figures, tables and claims of the paper read it."
            errors.append(InputError(what, value=experiment[EXAMPLES], where=where, hint=hint))
        for dataset, size in subsets_of(experiment):
            entry, made = study["datasets"].get(dataset, {}), subset_name(dataset, size)
            there = study["datasets"].get(made)
            if "subset" in entry:
                what = "A data set that is drawn from another has no numbers of rows of its own."
                errors.append(InputError(what, value=dataset, where=where, hint=f"Name {entry['from']} in its place."))
            elif there is not None and (there.get("from"), there.get("subset", {}).get("rows")) != (dataset, size):
                what = f"The name of {size} rows of {dataset} is taken by another data set."
                errors.append(InputError(what, value=made, where=where, hint="Rename that data set."))
            elif len(made) > LONGEST_NAME:
                what = f"The name of {size} rows of {dataset} is longer than {LONGEST_NAME} characters."
                errors.append(InputError(what, value=made, where=where, hint="Shorten the data set's name."))
    return errors


def _trained_on(experiment: dict) -> Iterable[tuple[str, str]]:
    """The data sets of an experiment and what its runs train on: the whole, or draws of so many rows."""
    sizes = experiment.get(EXAMPLES, ["all"])
    for dataset in experiment["datasets"]:
        for size in sizes:
            yield dataset, dataset if size == "all" else subset_name(dataset, size)


def list_runs(study: dict) -> list[Run]:
    """All runs of the study's `run_experiments`, in order of first appearance; a shared run is listed once."""
    cells: dict[tuple[str, str, float, str, str, float, int], list[str]] = {}
    for name in study["run_experiments"]:
        experiment = study["experiments"][name]
        for ptlm, (whole, dataset) in itertools.product(experiment["ptlms"], _trained_on(experiment)):
            factors = itertools.product(
                plws_of(experiment, whole),
                experiment.get("normalizations", [study["training"]["normalization"]]),
                _settings(experiment),
                seeds_of(experiment, whole, study),
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
            study["datasets"].get(cell[1], {}).get("subset", {}).get("rows"),
        )
        for cell, names in cells.items()
    ]


def run_row(run: Run) -> dict:
    """The run as a flat row; experiments joined by ';', examples only where they are drawn."""
    row = {**asdict(run), "experiments": ";".join(run.experiments)}
    if run.examples is None:
        del row[EXAMPLES]
    return row


def runs_csv(runs: list[Run]) -> str:
    """The run table as CSV text with the columns of `Run`; `examples` only where some run trains on a draw."""
    stream = io.StringIO()
    names = [*COLUMNS, EXAMPLES] if any(run.examples for run in runs) else list(COLUMNS)
    writer = csv.DictWriter(stream, fieldnames=names, lineterminator="\n")
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
        line = [name]
        while parent := study["datasets"][line[0]].get("from"):
            line.insert(0, parent)
        names += [item for item in line if item not in names]
    return names


def batch_of(run: Run, judge: Mapping) -> str:
    """The judging batch of a run: runs that one job judges, with one load of the judge.

    judge  the study's entry; its `together` says what they share: ptlm and data_set, ptlm, or nothing but the study
    """
    together = judge.get("together", "data_set")
    return {"data_set": f"{run.ptlm}.{run.dataset}", "ptlm": run.ptlm, "study": "all"}[together]


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

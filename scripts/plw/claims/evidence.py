"""What a study measured, as the claims of the paper ask for it.

A claim asks by role: the data set that stands for AlpacaDataShort, the benchmarks of group I, the runs of an
experiment. `cells` answers with an array of scores [ptlm, plw, benchmark], or raises Undecided and says what is not
there. Runs of several seeds are averaged. A benchmark on which all these runs score the same is left out, because it
says nothing about PLW either way.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from plw.claims.findings import Finding, Undecided, listed
from plw.scores.scale import is_constant
from plw.scores.table import select_runs
from plw.study.runs import RUN_COLUMNS

PAPER_PLWS, PAPER_PTLMS = 10, 2  # §4: what the main experiment had


@dataclass(frozen=True)
class Evidence:
    """The measurements of a study. What was not measured is None or empty.

    scores       primary scores (0..1), one row per run and benchmark: RUN_COLUMNS, benchmark, score and, where known,
                 stderr and n (items)
    benchmarks   registry entries {name, label, group, type, ...}
    datasets     entries {name, label, stands_for}; ptlms: the same, with `parameters` (a count) where known
    numbers      what the paper prints (config/paper_numbers.yaml)
    runs         the run table, with the column `experiments`; without it the scores themselves are the plan
    mechanism    RUN_COLUMNS, measure, value
    regressions, checks, statistics  role of the data set -> result
    gam          regression/gam.json
    loss         largest differences of the loss from PyTorch's (loss_identities.json)
    findings     what was found for the claims before (for claims that build on others)
    values       scores of simulated studies of this design, float [worlds, rows of scores]; None: the scores themselves
    measures     the same for the values of `mechanism`
    memory       where the places of runs in arrays are kept between calls, because simulation asks for them often
    """

    scores: pd.DataFrame
    benchmarks: Sequence[dict]
    datasets: Sequence[dict]
    ptlms: Sequence[dict]
    numbers: dict
    runs: pd.DataFrame | None = None
    mechanism: pd.DataFrame | None = None
    regressions: Mapping[str, dict] = field(default_factory=dict)
    checks: Mapping[str, dict] = field(default_factory=dict)
    statistics: Mapping[str, dict] = field(default_factory=dict)
    gam: dict | None = None
    loss: Mapping[str, float] | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)
    values: np.ndarray | None = None
    measures: np.ndarray | None = None
    memory: dict = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Cells:
    """Values of one data set's runs: float [worlds, ptlms, settings, benchmarks], nothing missing.

    observed  the study's own, [ptlms, settings, benchmarks]; without simulated studies the only world
    settings  PLWs, or (regularizer, strength, plw) where regularized runs are among them
    constant  labels of benchmarks that were left out because all runs score the same
    """

    values: np.ndarray
    observed: np.ndarray
    ptlms: tuple[str, ...]
    settings: tuple
    benchmarks: tuple[str, ...]
    labels: tuple[str, ...]
    constant: tuple[str, ...] = ()

    @property
    def bar(self) -> np.ndarray:
        """Mean over the ptlms, [worlds, settings, benchmarks]."""
        return self.values.mean(axis=1)

    def place(self, plw: float) -> int:
        """Where this PLW is among the settings. Raises Undecided if no run has it."""
        found = [index for index, setting in enumerate(self.settings) if math.isclose(setting, plw, rel_tol=1e-6)]
        if not found:
            raise Undecided(f"There are no runs at PLW {plw:g}.")
        return found[0]


def entry_of(entries: Sequence[dict], role: str, *, among: Sequence[str] | None = None) -> dict:
    """The data set or ptlm that stands for the paper's; the first one with measurements if there are several."""
    found = [entry for entry in entries if entry.get("stands_for") == role]
    if among is not None:
        found = [entry for entry in found if entry["name"] in set(among)] or found
    if not found:
        raise Undecided(f"Nothing in this study stands for {role}.")
    return found[0]


def benchmarks_of(evidence: Evidence, *, groups: Sequence[str] = (), types: Sequence[str] = ()) -> list[dict]:
    """Registry entries of these groups and types (all if none is named). Raises Undecided if there are none."""
    found = [
        entry
        for entry in evidence.benchmarks
        if (not groups or entry.get("group") in groups) and (not types or entry.get("type") in types)
    ]
    if not found:
        wanted = " ".join([*(f"group {name}" for name in groups), *(f"type {name}" for name in types)])
        raise Undecided(f"The study has no benchmark of {wanted or 'any kind'}.")
    return found


def full_scale(evidence: Evidence, parameters: Mapping) -> bool:
    """Whether all ptlms are known to have about as many parameters as the paper's."""
    sizes = [entry.get("parameters") for entry in evidence.ptlms]
    return bool(sizes) and all(size is not None and size >= parameters["full_scale"] for size in sizes)


def planned(evidence: Evidence, experiment: str, dataset: str) -> pd.DataFrame:
    """Runs of an experiment on a data set: those of the run table, or those in the scores where there is none.

    The experiment `regularizers` has the regularized runs, every other one those of plain fine-tuning.
    """
    if evidence.runs is not None:
        named = evidence.runs["experiments"].str.split(";").map(lambda names: experiment in names)
        runs = evidence.runs[named]
    else:
        frames = [evidence.scores, *([] if evidence.mechanism is None else [evidence.mechanism])]
        runs = pd.concat([frame[RUN_COLUMNS] for frame in frames]).drop_duplicates("run")
        if experiment != "regularizers":
            runs = select_runs(runs)
    regularized = runs["regularizer"] != "none"
    runs = runs[(runs["dataset"] == dataset) & (regularized if experiment == "regularizers" else ~regularized)]
    if runs.empty:
        raise Undecided(f"The study has no runs of experiment {experiment} on data set {dataset}.")
    return runs.assign(plw=runs["plw"].astype(float), strength=runs["strength"].astype(float))


@dataclass(frozen=True)
class Layout:
    """Where rows of a frame go in an array [ptlms, settings, columns], and how many rows share a place."""

    rows: np.ndarray
    places: tuple[np.ndarray, np.ndarray, np.ndarray]
    counts: np.ndarray
    ptlms: tuple[str, ...]
    settings: tuple

    def fill(self, values: np.ndarray) -> np.ndarray:
        """Mean of the values [worlds, rows] of each place, [worlds, ptlms, settings, columns]."""
        flat = np.ravel_multi_index(self.places, self.counts.shape)
        order = np.argsort(flat, kind="stable")
        starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
        sums = np.add.reduceat(values[:, self.rows[order]], starts, axis=1)
        return sums.reshape(len(values), *self.counts.shape) / self.counts


def _layout(runs: pd.DataFrame, frame: pd.DataFrame, columns: Sequence[str], *, what: str) -> Layout:
    """The layout of `frame` (run, column) for runs with the column `setting`. Raises Undecided for missing rows."""
    ptlms, settings = tuple(runs["ptlm"].unique()), tuple(sorted(runs["setting"].unique()))
    index = {
        row.run: (ptlms.index(row.ptlm), settings.index(row.setting))
        for row in runs[["run", "ptlm", "setting"]].itertuples()
    }
    chosen = np.flatnonzero((frame["run"].isin(index) & frame["column"].isin(columns)).to_numpy())
    part = frame.iloc[chosen]
    found = set(zip(part["run"], part["column"], strict=True))
    missing = [(run, column) for run in index for column in columns if (run, column) not in found]
    if missing:
        cells = len(index) * len(columns)
        lacking = dict.fromkeys(run for run, _ in missing)
        raise Undecided(
            f"{len(missing)} of {cells} {what} are missing: {listed(dict.fromkeys(c for _, c in missing), most=4)}"
            f" of {listed(lacking, most=3)}."
        )
    first, second = np.array([index[run] for run in part["run"]]).T
    third = part["column"].map({name: place for place, name in enumerate(columns)}).to_numpy()
    counts = np.zeros((len(ptlms), len(settings), len(columns)))
    np.add.at(counts, (first, second, third), 1)
    if (counts == 0).any():
        raise Undecided("Not every ptlm was trained with every setting, so that means over ptlms cannot be compared.")
    return Layout(chosen, (first, second, third), counts, ptlms, settings)


def _remembered(evidence: Evidence, key: tuple, make: Callable[[], Layout]) -> Layout:
    of = (evidence.scores, evidence.runs, evidence.mechanism, evidence.datasets)
    known, layout = evidence.memory.get(key, ((), None))
    if len(known) != len(of) or any(one is not other for one, other in zip(known, of, strict=True)):
        layout = make()
        evidence.memory[key] = (of, layout)
    return layout


def dataset_name(evidence: Evidence, role: str) -> str:
    """The study's name of the data set that stands for the paper's."""
    return entry_of(evidence.datasets, role, among=evidence.scores["dataset"].unique())["name"]


def score_array(
    evidence: Evidence, role: str, entries: Sequence[dict], *, experiments: Sequence[str] = ("main",)
) -> Cells:
    """Scores of all runs of these experiments on a data set, constant benchmarks included.

    Settings are PLWs, or (regularizer, strength, plw) if `regularizers` is among the experiments.
    """
    names = [entry["name"] for entry in entries]

    def make() -> Layout:
        dataset = dataset_name(evidence, role)
        runs = pd.concat([planned(evidence, name, dataset) for name in experiments]).drop_duplicates("run")
        runs = runs.assign(setting=runs["plw"])
        if "regularizers" in experiments:
            triples = zip(runs["regularizer"], runs["strength"], runs["plw"], strict=True)
            runs = runs.assign(setting=pd.Series(list(triples), index=runs.index, dtype=object))
        frame = evidence.scores[["run", "benchmark"]].rename(columns={"benchmark": "column"})
        return _layout(runs, frame, names, what="scores")

    layout = _remembered(evidence, ("scores", role, tuple(names), tuple(experiments)), make)
    observed = layout.fill(evidence.scores["score"].to_numpy(dtype=float)[None])
    values = observed if evidence.values is None else layout.fill(evidence.values)
    labels = tuple(entry.get("label", entry["name"]) for entry in entries)
    return Cells(values, observed[0], layout.ptlms, layout.settings, tuple(names), labels)


def without_constant(cells: Sequence[Cells], parameters: Mapping) -> list[Cells]:
    """The arrays (of one list of benchmarks) without benchmarks on which all runs of all of them score the same.

    What is constant is decided by the study's own scores, so that simulated studies have the same benchmarks.
    Raises Undecided if fewer than the share `least_judgeable` of the benchmarks remain.
    """
    pooled = np.concatenate([part.observed.reshape(-1, len(part.benchmarks)) for part in cells])
    varies = ~is_constant(pooled.min(axis=0), pooled.max(axis=0))
    labels = cells[0].labels
    constant = tuple(label for label, keep in zip(labels, varies, strict=True) if not keep)
    if varies.mean() < parameters["least_judgeable"] or not varies.any():
        raise Undecided(
            f"All runs score the same on {listed(constant)} ({len(constant)} of {len(labels)} benchmarks), which says"
            " nothing about PLW; too few are left to judge."
        )

    def kept(names: tuple) -> tuple:
        return tuple(name for name, keep in zip(names, varies, strict=True) if keep)

    return [
        replace(
            part,
            values=part.values[..., varies],
            observed=part.observed[..., varies],
            benchmarks=kept(part.benchmarks),
            labels=kept(labels),
            constant=constant,
        )
        for part in cells
    ]


def cells(
    evidence: Evidence,
    role: str,
    parameters: Mapping,
    *,
    groups: Sequence[str] = (),
    types: Sequence[str] = (),
    experiments: Sequence[str] = ("main",),
) -> Cells:
    """Scores of a data set's runs on the benchmarks of some groups and types, constant benchmarks left out."""
    entries = benchmarks_of(evidence, groups=groups, types=types)
    return without_constant([score_array(evidence, role, entries, experiments=experiments)], parameters)[0]


def measured(evidence: Evidence, role: str, measure: str) -> Cells:
    """A mechanism measure of the main experiment's runs on a data set, [worlds, ptlms, plws, 1]."""
    if evidence.mechanism is None or evidence.mechanism.empty:
        raise Undecided("The mechanism was not measured (no mechanism file).")
    frame = evidence.mechanism.dropna(subset="value").rename(columns={"measure": "column"})
    if not (frame["column"] == measure).any():
        raise Undecided(f"{measure} was not measured.")

    def make() -> Layout:
        runs = planned(evidence, "main", dataset_name(evidence, role))
        return _layout(runs.assign(setting=runs["plw"]), frame, [measure], what=f"values of {measure}")

    layout = _remembered(evidence, ("mechanism", role, measure), make)
    observed = layout.fill(frame["value"].to_numpy(dtype=float)[None])
    values = observed
    if evidence.measures is not None:
        values = layout.fill(evidence.measures[:, evidence.mechanism["value"].notna().to_numpy()])
    return Cells(values, observed[0], layout.ptlms, layout.settings, (measure,), (measure,))


def thin(*parts: Cells, plws: int = PAPER_PLWS, ptlms: int = PAPER_PTLMS) -> str:
    """What is thinner than in the paper, as a sentence; empty if nothing is."""
    said = []
    fewest = min(len(part.settings) for part in parts)
    if fewest < plws:
        said.append(f"{fewest} PLWs where the paper has {plws}")
    fewest = min(len(part.ptlms) for part in parts)
    if fewest < ptlms:
        said.append(f"{fewest} ptlm{'' if fewest == 1 else 's'} where the paper has {ptlms}")
    constant = list(dict.fromkeys(label for part in parts for label in part.constant))
    if constant:
        said.append(f"{listed(constant)} left out because all runs score the same")
    return f"Thin evidence: {'; '.join(said)}." if said else ""

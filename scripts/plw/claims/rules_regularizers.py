"""Claims about other regularizers on AlpacaDataShort (§6.1, App. C.1, Table 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, thin
from plw.claims.findings import Measured, Undecided, listed, region_of
from plw.claims.measures import min_max

SHORT = "AlpacaDataShort"


def comparison(evidence: Evidence, parameters: Mapping, *, groups: Sequence[str]) -> Cells:
    """Plain runs over PLW and regularized runs on some groups; settings are (regularizer, strength, plw)."""
    part = cells(evidence, SHORT, parameters, groups=groups, experiments=("main", "regularizers"))
    found = {name for name, _, _ in part.settings}
    absent = [name for name in parameters["regularizers"] if name not in found]
    if absent:
        raise Undecided(f"There are no runs with {listed(absent)}.")
    return part


def _settings(part: Cells) -> dict[str, list[int]]:
    """Regularizer (`plw`: fractional PLWs without one) -> where its settings stand."""
    found: dict[str, list[int]] = {}
    for place, (name, _, plw) in enumerate(part.settings):
        name = name if name != "none" else "plw" if 0 < plw < 1 else None
        if name is not None:
            found.setdefault(name, []).append(place)
    if "plw" not in found:
        raise Undecided("There are no plain runs with a fractional PLW.")
    return found


def best_scores(part: Cells) -> dict[str, np.ndarray]:
    """Table 4's relative column: regularizer (and `plw`: the best with 0 < PLW < 1) -> best aggregate [worlds, ptlms].

    The scores are min-max scaled over all runs of the comparison, ptlms pooled.
    """
    aggregate = min_max(part.values).mean(axis=3)
    return {name: aggregate[:, :, places].max(axis=2) for name, places in _settings(part).items()}


def leads(best: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Regularizer -> the best fractional PLW minus the best of that regularizer, [worlds, ptlms]."""
    return {name: best["plw"] - value for name, value in best.items() if name != "plw"}


def _thin(part: Cells) -> str:
    plain = [setting for setting in part.settings if setting[0] == "none"]
    return thin(replace(part, settings=tuple(plain)))


def plw_wins(evidence: Evidence, parameters: Mapping) -> Measured:
    """C30: lead of the best fractional PLW over the best of every regularizer, the smallest over ptlms.

    The best of many settings is larger by chance; a world without an effect has the same settings, so its rate holds
    that against PLW.
    """
    part = comparison(evidence, parameters, groups=["I", "II"])
    lead = leads(best_scores(part))
    numbers = {
        f"{ptlm}: lead over {name}": values[:, place]
        for place, ptlm in enumerate(part.ptlms)
        for name, values in lead.items()
    }
    aggregate = min_max(part.values).mean(axis=(1, 3))
    for name, places in _settings(part).items():
        numbers[f"mean of {len(places)} settings: {name}"] = aggregate[:, places].mean(axis=1)
    smallest = np.min([values.min(axis=1) for values in lead.values()], axis=0)
    return Measured(smallest, region_of(parameters), None, numbers, "", _thin(part))


def strongest_on_group_1(evidence: Evidence, parameters: Mapping) -> Measured:
    """C31: smallest lead on group I minus that on group II; the first must be positive and the second negative."""
    smallest: dict[str, np.ndarray] = {}
    numbers: dict[str, np.ndarray] = {}
    notes = []
    for group in ("I", "II"):
        part = comparison(evidence, parameters, groups=[group])
        lead = {name: values.mean(axis=1) for name, values in leads(best_scores(part)).items()}
        numbers |= {f"group {group}, {name}": values for name, values in lead.items()}
        smallest[group] = np.min(list(lead.values()), axis=0)
        notes.append(_thin(part))
    first, second = smallest["I"], smallest["II"]
    margin = np.minimum(np.minimum(first, first - second), -second)
    words = f"Smallest lead over a regularizer: {first[0]:+.3f} on group I, {second[0]:+.3f} on group II."
    return Measured(first - second, region_of(parameters), margin, numbers, words, notes[0] or notes[1])


def better_unmasked(evidence: Evidence, parameters: Mapping) -> Measured:
    """C32: relative aggregate at PLW 1 minus that at 0 under the same regularizer; most rise, label smoothing does not.

    The estimate is the smaller of two numbers: what most of the regularizers in `better` reach, and how much those in
    `worse` lose.
    """
    part = comparison(evidence, parameters, groups=["I", "II"])
    aggregate = min_max(part.values).mean(axis=(1, 3))
    place = {setting: position for position, setting in enumerate(part.settings)}
    step: dict[str, np.ndarray] = {}
    for name in (*parameters["better"], *parameters["worse"]):
        both = [(0.0, k) for n, k, plw in place if n == name and plw == 0 and (n, k, 1.0) in place]
        if not both:
            raise Undecided(f"Runs at both PLW 0 and 1 are missing for {name}.")
        step[name] = np.mean(
            [aggregate[:, place[name, k, 1.0]] - aggregate[:, place[name, k, 0.0]] for _, k in both], 0
        )
    better = -np.sort([-step[name] for name in parameters["better"]], axis=0)
    needed = int(np.ceil(parameters["share"] * len(better) - 1e-9))
    worse = np.min([-step[name] for name in parameters["worse"]], axis=0)
    numbers = {f"{name}: PLW 1 minus 0": value for name, value in step.items()}
    reached = np.sort(better, axis=0)[::-1][needed - 1]
    return Measured(np.minimum(reached, worse), region_of(parameters), None, numbers, "", _thin(part))

"""Claims about other regularizers on AlpacaDataShort (§6.1, App. C.1, Table 4)."""

from collections.abc import Mapping, Sequence

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, thin
from plw.claims.findings import Finding, Undecided, judged, listed
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


def best_scores(part: Cells) -> dict[str, dict[str, float]]:
    """Table 4's relative column: ptlm -> regularizer (and `plw`: the best with 0 < PLW < 1) -> best aggregate.

    The scores are min-max scaled over all runs of the comparison, ptlms pooled.
    """
    aggregate = min_max(part.values).mean(axis=2)
    best: dict[str, dict[str, float]] = {ptlm: {} for ptlm in part.ptlms}
    for place, (name, _, plw) in enumerate(part.settings):
        name = name if name != "none" else "plw" if 0 < plw < 1 else None
        for ptlm, value in zip(part.ptlms, aggregate[:, place], strict=True):
            if name is not None:
                best[ptlm][name] = max(best[ptlm].get(name, -np.inf), float(value))
    if any("plw" not in found for found in best.values()):
        raise Undecided("There are no plain runs with a fractional PLW.")
    return best


def margins(best: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """ptlm -> regularizer -> the best fractional PLW minus the best of that regularizer."""
    return {
        ptlm: {name: found["plw"] - value for name, value in found.items() if name != "plw"}
        for ptlm, found in best.items()
    }


def wins_everywhere(best: Mapping[str, Mapping[str, float]]) -> Finding:
    """Whether the best fractional PLW is above the best of every regularizer for every ptlm, from Table 4's values."""
    lead = margins(best)
    numbers = {f"{ptlm}: {name}": value for ptlm, found in best.items() for name, value in found.items()}
    behind = [f"{name} ({ptlm})" for ptlm, found in lead.items() for name, value in found.items() if value <= 0]
    reason = "Fractional PLW has the highest relative aggregate for every ptlm."
    if behind:
        reason = f"Fractional PLW is not above {listed(behind)}."
    return judged(not behind, reason, numbers)


def plw_wins(evidence: Evidence, parameters: Mapping) -> Finding:
    """C30: the best fractional PLW beats the best setting of every regularizer, for each ptlm."""
    part = comparison(evidence, parameters, groups=["I", "II"])
    found = wins_everywhere(best_scores(part))
    aggregate = min_max(part.values).mean(axis=2)
    settings: dict[str, list[int]] = {}
    for place, (name, _, plw) in enumerate(part.settings):
        if name != "none" or 0 < plw < 1:
            settings.setdefault(name if name != "none" else "plw", []).append(place)
    numbers = dict(found.numbers)
    for name, places in settings.items():
        numbers[f"mean of {len(places)} settings: {name}"] = float(aggregate[:, places].mean())
    plw, others = settings["plw"], [places for name, places in settings.items() if name != "plw"]
    ahead = all(aggregate[:, plw].mean() > aggregate[:, places].mean() for places in others)
    fewest, most = min(map(len, others)), max(map(len, others))
    partial = (
        f"Best of {len(plw)} fractional PLWs against best of {fewest} to {most} settings each; by means over settings "
        f"PLW is {'also ahead' if ahead else 'not ahead'}."
    )
    return judged(found.verdict == "supported", found.reason, numbers, partial=partial, notes=_thin(part))


def _thin(part: Cells) -> str:
    plain = [setting for setting in part.settings if setting[0] == "none"]
    return thin(Cells(part.values, part.ptlms, tuple(plain), part.benchmarks, part.labels, part.constant))


def strongest_on_group_1(evidence: Evidence, parameters: Mapping) -> Finding:
    """C31: fractional PLW leads on group I, by more than on group II, where some regularizer is ahead of it."""
    smallest, parts = {}, []
    for group in ("I", "II"):
        part = comparison(evidence, parameters, groups=[group])
        lead = margins(best_scores(part))
        names = next(iter(lead.values()))
        smallest[group] = {name: float(np.mean([found[name] for found in lead.values()])) for name in names}
        parts.append(part)
    first, second = min(smallest["I"].values()), min(smallest["II"].values())
    numbers = {f"group {group}, {name}": value for group, found in smallest.items() for name, value in found.items()}
    said = [
        *([] if first > 0 else ["no lead on group I"]),
        *([] if first > second else ["the lead on group I is not the larger one"]),
        *([] if second < 0 else ["no regularizer is ahead on group II"]),
    ]
    reason = f"Smallest lead over a regularizer: {first:+.3f} on group I, {second:+.3f} on group II."
    partial = f"{'; '.join(said).capitalize()}." if said else None
    return judged(not said, reason, numbers, partial=partial, notes=_thin(parts[0]) or _thin(parts[1]))


def better_unmasked(evidence: Evidence, parameters: Mapping) -> Finding:
    """C32: most regularizers do better at PLW 1 than at 0, label smoothing does not."""
    part = comparison(evidence, parameters, groups=["I", "II"])
    aggregate = min_max(part.values).mean(axis=(0, 2))
    at: dict[float, dict[str, dict[float, float]]] = {0.0: {}, 1.0: {}}  # PLW, regularizer, strength
    for value, (name, strength, plw) in zip(aggregate, part.settings, strict=True):
        if name != "none" and plw in at:
            at[plw].setdefault(name, {})[strength] = float(value)
    names = [name for name in at[0.0] if name in at[1.0]]
    expected = [*parameters["better"], *parameters["worse"]]
    if [name for name in expected if name not in names]:
        raise Undecided(f"Runs at both PLW 0 and 1 are missing for {listed(n for n in expected if n not in names)}.")
    step = {}
    for name in names:
        both = [strength for strength in at[0.0][name] if strength in at[1.0][name]]
        step[name] = float(np.mean([at[1.0][name][strength] - at[0.0][name][strength] for strength in both]))
    better = [name for name in parameters["better"] if step[name] > 0]
    worse = all(step[name] <= 0 for name in parameters["worse"])
    most = len(better) / len(parameters["better"]) >= parameters["share"]
    reason = (
        f"Better at PLW 1 than at 0: {listed(better)}; {listed(parameters['worse'])} {'not ' if worse else ''}better."
    )
    partial = None if most == worse else ("Only the first half holds." if most else "Only the second half holds.")
    numbers = {f"{name}: PLW 1 minus 0": value for name, value in step.items()}
    return judged(most and worse, reason, numbers, partial=partial, notes=_thin(part))

"""Claims about the mechanism (§5.3, Figure 2): loss stability, distance to the ptlm, memorisation, length."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, full_scale, measured, thin
from plw.claims.findings import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Finding, Undecided, judged, listed
from plw.claims.measures import increases, min_max, spearman, transformed

SHORT = "AlpacaDataShort"
MAIN = ("AlpacaData", "AlpacaDataCleaned", SHORT)
RSD, DISTANCE, BLEU, LENGTH = "rsd", "weight_distance", "memorisation_bleu", "generation_tokens"


def _normalization(evidence: Evidence, part: Cells) -> str:
    """What the loss of these runs was divided by, because the jump at PLW 0 depends on it."""
    assert evidence.mechanism is not None  # `part` was measured
    names = evidence.mechanism[evidence.mechanism["ptlm"].isin(part.ptlms)]["normalization"].dropna().unique()
    return f"Normalization of the loss: {listed(sorted(names))}." if len(names) else ""


def _positive(array: np.ndarray, what: str) -> np.ndarray:
    if (array <= 0).any():
        raise Undecided(f"{what} is 0 somewhere, so that ratios have no meaning.")
    return array


def rsd_jump(evidence: Evidence, parameters: Mapping) -> Finding:
    """C19: the loss RSD at the smallest PLW above 0 exceeds that at 0, for every data set and ptlm."""
    numbers, failed, parts = {}, [], []
    for role in MAIN:
        part = measured(evidence, role, RSD)
        parts.append(part)
        rsd = _positive(part.values[..., 0], "The RSD")
        ratios = rsd[:, part.place(parameters["plw"])] / rsd[:, part.place(0.0)]
        for ptlm, ratio in zip(part.ptlms, ratios, strict=True):
            numbers[f"{role}, {ptlm}"] = float(ratio)
            if ratio <= parameters["ratio"]:
                failed.append(f"{role} with {ptlm}")
    reason = f"RSD at PLW {parameters['plw']:g} over RSD at 0: more than {parameters['ratio']:g} "
    reason += f"{'everywhere' if not failed else f'everywhere but {listed(failed)}'}."
    return judged(not failed, reason, numbers, notes=f"{_normalization(evidence, parts[0])} {thin(*parts)}".strip())


def rsd_falls(evidence: Evidence, parameters: Mapping) -> Finding:
    """C20: beyond PLW 0 the RSD falls, and is smallest near PLW 1, for every data set and ptlm."""
    numbers: dict[str, float] = {}
    failed, inexact, parts = [], [], []
    for role in MAIN:
        part = measured(evidence, role, RSD)
        parts.append(part)
        above = [place for place, plw in enumerate(part.settings) if plw > 0]
        for ptlm, rsd in zip(part.ptlms, part.values[..., 0], strict=True):
            least = float(part.settings[int(np.argmin(rsd))])
            rank = spearman(transformed(part.settings)[above], rsd[above])
            name = f"{role} with {ptlm}"
            numbers |= {f"{name}: smallest at PLW": least, f"{name}: Spearman": rank}
            if least < parameters["least_from"] or rank > parameters["spearman"]:
                failed.append(name)
            elif least < 1:
                inexact.append(name)
    reason = (
        f"Asked: smallest at PLW ≥ {parameters['least_from']:g} and rank correlation ≤ {parameters['spearman']:g}; "
    )
    reason += f"{'so everywhere' if not failed else f'not so for {listed(failed)}'}."
    partial = f"Smallest below PLW 1 for {listed(inexact)}." if inexact and not failed else None
    return judged(not failed, reason, numbers, partial=partial, notes=thin(*parts))


def _rsd_ratio(evidence: Evidence, parameters: Mapping) -> Finding:
    part = measured(evidence, SHORT, RSD)
    mean = _positive(part.bar[:, 0], "The RSD")
    first, second = parameters["plws"]
    ratio = float(mean[part.place(first)] / mean[part.place(second)])
    low, high = parameters["range"]
    reason = f"RSD at PLW {first:g} over RSD at {second:g} is {ratio:.2f}; asked: {low:g} to {high:g}."
    numbers = {
        "ratio": ratio,
        f"RSD at {first:g}": mean[part.place(first)],
        f"RSD at {second:g}": mean[part.place(second)],
    }
    return judged(low <= ratio <= high, reason, numbers, notes=thin(part))


def rsd_halves(evidence: Evidence, parameters: Mapping) -> Finding:
    """C21: mean RSD drops by about two between PLW 0.01 and 0.1."""
    return _rsd_ratio(evidence, parameters)


def rsd_alike(evidence: Evidence, parameters: Mapping) -> Finding:
    """C22: mean RSD at PLW 0.01 is about that at 0."""
    return _rsd_ratio(evidence, parameters)


def weights_kept(evidence: Evidence, parameters: Mapping) -> Finding:
    """C25: small PLWs leave the weights nearer the ptlm than both PLW 0 and large PLWs, for each ptlm."""
    part = measured(evidence, SHORT, DISTANCE)
    distance = _positive(part.values[..., 0], "The distance")
    low, high = parameters["small"]
    small = [place for place, plw in enumerate(part.settings) if low <= plw <= high]
    large = [place for place, plw in enumerate(part.settings) if plw > high]
    if not small or not large:
        raise Undecided(f"There are no runs with PLW in {low:g} to {high:g}, or none above.")
    near = np.median(distance[:, small], axis=1)
    masked = distance[:, part.place(0.0)] / near
    heavy = np.median(distance[:, large], axis=1) / near
    numbers: dict[str, float] = {}
    for ptlm, first, second in zip(part.ptlms, masked, heavy, strict=True):
        numbers |= {f"{ptlm}: PLW 0 over small": float(first), f"{ptlm}: large over small": float(second)}
    holds = {"PLW 0": (masked > parameters["ratio"]).all(), "large PLW": (heavy > parameters["ratio"]).all()}
    farther = [name for name, value in holds.items() if value]
    reason = f"Farther than small PLWs by a factor above {parameters['ratio']:g} for every ptlm: {listed(farther)}."
    partial = f"Only {farther[0]}." if len(farther) == 1 else None
    return judged(all(holds.values()), reason, numbers, partial=partial, notes=thin(part))


def memorised(evidence: Evidence, parameters: Mapping) -> Finding:
    """C26: training data come back with BLEU near 80 up to PLW 0.1; at a smaller scale: with hardly any change."""
    part = measured(evidence, SHORT, BLEU)
    small = [place for place, plw in enumerate(part.settings) if plw <= parameters["up_to"]]
    if len(small) < 2:
        raise Undecided(f"Fewer than two PLWs up to {parameters['up_to']:g}.")
    bleu = part.values[:, small, 0]
    low, high = parameters["bleu"]
    spread = float(np.ptp(bleu, axis=1).max())
    numbers = {"smallest BLEU": bleu.min(), "largest BLEU": bleu.max(), "largest spread in a ptlm": spread}
    inside, level = bool(low <= bleu.min() and bleu.max() <= high), spread < parameters["spread"]
    words = f"BLEU up to PLW {parameters['up_to']:g} runs from {bleu.min():.1f} to {bleu.max():.1f}"
    if full_scale(evidence, parameters):
        partial = f"{'Level' if level else 'Not level'}: a spread of {spread:.1f} in a ptlm."
        return judged(inside, f"{words}; asked: {low:g} to {high:g}.", numbers, partial=partial, notes=thin(part))
    if bleu.max() < parameters["floor"]:
        raise Undecided(f"{words}: at this scale hardly anything is memorised, so a plateau means nothing.", numbers)
    reason = f"{words}. Below the paper's scale only the plateau is judged: spread {spread:.1f}, "
    reason += f"asked: under {parameters['spread']:g}."
    partial = f"{'All' if inside else 'Not all'} lie in {low:g} to {high:g}."
    return judged(level, reason, numbers, partial=partial, notes=thin(part))


def memorised_less(evidence: Evidence, parameters: Mapping) -> Finding:
    """C27: BLEU falls at every step beyond PLW 0.1, clearly in all."""
    part = measured(evidence, SHORT, BLEU)
    start = part.place(parameters["start"])
    bleu = part.bar[start:, 0]
    if len(bleu) < 2 or part.settings[-1] < 1:
        raise Undecided(f"There are no runs from PLW {parameters['start']:g} up to 1.")
    numbers = {f"BLEU at {plw:g}": value for plw, value in zip(part.settings[start:], bleu, strict=True)}
    if bleu[0] < parameters["floor"] and not full_scale(evidence, parameters):
        raise Undecided(f"At PLW {parameters['start']:g} BLEU is {bleu[0]:.1f}: there is nothing to lose.", numbers)
    drop = float(bleu[0] - bleu[-1])
    steps = bool((np.diff(bleu) < 0).all())
    partial = None
    if steps != (drop > parameters["drop"]):
        partial = "It falls at every step, but little." if steps else "It falls clearly, but not at every step."
    reason = f"From PLW {parameters['start']:g} to 1 BLEU falls by {drop:.1f}, {'' if steps else 'not '}at every step."
    return judged(steps and drop > parameters["drop"], reason, numbers, partial=partial, notes=thin(part))


def length_rises(evidence: Evidence, parameters: Mapping) -> Finding:
    """C28: generations on the AlpacaEval prompts grow with PLW, but not at every step."""
    part = measured(evidence, SHORT, LENGTH)
    length = part.bar[:, 0]
    rank, falls = spearman(transformed(part.settings), length), len(length) - 1 - increases(length)
    numbers = {"Spearman": rank, "steps that do not rise": falls, "tokens at PLW 0": length[0], "at 1": length[-1]}
    partial = (
        f"Not strictly: {falls} of {len(length) - 1} steps do not rise." if falls else "Strictly: every step rises."
    )
    reason = f"Rank correlation with w_p {rank:.2f}; asked: at least {parameters['spearman']:g}."
    return judged(rank >= parameters["spearman"], reason, numbers, partial=partial, notes=thin(part))


def _alpaca_eval(evidence: Evidence, parameters: Mapping) -> tuple[Cells, np.ndarray]:
    """The long-generation cells, and AlpacaEval's scores over PLW, means over ptlms."""
    part = cells(evidence, SHORT, {**parameters, "least_judgeable": 0}, groups=["II"], types=["GL"])
    kind = {entry["name"]: entry.get("framework", entry["name"]) for entry in evidence.benchmarks}
    found = [place for place, name in enumerate(part.benchmarks) if kind[name] == "alpaca_eval"]
    if not found:
        raise Undecided("There is no AlpacaEval benchmark, or all runs score the same on it.")
    return part, part.bar[:, found[0]]


def score_rises_more(evidence: Evidence, parameters: Mapping) -> Finding:
    """C29: AlpacaEval's score rises at nearly every step of PLW, and at more steps than the length does."""
    part, score = _alpaca_eval(evidence, parameters)
    up, steps = increases(score), len(score) - 1
    numbers = {"steps up, score": up, "steps": steps}
    nearly = up / steps >= parameters["share"]
    reason = f"The score rises at {up} of {steps} steps"
    if not nearly:
        return judged(False, f"{reason}, too few for 'nearly strictly'.", numbers, notes=thin(part))
    try:
        length = increases(measured(evidence, SHORT, LENGTH).bar[:, 0])
    except Undecided as absent:
        raise Undecided(f"{reason}, but the length cannot be compared: {absent.reason}", numbers) from None
    numbers["steps up, length"] = length
    partial = None if up > length else "Nearly strictly, but the length rises as often."
    return judged(up > length, f"{reason}, the length at {length}.", numbers, partial=partial, notes=thin(part))


def mechanism(evidence: Evidence, parameters: Mapping) -> Finding:
    """C40: weights kept at small PLW, less memorisation at large PLW; loss stability does not go with scores."""
    earlier = {name: evidence.findings[name] for name in parameters["rests_on"]}
    part, rsd = cells(evidence, SHORT, parameters), measured(evidence, SHORT, RSD)
    if part.settings != rsd.settings:
        raise Undecided("Scores and RSD were not measured at the same PLWs.")
    rank = spearman(rsd.bar[:, 0], min_max(part.values).mean(axis=(0, 2)))
    numbers: dict[str, float | str] = {"Spearman of RSD and relative aggregate": rank}
    numbers |= {f"verdict {name}": evidence.findings[name].verdict for name in parameters["beside"]}
    numbers |= {f"verdict {name}": finding.verdict for name, finding in earlier.items()}
    against = [name for name, finding in earlier.items() if finding.verdict == CONTRADICTED]
    open_ = [name for name, finding in earlier.items() if finding.verdict == INCONCLUSIVE]
    unrelated = abs(rank) < parameters["spearman"]
    words = f"RSD and the relative aggregate are {'hardly' if unrelated else 'strongly'} related (rank {rank:.2f})"
    if open_ and not against and unrelated:
        raise Undecided(f"{words}, but {listed(open_)} is inconclusive.", numbers)
    holds = unrelated and not against and all(finding.verdict == SUPPORTED for finding in earlier.values())
    reason = (
        f"{words}; {listed(against)} {'are' if len(against) > 1 else 'is'} contradicted." if against else f"{words}."
    )
    return judged(holds, reason, numbers, notes=thin(part, rsd))

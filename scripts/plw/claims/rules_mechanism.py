"""Claims about the mechanism (§5.3, Figure 2): loss stability, distance to the ptlm, memorisation, length."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Cells, Evidence, full_scale, measured, thin
from plw.claims.findings import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Finding,
    Measured,
    Undecided,
    listed,
    region_of,
)
from plw.claims.measures import increases, line_slope, spearman, transformed

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


def _inside(ratio: np.ndarray, region: tuple[float, float]) -> np.ndarray:
    """How far a ratio lies inside a region, on the log scale, so that twice and half are equally far from one."""
    return np.minimum(np.log(ratio / region[0]), np.log(region[1] / ratio))


def rsd_jump(evidence: Evidence, parameters: Mapping) -> Measured:
    """C19: the loss RSD at the smallest PLW above 0 over that at 0, the smallest over data sets and ptlms."""
    numbers: dict[str, np.ndarray] = {}
    parts = []
    for role in MAIN:
        part = measured(evidence, role, RSD)
        parts.append(part)
        rsd = _positive(part.values[..., 0], "The RSD")
        ratios = rsd[:, :, part.place(parameters["plw"])] / rsd[:, :, part.place(0.0)]
        numbers |= {f"{role}, {ptlm}": ratio for ptlm, ratio in zip(part.ptlms, ratios.T, strict=True)}
    notes = f"{_normalization(evidence, parts[0])} {thin(*parts)}".strip()
    return Measured(np.min(list(numbers.values()), axis=0), region_of(parameters), None, numbers, "", notes)


def rsd_falls(evidence: Evidence, parameters: Mapping) -> Measured:
    """C20: rank correlation of RSD with w_p over PLW > 0, the largest over data sets and ptlms."""
    ranks: dict[str, np.ndarray] = {}
    numbers: dict[str, object] = {}
    parts = []
    for role in MAIN:
        part = measured(evidence, role, RSD)
        parts.append(part)
        above = [place for place, plw in enumerate(part.settings) if plw > 0]
        for place, ptlm in enumerate(part.ptlms):
            rsd = part.values[:, place, :, 0]
            ranks[f"{role} with {ptlm}: Spearman"] = spearman(transformed(part.settings)[above], rsd[:, above])
            numbers[f"{role} with {ptlm}: smallest at PLW"] = np.asarray(part.settings)[rsd.argmin(axis=1)]
    return Measured(
        np.max(list(ranks.values()), axis=0), region_of(parameters), None, ranks | numbers, "", thin(*parts)
    )


def _rsd_ratio(evidence: Evidence, parameters: Mapping) -> Measured:
    part = measured(evidence, SHORT, RSD)
    mean = _positive(part.bar[..., 0], "The RSD")
    first, second = (mean[:, part.place(plw)] for plw in parameters["plws"])
    numbers = {f"RSD at {plw:g}": value for plw, value in zip(parameters["plws"], (first, second), strict=True)}
    region = region_of(parameters)
    return Measured(first / second, region, _inside(first / second, region), numbers, "", thin(part))


def rsd_halves(evidence: Evidence, parameters: Mapping) -> Measured:
    """C21: mean RSD at PLW 0.01 over that at 0.1."""
    return _rsd_ratio(evidence, parameters)


def rsd_alike(evidence: Evidence, parameters: Mapping) -> Measured:
    """C22: mean RSD at PLW 0.01 over that at 0."""
    return _rsd_ratio(evidence, parameters)


def weights_kept(evidence: Evidence, parameters: Mapping) -> Measured:
    """C25: distance at PLW 0, and its median at large PLWs, over the median at small ones: the smallest ratio."""
    part = measured(evidence, SHORT, DISTANCE)
    distance = _positive(part.values[..., 0], "The distance")
    low, high = parameters["small"]
    small = [place for place, plw in enumerate(part.settings) if low <= plw <= high]
    large = [place for place, plw in enumerate(part.settings) if plw > high]
    if not small or not large:
        raise Undecided(f"There are no runs with PLW in {low:g} to {high:g}, or none above.")
    near = np.median(distance[:, :, small], axis=2)
    masked = distance[:, :, part.place(0.0)] / near
    heavy = np.median(distance[:, :, large], axis=2) / near
    numbers: dict[str, np.ndarray] = {}
    for ptlm, first, second in zip(part.ptlms, masked.T, heavy.T, strict=True):
        numbers |= {f"{ptlm}: PLW 0 over small": first, f"{ptlm}: large over small": second}
    return Measured(np.min(list(numbers.values()), axis=0), region_of(parameters), None, numbers, "", thin(part))


def memorised(evidence: Evidence, parameters: Mapping) -> Measured:
    """C26: mean BLEU up to PLW 0.1; at a smaller scale, where levels say nothing, its largest spread in a ptlm."""
    part = measured(evidence, SHORT, BLEU)
    small = [place for place, plw in enumerate(part.settings) if plw <= parameters["up_to"]]
    if len(small) < 2:
        raise Undecided(f"Fewer than two PLWs up to {parameters['up_to']:g}.")
    bleu = part.values[:, :, small, 0]
    spread = np.ptp(bleu, axis=2).max(axis=1)
    numbers = {
        "smallest BLEU": bleu.min(axis=(1, 2)),
        "largest BLEU": bleu.max(axis=(1, 2)),
        "largest spread in a ptlm": spread,
    }
    if full_scale(evidence, parameters):
        return Measured(bleu.mean(axis=(1, 2)), tuple(parameters["bleu"]), None, numbers, "", thin(part))
    if part.observed[:, small, 0].max() < parameters["floor"]:
        said = f"BLEU up to PLW {parameters['up_to']:g} is at most {part.observed[:, small, 0].max():.1f}"
        raise Undecided(f"{said}: at this scale hardly anything is memorised, so a plateau means nothing.")
    words = "Below the paper's scale only the plateau is judged: the spread of BLEU."
    return Measured(spread, region_of(parameters), None, numbers, words, thin(part))


def memorised_less(evidence: Evidence, parameters: Mapping) -> Measured:
    """C27: BLEU at PLW 0.1 minus BLEU at 1, mean over ptlms; single steps need not fall, for each has its noise."""
    part = measured(evidence, SHORT, BLEU)
    start = part.place(parameters["start"])
    if start == len(part.settings) - 1 or part.settings[-1] < 1:
        raise Undecided(f"There are no runs from PLW {parameters['start']:g} up to 1.")
    bleu = part.bar[:, start:, 0]
    numbers = {f"BLEU at {plw:g}": column for plw, column in zip(part.settings[start:], bleu.T, strict=True)}
    if part.observed[:, start].mean() < parameters["floor"] and not full_scale(evidence, parameters):
        said = f"At PLW {parameters['start']:g} BLEU is {part.observed[:, start].mean():.1f}: there is nothing to lose."
        raise Undecided(said, {name: value[0] for name, value in numbers.items()})
    return Measured(bleu[:, 0] - bleu[:, -1], region_of(parameters), None, numbers, "", thin(part))


def length_rises(evidence: Evidence, parameters: Mapping) -> Measured:
    """C28: factor by which answers to AlpacaEval's prompts get longer from PLW 0 to 1, along a line of logarithms."""
    part = measured(evidence, SHORT, LENGTH)
    length = part.bar[..., 0]
    falls = length.shape[1] - 1 - increases(length)
    numbers = {"steps that do not rise": falls, "tokens at PLW 0": length[:, 0], "at 1": length[:, -1]}
    numbers["Spearman"] = spearman(transformed(part.settings), length)
    factor = np.exp(line_slope(part.settings, np.log(_positive(length, "The length"))))
    return Measured(factor, region_of(parameters), None, numbers, "", thin(part))


def mechanism(evidence: Evidence, parameters: Mapping) -> Finding:
    """C40: a verdict from verdicts. Two monotone functions of PLW always correlate, so no correlation is asked.

    Contradicted if one of the claims in `rests_on` is; supported if all are supported and, of those in `apart` (scores
    that part where the loss is equally steady, or fall where it is steadiest), one is; otherwise open.
    """
    verdict = {name: evidence.findings[name].verdict for name in evidence.findings}
    numbers = {f"verdict {name}": verdict[name] for name in (*parameters["rests_on"], *parameters["apart"])}
    against = [name for name in parameters["rests_on"] if verdict[name] == CONTRADICTED]
    open_ = [name for name in parameters["rests_on"] if verdict[name] == INCONCLUSIVE]
    apart = [name for name in parameters["apart"] if verdict[name] == SUPPORTED]
    if against:
        said = f"{listed(against)} {'are' if len(against) > 1 else 'is'} contradicted."
        return Finding(CONTRADICTED, said, numbers)
    if open_:
        said = f"It rests on {listed(open_)}, inconclusive here."
        return Finding(INCONCLUSIVE, said, numbers)
    if not apart:
        said = f"None of {listed(parameters['apart'])} is supported, so that a steadier loss is not ruled out."
        return Finding(INCONCLUSIVE, said, numbers)
    return Finding(SUPPORTED, f"{listed([*parameters['rests_on'], *apart])} are supported.", numbers)

"""Claims about other data sets, the additive models over R_g, Table 1, and the loss (§6.2, App. A and D, §4.1)."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Cells, Evidence, cells, thin
from plw.claims.findings import TIE, Measured, Undecided, listed, region_of
from plw.claims.measures import line_slope, parabola, spearman, transformed
from plw.claims.rules_shapes import relative_aggregate

PTLMS = 3  # §6.2 adds LLaMA 3 8B


def _curve(evidence: Evidence, role: str, parameters: Mapping):
    part = cells(evidence, role, parameters, groups=["I", "II"], experiments=("datasets",))
    return part, relative_aggregate(part)


def inverted_elsewhere(evidence: Evidence, parameters: Mapping) -> Measured:
    """C33: the slope of the relative aggregate both upward at w_p = 0 and downward at 1, the smaller of both sets."""
    numbers: dict[str, np.ndarray] = {}
    bends, parts = [], []
    for role in parameters["datasets"]:
        part, y = _curve(evidence, role, parameters)
        curve = parabola(part.settings, y)
        numbers |= {f"{role} b2": curve.b2, f"{role} vertex w_p": curve.vertex, f"{role} R²": curve.r2}
        bends.append(curve.bend)
        parts.append(part)
    return Measured(np.min(bends, axis=0), region_of(parameters), None, numbers, "", thin(*parts, ptlms=PTLMS))


def weaker_elsewhere(evidence: Evidence, parameters: Mapping) -> Measured:
    """C34: the smallest rank correlation with w_p of the sets as they are; each R² is below its shortened form's."""
    numbers: dict[str, np.ndarray] = {}
    ranks, margins, slopes = [], [], []
    parts: list[Cells] = []
    for role, counterpart in parameters["pairs"].items():
        part, y = _curve(evidence, role, parameters)
        short, other = _curve(evidence, counterpart, parameters)
        if min(len(part.settings), len(short.settings)) < 4:
            raise Undecided("A parabola through three PLWs explains everything; R² needs at least four.")
        rank = spearman(transformed(part.settings), y)
        ours, theirs = parabola(part.settings, y).r2, parabola(short.settings, other).r2
        numbers |= {f"{role} Spearman": rank, f"{role} R²": ours, f"{counterpart} R²": theirs}
        parts += [part, short]
        ranks.append(rank)
        margins.append(np.minimum(rank, theirs - ours))
        slopes.append(line_slope(part.settings, y))
    margin = np.min(margins, axis=0) - TIE
    strength = np.min(slopes, axis=0)
    notes = thin(*parts, ptlms=PTLMS)
    return Measured(np.min(ranks, axis=0), region_of(parameters), margin, numbers, "", notes, strength=strength)


def gam_rows(evidence: Evidence, fit: str, parameters: Mapping) -> dict[float, dict]:
    """R_g -> row of Table 5 of one additive model (covariate w_p), within the levels of R_g that it was fitted on.

    Raises Undecided if the model is absent or did not converge.
    """
    if evidence.gam is None:
        raise Undecided("There are no additive models (no gam file).")
    found = evidence.gam["fits"].get(fit, {}).get("w_p")
    if not found or not found.get("rows"):
        why = (found or {}).get("reason")
        raise Undecided(f"There is no additive model {fit} with covariate w_p{f': {why}' if why else ''}.")
    if found.get("converged") is False:
        raise Undecided(f"The additive model {fit} did not converge.")
    rows = {float(row["r_g"]): row for row in found["rows"] if row.get("plw") is not None}
    levels = [float(level) for level in (evidence.gam.get("levels") or {}).values()]
    if levels:
        margin = parameters["beyond"]
        rows = {r_g: row for r_g, row in rows.items() if min(levels) - margin <= r_g <= max(levels) + margin}
    return rows


def _wanted(rows: dict[float, dict], wanted: list[float], fit: str) -> dict[float, dict]:
    absent = [r_g for r_g in wanted if r_g not in rows]
    if absent:
        said = listed(f"{r_g:g}" for r_g in absent)
        raise Undecided(f"The model {fit} says nothing at R_g {said}: outside the data sets it was fitted on.")
    return {r_g: rows[r_g] for r_g in wanted}


def _gam_notes(evidence: Evidence) -> str:
    assert evidence.gam is not None  # gam_rows came first
    levels = evidence.gam.get("levels") or {}
    return f"Fitted on {len(levels)} data sets where the paper has 5." if 0 < len(levels) < 5 else ""


def _flat(rows: Mapping[float, dict]) -> str:
    flat = [f"{r_g:g}" for r_g, row in rows.items() if row["starred"]]
    return f"At R_g {listed(flat)} a range is under 5 %, so the optimum there means little." if flat else ""


def gam_optimum(evidence: Evidence, parameters: Mapping) -> Measured:
    """C35: how far (in PLW) the farthest optimum at small R_g lies outside `range`; at large R_g no row matters."""
    everything, choice = gam_rows(evidence, "All", parameters), gam_rows(evidence, "MC", parameters)
    small = _wanted(everything, parameters["small"], "All")
    low, high = parameters["range"]
    numbers = {f"All at {r_g:g}": row["plw"] for r_g, row in small.items()}
    large = [
        (fit, r_g, row)
        for fit, rows in (("All", everything), ("MC", choice))
        for r_g, row in rows.items()
        if r_g >= parameters["large_from"]
    ]
    if not large:
        raise Undecided(f"The models say nothing at R_g ≥ {parameters['large_from']:g}.", numbers)
    matters = [f"{fit} at {r_g:g}" for fit, r_g, row in large if not row["starred"]]
    numbers |= {"rows at large R_g": len(large), "of them with a range of 5 % or more": len(matters)}
    outside = max(max(low - row["plw"], row["plw"] - high, 0.0) for row in small.values())
    margin = -1.0 if matters else -outside
    words = f"PLW matters at large R_g for {listed(matters)}." if matters else "At large R_g PLW matters nowhere."
    notes = " ".join(filter(None, [_flat(small), _gam_notes(evidence)]))
    return Measured(np.array([outside]), (0.0, 0.0), np.array([margin]), numbers, words, notes)


def generation_wants_more(evidence: Evidence, parameters: Mapping) -> Measured:
    """C37: optimum of generation minus that of multiple choice, in PLW, the smallest over small R_g.

    Where both lie on the same end of [0, 1] the optima are cut off there, and their order cannot be seen.
    """
    wanted = parameters["small"]
    gen = _wanted(gam_rows(evidence, "Gen", parameters), wanted, "Gen")
    choice = _wanted(gam_rows(evidence, "MC", parameters), wanted, "MC")
    numbers = {f"{fit} at {r_g:g}": rows[r_g]["plw"] for r_g in wanted for fit, rows in (("Gen", gen), ("MC", choice))}
    tied = [r_g for r_g in wanted if gen[r_g]["plw"] == choice[r_g]["plw"] and gen[r_g]["plw"] in (0.0, 1.0)]
    apart = [r_g for r_g in wanted if r_g not in tied]
    if not apart:
        raise Undecided("Both optima lie on the same end of [0, 1] everywhere, so their order cannot be seen.", numbers)
    lead = min(gen[r_g]["plw"] - choice[r_g]["plw"] for r_g in apart)
    words = f"Left out, both on the same end of [0, 1]: R_g {listed(f'{r:g}' for r in tied)}." if tied else ""
    notes = " ".join(filter(None, [_flat(gen), _flat(choice), _gam_notes(evidence)]))
    return Measured(np.array([lead]), region_of(parameters), None, numbers, words, notes)


def _is_paper_data(found: dict, role: str, parameters: Mapping) -> bool:
    """Whether statistics are of the paper's data with the paper's tokenizer: by the tokenizer's name and the rows."""
    source = str(found.get("tokenizer", "")).lower()
    rows = parameters["rows"].get(role)
    return any(name in source for name in parameters["tokenizers"]) and (
        rows is not None and abs(found["rows"] - rows) <= parameters["rows_within"] * rows
    )


def table_1(evidence: Evidence, parameters: Mapping) -> Measured:
    """C39: largest difference of a mean number of tokens from Table 1's, over the inverted data sets; 0 where totals
    are the printed ones. A count of given rows, so chance has no part in it."""
    printed = evidence.numbers["table_1"]["rows"]
    judgeable = [
        role
        for role in parameters["datasets"]
        if role in evidence.statistics and _is_paper_data(evidence.statistics[role], role, parameters)
    ]
    if not judgeable:
        raise Undecided("No inverted data set here is the paper's data counted with LLaMA 1's tokenizer.")
    numbers: dict[str, float] = {}
    farthest, differ = 0.0, []
    for role in judgeable:
        ours, paper = evidence.statistics[role], printed[role]
        off = max(abs(ours["tokens"][name]["mean"] - paper[name][0]) for name in ("instruction", "input", "output"))
        numbers |= {f"{role} tokens": ours["total_tokens"], f"{role} tokens (paper)": paper["total_tokens"]}
        numbers[f"{role} largest difference of a mean"] = off
        if ours["total_tokens"] != paper["total_tokens"]:
            differ.append(role)
            farthest = max(farthest, off)
    absent = [role for role in parameters["datasets"] if role not in judgeable]
    words = f"Compared: {listed(judgeable)}." + (f" Totals of {listed(differ)} differ." if differ else "")
    notes = f"Not here: {listed(absent)}." if absent else ""
    return Measured(np.array([farthest]), region_of(parameters), None, numbers, words, notes)


def masking(evidence: Evidence, parameters: Mapping) -> Measured:
    """C38: largest difference of loss and gradient from cross-entropy with prompt labels of -100 (PLW 0), all (1)."""
    if evidence.loss is None:
        raise Undecided("The loss was not tried (no file of its differences).")
    return Measured(np.array([max(evidence.loss.values())]), region_of(parameters), None, dict(evidence.loss))

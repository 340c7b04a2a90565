"""Claims about other data sets, the additive models over R_g, and Table 1 (§6.2, App. A and D)."""

from collections.abc import Mapping

from plw.claims.evidence import Cells, Evidence, cells, thin
from plw.claims.findings import Finding, Undecided, judged, listed
from plw.claims.measures import parabola, spearman, transformed
from plw.claims.rules_shapes import relative_aggregate

PTLMS = 3  # §6.2 adds LLaMA 3 8B


def _curve(evidence: Evidence, role: str, parameters: Mapping):
    part = cells(evidence, role, parameters, groups=["I", "II"], experiments=("datasets",))
    return part, relative_aggregate(part)


def inverted_elsewhere(evidence: Evidence, parameters: Mapping) -> Finding:
    """C33: the relative aggregate of both shortened data sets is an inverted U with its top inside."""
    numbers: dict[str, float] = {}
    failed, parts = [], []
    for role in parameters["datasets"]:
        part, y = _curve(evidence, role, parameters)
        curve = parabola(part.settings, y)
        numbers |= {f"{role} b2": curve.b2, f"{role} vertex w_p": curve.vertex, f"{role} R²": curve.r2}
        parts.append(part)
        if not (curve.b2 < 0 and 0 < curve.vertex < 1):
            failed.append(role)
    reason = "Both are an inverted U with its top inside." if not failed else f"Not so for {listed(failed)}."
    return judged(not failed, reason, numbers, notes=thin(*parts, ptlms=PTLMS))


def weaker_elsewhere(evidence: Evidence, parameters: Mapping) -> Finding:
    """C34: on the data sets as they are the relation rises and is weaker than on their shortened forms."""
    numbers: dict[str, float] = {}
    failed: list[str] = []
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
        failed += [f"{role} does not rise"] if rank <= 0 else []
        failed += [f"{role} is not the weaker one"] if ours >= theirs else []
    reason = "Both rise, and both are weaker than their shortened forms." if not failed else f"{'; '.join(failed)}."
    return judged(not failed, reason, numbers, notes=thin(*parts, ptlms=PTLMS))


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


def _gam_notes(evidence: Evidence, parameters: Mapping) -> str:
    assert evidence.gam is not None  # gam_rows came first
    levels = evidence.gam.get("levels") or {}
    said = [f"Fitted on {len(levels)} data sets where the paper has 5."] if 0 < len(levels) < 5 else []
    return " ".join(said)


def _other_reading(evidence: Evidence, fit: str, wanted: list[float]) -> dict:
    """The optima with the untransformed PLW as covariate, as App. D words it."""
    assert evidence.gam is not None  # gam_rows came first
    rows = (evidence.gam["fits"].get(fit, {}).get("plw") or {}).get("rows") or []
    return {f"{fit} at {row['r_g']:g} (covariate PLW)": row.get("plw") for row in rows if float(row["r_g"]) in wanted}


def gam_optimum(evidence: Evidence, parameters: Mapping) -> Finding:
    """C35: fractional optimum at small R_g, and a range under 5 % from R_g 2.5 on (starred rows)."""
    everything, choice = gam_rows(evidence, "All", parameters), gam_rows(evidence, "MC", parameters)
    small = _wanted(everything, parameters["small"], "All")
    low, high = parameters["range"]
    numbers = {f"All at {r_g:g}": row["plw"] for r_g, row in small.items()} | _other_reading(
        evidence, "All", parameters["small"]
    )
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
    fractional = all(low <= row["plw"] <= high for row in small.values())
    flat = [f"{r_g:g}" for r_g, row in small.items() if row["starred"]]
    said = [
        *([] if fractional == (not matters) else ["Only one half holds."]),
        *([f"At R_g {listed(flat)} the range is under 5 % too, so the optimum there means little."] if flat else []),
    ]
    reason = f"Optima at small R_g are {'all' if fractional else 'not all'} in {low:g} to {high:g}; "
    reason += f"PLW matters at large R_g for {listed(matters)}." if matters else "at large R_g PLW matters nowhere."
    notes = _gam_notes(evidence, parameters)
    return judged(fractional and not matters, reason, numbers, partial=" ".join(said) or None, notes=notes)


def generation_wants_more(evidence: Evidence, parameters: Mapping) -> Finding:
    """C37: at small R_g the optimum of generation lies above that of multiple choice."""
    wanted = parameters["small"]
    gen = _wanted(gam_rows(evidence, "Gen", parameters), wanted, "Gen")
    choice = _wanted(gam_rows(evidence, "MC", parameters), wanted, "MC")
    numbers = {f"{fit} at {r_g:g}": rows[r_g]["plw"] for r_g in wanted for fit, rows in (("Gen", gen), ("MC", choice))}
    for fit in ("Gen", "MC"):
        numbers |= _other_reading(evidence, fit, wanted)
    failed = [f"{r_g:g}" for r_g in wanted if gen[r_g]["plw"] <= choice[r_g]["plw"]]
    flat = [f"{r_g:g}" for r_g in wanted if gen[r_g]["starred"] or choice[r_g]["starred"]]
    partial = f"At R_g {listed(flat)} a range is under 5 %, so the optimum there means little." if flat else None
    reason = f"Generation's optimum is {'larger at each R_g' if not failed else f'not larger at R_g {listed(failed)}'}."
    return judged(not failed, reason, numbers, partial=partial, notes=_gam_notes(evidence, parameters))


def _is_paper_data(found: dict, role: str, parameters: Mapping) -> bool:
    """Whether statistics are of the paper's data with the paper's tokenizer: by the tokenizer's name and the rows."""
    source = str(found.get("tokenizer", "")).lower()
    rows = parameters["rows"].get(role)
    return any(name in source for name in parameters["tokenizers"]) and (
        rows is not None and abs(found["rows"] - rows) <= parameters["rows_within"] * rows
    )


def table_1(evidence: Evidence, parameters: Mapping) -> Finding:
    """C39: token statistics of the inverted data sets equal Table 1's: totals exactly, else means within a margin."""
    printed = evidence.numbers["table_1"]["rows"]
    numbers: dict[str, float] = {}
    failed: list[str] = []
    approximate: list[str] = []
    judgeable = [
        role
        for role in parameters["datasets"]
        if role in evidence.statistics and _is_paper_data(evidence.statistics[role], role, parameters)
    ]
    if not judgeable:
        raise Undecided("No inverted data set here is the paper's data counted with LLaMA 1's tokenizer.")
    for role in judgeable:
        ours, paper = evidence.statistics[role], printed[role]
        off = max(abs(ours["tokens"][name]["mean"] - paper[name][0]) for name in ("instruction", "input", "output"))
        numbers |= {f"{role} tokens": ours["total_tokens"], f"{role} tokens (paper)": paper["total_tokens"]}
        numbers[f"{role} largest difference of a mean"] = off
        if ours["total_tokens"] != paper["total_tokens"]:
            (approximate if off <= parameters["mean_within"] else failed).append(role)
    absent = [role for role in parameters["datasets"] if role not in judgeable]
    partial = f"Totals of {listed(approximate)} differ, means do not." if approximate else None
    reason = f"Compared: {listed(judgeable)}. " + (
        f"Not reproduced: {listed(failed)}." if failed else "All reproduced."
    )
    return judged(not failed, reason, numbers, partial=partial, notes=f"Not here: {listed(absent)}." if absent else "")

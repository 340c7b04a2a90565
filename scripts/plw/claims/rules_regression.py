"""Claims about the mixed model of §5.2: Table 3, the critical PLW, residual checks."""

from collections.abc import Mapping

from plw.claims.evidence import Evidence, cells, thin
from plw.claims.findings import Finding, Undecided, judged, listed
from plw.claims.measures import min_max
from plw.scores.transform import from_w_p

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")


def regression_of(evidence: Evidence, role: str) -> dict:
    """The regression of the data set in a role. Raises Undecided if there is none or no model came out."""
    if role not in evidence.regressions:
        raise Undecided(f"There is no regression of a data set that stands for {role}.")
    result = evidence.regressions[role]
    if not result["fit"].get("coefficients"):
        raise Undecided(f"The regression of {role} gave no model: {result['fit'].get('error') or 'no coefficients'}.")
    return result


def converged_fit(evidence: Evidence, role: str) -> dict:
    """The main fit of a role. Raises Undecided, with its p-value for completeness, if it did not converge."""
    result = regression_of(evidence, role)
    if not result["converged"]:
        warnings = result["fit"].get("flags", {}).get("warnings") or []
        said = f" ({warnings[0]})" if warnings else ""
        raise Undecided(f"The fit of {role} did not converge{said}.", {"p (decides nothing)": p_value(result["fit"])})
    return result["fit"]


def p_value(fit: dict) -> float | None:
    """Type II Wald p-value of the polynomial."""
    return fit.get("test", {}).get("wald", {}).get("p", fit.get("p"))


def coefficients(fit: dict) -> tuple[float, float]:
    """Coefficients of w_p and w_p² on the logit scale."""
    return tuple(fit["coefficients"][name]["estimate"] for name in ("w_p", "w_p2"))


def constant_note(evidence: Evidence, role: str) -> str:
    """That benchmarks without any variation were in the fit, if they were."""
    names = evidence.regressions[role].get("constant_benchmarks") or []
    labels = {entry["name"]: entry.get("label", entry["name"]) for entry in evidence.benchmarks}
    return f"All runs score the same on {listed(labels.get(n, n) for n in names)}, in the fit at 0.5." if names else ""


def critical_plw(evidence: Evidence, role: str) -> tuple[float, float]:
    """(vertex in w_p, critical PLW) of a role's fit; Undecided if it did not converge or has no maximum in (0, 1)."""
    b1, b2 = coefficients(converged_fit(evidence, role))
    vertex = -b1 / (2 * b2) if b2 else float("inf")
    if b2 >= 0 or not 0 < vertex < 1:
        raise Undecided("The fit has no maximum inside (0, 1).", {"b1": b1, "b2": b2, "vertex w_p": vertex})
    return vertex, from_w_p(vertex)


def significant(evidence: Evidence, parameters: Mapping) -> Finding:
    """C01: the polynomial's p is below alpha in a fit that converged."""
    p = p_value(converged_fit(evidence, SHORT))
    if p is None:
        raise Undecided(f"The regression of {SHORT} has no p-value.")
    numbers = {"p": p, "alpha": parameters["alpha"]}
    permutation = (evidence.checks.get(SHORT, {}).get("permutation") or {}).get("p")
    if permutation is not None:
        numbers["p of the permutation test"] = permutation
    holds = p < parameters["alpha"]
    partial = None
    if permutation is not None and (permutation < parameters["alpha"]) != holds:
        partial = "The permutation test decides the other way."
    reason = f"Wald test of the polynomial: p {'<' if holds else '≥'} {parameters['alpha']:g}; the fit converged."
    return judged(holds, reason, numbers, partial=partial, notes=constant_note(evidence, SHORT))


def downward(evidence: Evidence, parameters: Mapping) -> Finding:
    """C02: b1 > 0 and b2 < 0."""
    fit = converged_fit(evidence, SHORT)
    b1, b2 = coefficients(fit)
    numbers = {"b1 (w_p)": b1, "b2 (w_p²)": b2}
    low, high = (fit["coefficients"]["w_p2"].get(name) for name in ("ci_low", "ci_high"))
    partial = None
    if low is not None and high is not None:
        numbers |= {"b2 low": low, "b2 high": high}
        partial = "The interval of b2 includes 0." if low <= 0 <= high else None
    holds = b1 > 0 and b2 < 0
    reason = "It rises from w_p = 0 and bends down." if holds else "The signs are not those of a rise that bends down."
    return judged(holds, reason, numbers, partial=partial, notes=constant_note(evidence, SHORT))


def critical(evidence: Evidence, parameters: Mapping) -> Finding:
    """C03: the vertex is a maximum in (0, 1); close to the paper's if its PLW lies in `close`."""
    try:
        vertex, plw = critical_plw(evidence, SHORT)
    except Undecided as outside:
        if "b2" not in outside.numbers:
            raise
        return judged(False, outside.reason, outside.numbers, notes=constant_note(evidence, SHORT))
    low, high = parameters["close"]
    printed = evidence.numbers["table_3"]["critical"]["plw"]
    close = low <= plw <= high
    return judged(
        True,
        f"The maximum lies at PLW {plw:.3g}.",
        {"vertex w_p": vertex, "critical PLW": plw, "critical PLW (paper)": printed},
        partial=f"{'Close to' if close else 'Inside (0, 1), but not close to'} the paper's {printed:g} "
        f"({'in' if close else 'outside'} {low:g} to {high:g}).",
        notes=constant_note(evidence, SHORT),
    )


def _decisive(result: dict) -> tuple[str, dict[str, float | None]]:
    """(which fits decide, their p-values): the main fit if it converged, else reduced models that did, else its p."""
    main = p_value(result["fit"])
    if result["converged"]:
        return "main", {"main": main}
    reduced = {
        fit["name"]: p_value(fit)
        for fit in result.get("sensitivity", [])
        if fit["name"].startswith("reduced") and fit.get("converged") and p_value(fit) is not None
    }
    return ("reduced", reduced) if reduced else ("unconverged", {"main, not converged": main})


def not_rejected(evidence: Evidence, parameters: Mapping) -> Finding:
    """C04: no fit that decides rejects H0 on AlpacaData or AlpacaDataCleaned.

    A p-value below alpha of a fit that did not converge, with no reduced model that did, decides nothing.
    """
    alpha = parameters["alpha"]
    numbers: dict[str, float | None] = {}
    rejected, unsure, shaky = [], [], []
    for role in LONG:
        which, found = _decisive(regression_of(evidence, role))
        numbers |= {f"p {role} ({name})": p for name, p in found.items()}
        below = any(p is not None and p < alpha for p in found.values())
        if which == "unconverged":
            shaky.append(role)
            unsure += [role] if below or None in found.values() else []
        elif below:
            rejected.append(role)
    if rejected:
        return judged(False, f"H0 is rejected for {listed(rejected)} at {alpha:g}.", numbers)
    if unsure:
        raise Undecided(f"No fit of {listed(unsure)} converged, and its p-value cannot be used.", numbers)
    partial = f"No fit of {listed(shaky)} converged; its p-value is shown as the paper shows it." if shaky else None
    return judged(True, f"Every p-value that decides is at least {alpha:g}.", numbers, partial=partial)


def flagged(result: dict) -> bool:
    """Whether glmmTMB warned with its default optimizer, as the paper used it (the final fit's flag if not known)."""
    return not result["fit"].get("default_optimizer_converged", result["converged"])


def flags(evidence: Evidence, parameters: Mapping) -> Finding:
    """C05: the fits of AlpacaData and AlpacaDataCleaned warn, that of AlpacaDataShort does not."""
    raised = {role: flagged(regression_of(evidence, role)) for role in (*LONG, SHORT)}
    finally_ = {role: not evidence.regressions[role]["converged"] for role in raised}
    holds = raised[LONG[0]] and raised[LONG[1]] and not raised[SHORT]
    other = finally_[LONG[0]] and finally_[LONG[1]] and not finally_[SHORT]
    warned = [role for role, flag in raised.items() if flag]
    partial = None
    if other != holds:
        partial = (
            f"After a second optimizer only {listed([r for r, f in finally_.items() if f])} did not converge:"
            f" by that the claim {'holds' if other else 'does not hold'}."
        )
    numbers = {f"warning {role}": flag for role, flag in raised.items()}
    numbers |= {f"not converged in the end {role}": flag for role, flag in finally_.items()}
    return judged(holds, f"glmmTMB's default optimizer warned for {listed(warned)}.", numbers, partial=partial)


def residuals(evidence: Evidence, parameters: Mapping) -> Finding:
    """C06: every residual test of AlpacaDataShort's fit has p > level (DHARMa's p; the simulated one if absent)."""
    converged_fit(evidence, SHORT)
    found = (evidence.regressions[SHORT].get("residuals") or {}).get("tests") or {}
    absent = [name for name in parameters["tests"] if name not in found]
    if absent:
        raise Undecided(f"Residual tests are missing: {listed(absent)}.")
    numbers, simulated = {}, {}
    for name in parameters["tests"]:
        test = found[name]
        simulated[name] = test.get("p_simulated")
        numbers[f"p {name}"] = test["p"] if test.get("p") is not None else simulated[name]
    failed = [
        name for name, p in zip(parameters["tests"], numbers.values(), strict=True) if not p > parameters["level"]
    ]
    also = [name for name, p in simulated.items() if p is not None and not p > parameters["level"]]
    partial = None
    if bool(also) != bool(failed):
        partial = (
            f"By p-values that the fit itself simulates, these fail: {listed(also)}."
            if also
            else ("By p-values that the fit itself simulates, all tests pass.")
        )
    reason = f"Failed: {listed(failed)}." if failed else f"All {len(numbers)} tests have p > {parameters['level']:g}."
    return judged(not failed, reason, numbers, partial=partial)


def overlaps(evidence: Evidence, parameters: Mapping) -> Finding:
    """C18: the critical PLW lies in the span of PLWs whose relative aggregate is near its maximum."""
    vertex, plw = critical_plw(evidence, SHORT)
    part = cells(evidence, SHORT, parameters)
    mean = min_max(part.values).mean(axis=(0, 2))
    near = [w for w, value in zip(part.settings, mean, strict=True) if value >= (1 - parameters["within"]) * mean.max()]
    numbers = {"critical PLW": plw, "vertex w_p": vertex, "from": min(near), "to": max(near), "maximum": mean.max()}
    holds = min(near) <= plw <= max(near)
    reason = f"PLWs within {parameters['within']:.0%} of the maximum span {min(near):g} to {max(near):g}."
    return judged(holds, reason, numbers, notes=thin(part))

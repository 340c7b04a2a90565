"""Claims about the mixed model of §5.2: Table 3, the critical PLW, residual checks.

The numbers of glmmTMB's fits are shown and must agree. What is simulated is the two-stage form of the same model
(measures.mean_curve), for the study and for each simulated study alike, because a simulation cannot call R.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from plw.claims.evidence import Evidence, cells, thin
from plw.claims.findings import CONTRADICTED, SUPPORTED, Measured, Undecided, listed, region_of
from plw.claims.measures import MeanCurve, mean_curve, min_max, transformed
from plw.scores.scale import is_constant
from plw.scores.transform import from_w_p

SHORT, LONG = "AlpacaDataShort", ("AlpacaData", "AlpacaDataCleaned")
ONE_SIDED = 1.645  # standard normal quantile of 95 %


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
    return f"All runs score the same on {listed(labels.get(n, n) for n in names)}." if names else ""


def tests_of(evidence: Evidence, role: str) -> dict[str, float]:
    """p-values of every test of the polynomial that a study has for a role, by name; the model's own fit is first.

    Of the sensitivity fits those with another choice of random effects count, where they converged.
    """
    result = evidence.regressions[role]
    found = {"Wald, the paper's model": p_value(result["fit"])} if result["converged"] else {}
    for fit in result.get("sensitivity", []):
        other = fit["name"].startswith("reduced") or "ptlm:benchmark" in fit["name"] or "intercept" in fit["name"]
        if other and fit.get("converged"):
            found[f"Wald, {fit['name']}"] = p_value(fit)
    checks = evidence.checks.get(role, {})
    for name, about in (("permutation", "permutation"), ("seed_test", "PLW against PLW × seed")):
        found[about] = (checks.get(name) or {}).get("p")
    items = checks.get("item_model") or {}
    if items.get("converged"):
        found["the item-level model"] = (items.get("test") or {}).get("p")
    return {name: p for name, p in found.items() if p is not None}


def _curve(evidence: Evidence, role: str, parameters: Mapping) -> tuple[MeanCurve, str]:
    part = cells(evidence, role, parameters)
    return mean_curve(part.settings, part.values), thin(part)


def significant(evidence: Evidence, parameters: Mapping) -> Measured:
    """C01: how much of the relative scale the mean curve spans; the claim holds by its Wald test.

    Not supported where a test of the same polynomial does not reject; not contradicted where one does.
    """
    converged_fit(evidence, SHORT)
    curve, notes = _curve(evidence, SHORT, parameters)
    tests = tests_of(evidence, SHORT)
    rejecting = [name for name, p in tests.items() if p < parameters["alpha"]]
    keeping = [name for name in tests if name not in rejecting]
    numbers = {f"p, {name}": p for name, p in tests.items()} | {"chi-square, two-stage form": curve.wald}
    doubts = {}
    if keeping:
        doubts[SUPPORTED] = f"p ≥ {parameters['alpha']:g} by {listed(keeping, most=3)}"
    if rejecting:
        doubts[CONTRADICTED] = f"p < {parameters['alpha']:g} by {listed(rejecting, most=3)}"
    margin = curve.wald - stats.chi2.isf(parameters["alpha"], 2)
    notes = " ".join(filter(None, [notes, constant_note(evidence, SHORT)]))
    return Measured(curve.span, (0.0, 1.0), margin, numbers, "", notes, doubts)


def _printed(evidence: Evidence) -> dict[str, float]:
    """glmmTMB's coefficients with their intervals, for the reader."""
    found = {}
    for label, name in (("b1 (w_p)", "w_p"), ("b2 (w_p²)", "w_p2")):
        entry = evidence.regressions[SHORT]["fit"]["coefficients"][name]
        found[label] = entry["estimate"]
        found |= {
            f"{label} {side}": entry[f"ci_{side}"] for side in ("low", "high") if entry.get(f"ci_{side}") is not None
        }
    return found


def _signs_differ(evidence: Evidence, curve: MeanCurve) -> dict[str, str]:
    """Doubts where glmmTMB's curvature has no certain sign, or another one than the two-stage form's."""
    fit = evidence.regressions[SHORT]["fit"]
    _, b2 = coefficients(fit)
    low, high = (fit["coefficients"]["w_p2"].get(f"ci_{side}") for side in ("low", "high"))
    if low is not None and high is not None and low <= 0 <= high:
        said = "the mixed model's interval of w_p² includes 0"
        return {SUPPORTED: said, CONTRADICTED: said}
    if (b2 < 0) == (curve.b2[0] < 0):
        return {}
    said = "the mixed model and its two-stage form differ in the sign of w_p²"
    return {SUPPORTED: said, CONTRADICTED: said}


def downward(evidence: Evidence, parameters: Mapping) -> Measured:
    """C02: curvature of the mean curve on the logit scale; and it rises from w_p = 0."""
    converged_fit(evidence, SHORT)
    curve, notes = _curve(evidence, SHORT, parameters)
    numbers = _printed(evidence) | {"b1, two-stage form": curve.b1}
    return Measured(
        curve.b2,
        region_of(parameters),
        np.minimum(curve.b1, -curve.b2),
        numbers,
        "",
        notes,
        _signs_differ(evidence, curve),
    )


def critical(evidence: Evidence, parameters: Mapping) -> Measured:
    """C03: the mean curve's best PLW; the claim holds where its whole 90 % interval lies in `close`.

    `Near 0.242` is so asked of the interval, not of the point: where the curve hardly bends the point is anywhere.
    """
    fit = converged_fit(evidence, SHORT)
    curve, notes = _curve(evidence, SHORT, parameters)
    low, high = transformed(parameters["close"])
    with np.errstate(invalid="ignore", divide="ignore"):
        margin = np.minimum(curve.vertex - low, high - curve.vertex) / curve.vertex_se - ONE_SIDED
    plw = np.clip(curve.vertex, 0, 1) ** (1 / np.log10(2))
    b1, b2 = coefficients(fit)
    vertex = -b1 / (2 * b2) if b2 else float("nan")
    numbers: dict = _printed(evidence) | {"vertex w_p (glmmTMB)": vertex}
    if b2 < 0 and 0 <= vertex <= 1:
        numbers["critical PLW (glmmTMB)"] = from_w_p(vertex)
    numbers["critical PLW (paper)"] = evidence.numbers["table_3"]["critical"]["plw"]
    fieller = (fit.get("critical") or {}).get("fieller") or {}
    numbers |= {f"Fieller {name}": value for name, value in fieller.items() if isinstance(value, int | float | str)}
    return Measured(plw, tuple(parameters["close"]), margin, numbers, "", notes, _signs_differ(evidence, curve))


def not_rejected(evidence: Evidence, parameters: Mapping) -> Measured:
    """C04: how much of the relative scale the mean curves span, the larger of both long-completion data sets.

    Supported only where it is clearly under half of what Table 3 has for AlpacaDataShort and no test rejects.
    """
    numbers: dict = {}
    curves, notes, rejecting = [], [], []
    for role in LONG:
        regression_of(evidence, role)
        curve, said = _curve(evidence, role, parameters)
        curves.append(curve.span)
        notes.append(said)
        numbers[f"span {role}"] = curve.span
        for name, p in tests_of(evidence, role).items():
            numbers[f"p {role}, {name}"] = p
            rejecting += [f"{name} ({role})"] if p < parameters["alpha"] else []
    doubts = {SUPPORTED: f"p < {parameters['alpha']:g} by {listed(rejecting, most=3)}"} if rejecting else {}
    return Measured(np.max(curves, axis=0), region_of(parameters), None, numbers, "", max(notes, key=len), doubts)


def flagged(result: dict) -> bool:
    """Whether glmmTMB warned with its default optimizer, as the paper used it (the final fit's flag if not known)."""
    return not result["fit"].get("default_optimizer_converged", result["converged"])


def flags(evidence: Evidence, parameters: Mapping) -> Measured:
    """C05: of the three models, how many are as the paper's: AlpacaData and AlpacaDataCleaned warn, the other not."""
    raised = {role: flagged(regression_of(evidence, role)) for role in (*LONG, SHORT)}
    alike = [raised[role] == (role != SHORT) for role in raised]
    numbers = {f"warning {role}": flag for role, flag in raised.items()}
    numbers |= {f"not converged in the end {role}": not evidence.regressions[role]["converged"] for role in raised}
    warned = [role for role, flag in raised.items() if flag]
    words = f"glmmTMB's default optimizer warned for {listed(warned)}."
    return Measured(np.array([float(sum(alike))]), region_of(parameters), None, numbers, words)


def residuals(evidence: Evidence, parameters: Mapping) -> Measured:
    """C06: the smallest p of the residual tests, times their number (Bonferroni); below `alpha` the model fails.

    DHARMa's p-values, the simulated one where a test has no other.
    """
    converged_fit(evidence, SHORT)
    found = (evidence.regressions[SHORT].get("residuals") or {}).get("tests") or {}
    absent = [name for name in parameters["tests"] if name not in found]
    if absent:
        raise Undecided(f"Residual tests are missing: {listed(absent)}.")
    numbers = {}
    for name in parameters["tests"]:
        test = found[name]
        numbers[f"p {name}"] = test["p"] if test.get("p") is not None else test.get("p_simulated")
    smallest = min(1.0, min(numbers.values()) * len(numbers))
    return Measured(np.array([smallest]), (parameters["alpha"], 1.0), None, numbers)


def overlaps(evidence: Evidence, parameters: Mapping) -> Measured:
    """C18: how far the relative aggregate at the model's best PLW lies below its highest, as a share of its range.

    Between two PLWs the aggregate is read off the line that joins them. λ is a number and the PLWs are a grid, so that
    "the same place" can only be asked of the heights.
    """
    fit = converged_fit(evidence, SHORT)
    part = cells(evidence, SHORT, parameters)
    curve = mean_curve(part.settings, part.values)
    b1, b2 = coefficients(fit)
    vertex = -b1 / (2 * b2) if b2 else float("inf")
    if b2 >= 0 or not 0 < vertex < 1:
        raise Undecided("The fit has no maximum inside (0, 1).", {"b1": b1, "b2": b2, "vertex w_p": vertex})
    mean, w = min_max(part.values).mean(axis=(1, 3)), transformed(part.settings)
    own = evidence.values is None
    at = np.full(len(mean), vertex) if own else curve.vertex
    height = np.array([np.interp(place, w, line) for place, line in zip(at, mean, strict=True)])
    span = np.ptp(mean, axis=1)
    short = (mean.max(axis=1) - height) / np.where(is_constant(0, span), 1, span)
    short = np.where((at > 0) & (at < 1), short, np.nan)
    numbers = {"critical PLW": from_w_p(vertex), "vertex w_p": vertex, "maximum": mean.max(axis=1)}
    return Measured(short, region_of(parameters), None, numbers, "", thin(part))

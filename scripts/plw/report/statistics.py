"""Regressions, their checks, GAMs, and the mechanism's numbers as the report shows them."""

from plw.report.tables import plain_table, shown_number


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form).replace("-", "−")


def _p(value: float | None) -> str:
    """A p-value in a table's cell."""
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3g}"


def p_is(value: float | None) -> str:
    """A p-value in a sentence."""
    return "no p-value" if value is None else f"p {'<' if value < 0.001 else '='} {_p(value).lstrip('<')}"


def fit_view(result: dict, checks: dict | None, labels: dict[str, str]) -> dict:
    """One data set's regression in detail: {name, dataset, n, converged, lines, sensitivity, checks, left_out}.

    result   regression/DATASET.json
    checks   regression/DATASET.checks.json or None
    """
    checks = checks or {}
    return {
        "name": result["dataset"],
        "dataset": labels.get(result["dataset"], result["dataset"]),
        "n": result["design"]["rows"],
        "converged": result["converged"],
        "lines": fit_lines(result),
        "sensitivity": sensitivity_table(result),
        "checks": _check_lines(checks),
        "left_out": left_out_table(checks),
    }


def fit_lines(result: dict) -> list[tuple[str, str]]:
    """The parts of a regression that a reader checks, as (name, text)."""
    fit = result["fit"]
    lines = [("Model", fit.get("formula") or result["model"]), ("Converged", "yes" if result["converged"] else "no")]
    if fit.get("singular"):
        lines.append(("Singular", "a variance of zero or a correlation of one: the data carry fewer random effects"))
    flags = fit.get("flags") or {}
    lines += [("Warning", str(text)) for text in flags.get("warnings") or []]
    if fit.get("error"):
        lines.append(("Error", str(fit["error"])))
    for key, name in (("intercept", "Intercept"), ("w_p", "w_p"), ("w_p2", "w_p²")):
        found = (fit.get("coefficients") or {}).get(key)
        if found:
            interval = f"{_number(found.get('ci_low'), '.2f')} to {_number(found.get('ci_high'), '.2f')}"
            text = f"{_number(found.get('estimate'))}, standard error {_number(found.get('se'))}"
            lines.append((name, f"{text}, 95 % interval {interval}"))
    lines += _test_lines(fit.get("test") or {})
    critical = fit.get("critical") or {}
    if critical.get("plw") is not None:
        interval = f"{_number(critical.get('plw_ci_low'))} to {_number(critical.get('plw_ci_high'))}"
        how = "; " + critical["note"] if critical.get("interval") == "fieller" else ""
        lines.append(("Critical PLW λ", f"{critical['plw']:.3f}, 95 % interval {interval}{how}"))
    elif critical.get("note"):
        lines.append(("Critical PLW λ", critical["note"]))
    return lines + _residual_lines(result.get("residuals") or {})


def _test_lines(test: dict) -> list[tuple[str, str]]:
    lines = []
    for key, name in (("wald", "Wald χ² (type II)"), ("likelihood_ratio", "Likelihood ratio")):
        found = test.get(key) or {}
        if found.get("p") is not None:
            text = f"χ² = {found['chi_square']:.2f}, df = {found['df']:g}, {p_is(found['p'])}"
            lines.append((name, text + (f"; as an F test {p_is(found['p_f'])}" if found.get("p_f") else "")))
    return lines


def _residual_lines(residuals: dict) -> list[tuple[str, str]]:
    lines = []
    for name, found in (residuals.get("tests") or {}).items():
        if not isinstance(found, dict):
            continue
        p = found.get("p") if found.get("p") is not None else found.get("p_simulated")
        state = "" if found.get("passed") is None else ", passed" if found["passed"] else ", not passed"
        lines.append((f"Residuals: {name.replace('_', ' ')}", f"{p_is(p)}{state}"))
    if residuals.get("implementation"):
        lines.append(("Residual tests by", str(residuals["implementation"])))
    return lines


def sensitivity_table(result: dict) -> dict | None:
    """The same question asked of other models and of other treatments of 0 and 1; None where none were fitted."""
    fits = [{**result["fit"], "name": "as reported"}, *(result.get("sensitivity") or [])]
    if len(fits) == 1:
        return None
    rows = []
    for fit in fits:
        coefficients, test = fit.get("coefficients") or {}, fit.get("test") or {}
        rows.append(
            [
                fit["name"],
                ("yes" if fit.get("converged") else "no") + (", singular" if fit.get("singular") else ""),
                _p(fit.get("p")),
                _p((test.get("likelihood_ratio") or {}).get("p")),
                *(_number((coefficients.get(key) or {}).get("estimate")) for key in ("w_p", "w_p2")),
                _number(fit.get("plw")),
            ]
        )
    columns = ["fit", "converged", "p, Wald", "p, likelihood ratio", "w_p", "w_p²", "critical PLW"]
    return plain_table(columns, rows, right_from=2)


def _check_lines(checks: dict) -> list[tuple[str, str]]:
    """Permutation test, bootstrap over items and the comparison of two PLWs; what was not done says why."""
    lines = []
    permutation = checks.get("permutation")
    if permutation:
        count = permutation.get("permutations")
        text = p_is(permutation.get("p")) + (f" from {count:,} permutations of the PLWs among runs" if count else "")
        lines.append(("Permutation test", permutation.get("reason") or text))
    seeds = checks.get("seed_test")
    if seeds:
        text = f"{p_is(seeds['p'])} from {seeds['curves']} curves (PTLM × seed)"
        if seeds.get("lag_1") is not None:
            text += f"; luck at neighbouring PLWs correlates {_number(seeds['lag_1'], '.2f')}"
        lines.append(("PLW against PLW × seed", seeds.get("reason") or text))
    lines += _item_lines(checks.get("item_model") or {})
    bootstrap = checks.get("item_bootstrap")
    if bootstrap:
        share = bootstrap["plw"].get("share_inside")
        if share is not None:
            text = f"in {100 * share:.0f} % of {bootstrap['n']:,} resamples of the benchmarks' items"
            lines.append(("A maximum inside (0, 1)", text))
        hidden = bootstrap["plw"].get("note")
        lines.append(("λ where there is one", hidden or _span(bootstrap["plw"])))
        if bootstrap.get("best_plw"):
            lines.append(("Best PLW, borders included", _span(bootstrap["best_plw"])))
        if bootstrap.get("fixed"):
            lines.append(("Not resampled", shown_number(bootstrap["fixed"])))
    difference = checks.get("paired_difference") or {}
    for ptlm, found in (difference.get("ptlms") or {}).items():
        first, second = difference["plws"]
        name = f"Relative aggregate, PLW {first:g} less PLW {second:g}, {ptlm}"
        lines.append((name, f"{_number(found.get('estimate'))}, resampled {_span(found)}"))
    return lines + [
        (name.replace("_", " ").capitalize(), reason) for name, reason in (checks.get("reasons") or {}).items()
    ]


def _item_lines(found: dict) -> list[tuple[str, str]]:
    """The item-level model: test, optimum, treatment of the benchmarks."""
    if found.get("reason") or not found.get("test"):
        return [("Item-level model", str(found["error"]))] if found.get("error") else []
    test, optimum = found["test"], found["optimum"]
    spans = " and ".join(f"{_number(span['plw_low'])} to {_number(span['plw_high'])}" for span in optimum["set"])
    kinds: dict[str, list[str]] = {}
    for name, how in found["treated"].items():
        kinds.setdefault(how.get("kind") or f"left out, {how['reason']}", []).append(name)
    df = " and ".join(f"{value:g}" for value in test["df"])
    inside = f"{optimum['inside']:.2f} (of a flat curve {optimum['inside_if_flat']:.2f})"
    lines = [
        ("Item-level model", f"{found['formula']}; converged: {'yes' if found['converged'] else 'no'}"),
        ("Item level, flat curve", f"F = {test['statistic']:.2f} on {df}, {p_is(test['p'])}"),
        ("Item level, best PLW", f"{optimum['plw']:.3f}; not refuted as the maximum: {spans or 'none'}"),
        ("Item level, probability of a maximum inside (0, 1)", inside),
        ("Item level, benchmarks", "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())),
    ]
    return lines + ([("Item level", optimum["note"])] if optimum.get("note") else [])


def _span(found: dict) -> str:
    span = f"{_number(found.get('low'))} to {_number(found.get('high'))}"
    return f"{span}, median {_number(found.get('median'))}"


def left_out_table(checks: dict) -> dict | None:
    """λ and coefficients with one benchmark left out at a time; None where that was not done."""
    found = checks.get("leave_one_out") or []
    if found and checks.get("all_benchmarks"):
        found = [{**checks["all_benchmarks"], "left_out": "none"}, *found]
    rows = [
        [
            str(row.get("left_out")),
            "yes" if row.get("converged") else "no",
            *(_number(row.get(key)) for key in ("b1", "b2", "vertex_w_p", "plw")),
            _p(row.get("p_wald")),
        ]
        for row in found
    ]
    columns = ["left out", "converged", "w_p", "w_p²", "vertex in w_p", "critical PLW", "p, Wald"]
    return plain_table(columns, rows, right_from=2) if rows else None


def gam_table(gam: dict | None) -> dict | None:
    """The GAMs that Table 5 and Figure 10 come from, by benchmarks and covariate; None where none were fitted."""
    rows = []
    for benchmarks, readings in ((gam or {}).get("fits") or {}).items():
        for covariate, fit in (readings or {}).items():
            if not isinstance(fit, dict):
                continue
            others = {"REML": fit.get("reml"), "constant benchmarks in": fit.get("with_constant")}
            shown = [(covariate, fit), *((f"{covariate}, {name}", found) for name, found in others.items() if found)]
            rows += [_gam_row(benchmarks, name, found) for name, found in shown]
    columns = ["benchmarks", "covariate", "formula", "n", "edf", "deviance explained", "range at R_g = 1", "warnings"]
    return plain_table(columns, rows) if rows else None


def _gam_row(benchmarks: str, name: str, fit: dict) -> list[str]:
    said = fit.get("warnings") or []
    said = [*([said] if isinstance(said, str) else said), *filter(None, [fit.get("reason")])]
    explained = fit.get("deviance_explained")
    at_one = next((row["range"] for row in fit.get("rows") or [] if row["r_g"] == 1.0), None)
    return [
        benchmarks,
        name,
        str(fit.get("formula", "–")),
        shown_number(fit.get("n")),
        shown_number(fit.get("edf")),
        "–" if explained is None else f"{100 * explained:.1f} %",
        _number(at_one),
        "; ".join(map(str, said)) or "none",
    ]


MEASURES = {
    "rsd": "Training loss RSD, five-step windows",
    "rsd_rolling": "RSD, rolling windows",
    "rsd_without_warmup": "RSD without the warm-up",
    "rsd_completion": "RSD of the completion's loss alone (ours)",
    "clipped_updates": "Share of updates with a clipped gradient (ours)",
    "gradient_norm": "Gradient norm before clipping (ours)",
    "weight_distance": "Weight distance, mean over tensors",
    "weight_distance_per_element": "Weight distance, mean over elements",
    "memorisation_bleu": "Memorisation, corpus BLEU",
    "generation_tokens": "Length on AlpacaEval, tokens",
    "generation_characters": "Length on AlpacaEval, characters",
}


def mechanism_table(rows: list[dict], labels: dict[str, str]) -> dict | None:
    """Means over ptlms and seeds of each measure, by data set and PLW, of unregularized runs; None without any.

    rows   of mechanism.csv as dicts of text: dataset, plw, normalization, regularizer, measure, value
    """
    cells: dict[tuple, dict[float, list[float]]] = {}
    for row in rows:
        if row["regularizer"] == "none" and row["value"] not in ("", None):
            key = (row["measure"], row["dataset"], row["normalization"])
            cells.setdefault(key, {}).setdefault(float(row["plw"]), []).append(float(row["value"]))
    plws = sorted({plw for found in cells.values() for plw in found})
    order = list(MEASURES)
    keys = sorted(cells, key=lambda key: order.index(key[0]) if key[0] in order else len(order))
    several = len({key[2] for key in keys}) > 1
    shown = []
    for measure, dataset, normalization in keys:
        found = cells[measure, dataset, normalization]
        means = [shown_number(sum(found[plw]) / len(found[plw])) if plw in found else "–" for plw in plws]
        name = labels.get(dataset, dataset) + (f" ({normalization})" if several else "")
        shown.append([MEASURES.get(measure, measure), name, *means])
    columns = ["measure", "data set", *(f"PLW {plw:g}" for plw in plws)]
    return plain_table(columns, shown, right_from=2) if shown else None

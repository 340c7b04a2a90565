"""Table 3: p-values and coefficients of w_p for each data set, beside the paper's."""

from collections.abc import Sequence

from plw.tables.table import Column, Table, shown, shown_p

BY_CELL = "ptlm:benchmark"  # what the name of that sensitivity row holds


def _by_cell(entry: dict, result: dict) -> dict | None:
    """The fit with a level for each PTLM on each benchmark, as a row under ours."""
    found = [fit for fit in result.get("sensitivity", []) if BY_CELL in fit["name"]]
    return {**_ours(entry, {**result, "fit": found[0]}), "source": "ours, (1 | PTLM:benchmark)"} if found else None


def _item_level(entry: dict, result: dict, checks: dict) -> dict | None:
    """The item-level model as a row under ours: p of a flat curve, where the curve is largest, what is not refuted."""
    found = checks.get("item_model")
    if not found or found.get("reason") or not found.get("test"):
        return None
    optimum = found["optimum"]
    spans = optimum["set"]
    return {
        "dataset": entry["name"],
        "label": entry.get("label", entry["name"]),
        "source": "ours, item level",
        "p": found["test"]["p"],
        "critical_plw": optimum["plw"],
        "critical_plw_low": min((span["plw_low"] for span in spans), default=None),
        "critical_plw_high": max((span["plw_high"] for span in spans), default=None),
        "vertex_w_p": optimum["w_p"],
        "inside": optimum["inside"],
        "converged": found["converged"],
        "rows": found["n"],
        "rows_expected": result["design"]["expected_rows"],
        "rows_fitted": found["n"],
    }


def _ours(entry: dict, result: dict) -> dict:
    fit = result["fit"]
    coefficients, critical = fit.get("coefficients", {}), fit.get("critical", {})
    row = {
        "dataset": entry["name"],
        "label": entry.get("label", entry["name"]),
        "source": "ours",
        "p": fit.get("test", {}).get("wald", {}).get("p"),
        "p_likelihood_ratio": fit.get("test", {}).get("likelihood_ratio", {}).get("p"),
        "critical_plw": critical.get("plw"),
        "critical_plw_low": critical.get("plw_ci_low"),
        "critical_plw_high": critical.get("plw_ci_high"),
        "vertex_w_p": critical.get("vertex", {}).get("w_p"),
        "converged": fit["converged"],
        "singular": fit.get("singular"),
        "rows": result["design"]["rows"],
        "rows_fitted": result.get("rows_fitted"),
        "rows_expected": result["design"]["expected_rows"],
    }
    for name in ("w_p", "w_p2", "intercept"):
        row[name] = coefficients.get(name, {}).get("estimate")
        row[f"{name}_se"] = coefficients.get(name, {}).get("se")
    return row


def _printed(entry: dict, numbers: dict) -> dict | None:
    name = entry.get("stands_for")
    if name not in numbers["rows"]:
        return None
    row = {"dataset": entry["name"], "label": name, "source": "paper", **numbers["rows"][name]}
    if name == "AlpacaDataShort":  # the only data set whose critical PLW the paper prints (§5.2)
        row |= {"critical_plw": numbers["critical"]["plw"], "vertex_w_p": numbers["critical"]["vertex_w_p"]}
    return row


def _significant(row: dict, alpha: float) -> bool:
    if not row["converged"]:
        return False
    return row["p"].startswith("<") if isinstance(row["p"], str) else row["p"] is not None and row["p"] < alpha


def _notes(datasets: Sequence[dict], results: dict[str, dict], alpha: float) -> list[str]:
    notes = [
        "p: type II Wald test of the polynomial in w_p; coefficients on the logit scale (standard error); "
        f"critical PLW with its {100 * (1 - alpha):g} % interval. Bold: p < {alpha:g} and the fit converged. "
        "† did not converge: printed for completeness, as in the paper; it decides nothing. Singular: a variance of "
        "zero or a correlation of one, so that the data carry fewer random effects than the model has. Rows "
        "(1 | PTLM:benchmark), ours: a level for each PTLM on each benchmark in place of one level for each PTLM."
    ]
    for entry in datasets:
        result, label = results[entry["name"]], entry.get("label", entry["name"])
        fit, design = result["fit"], result["design"]
        flags = fit["flags"]
        if not fit["converged"]:
            said = [*flags["warnings"], *([flags["error"]] if flags.get("error") else [])]
            said += [] if flags["pd_hessian"] else ["the Hessian is not positive definite"]
            said += [] if flags["finite_se"] else ["standard errors are not finite"]
            notes.append(f"{label} did not converge: {'; '.join(said) or flags['optimizer_message']}.")
        elif len(fit["attempts"]) > 1:
            notes.append(f"{label}: {fit['attempts'][0]['optimizer']} did not converge, {flags['optimizer']} did.")
        if not design["complete"]:
            lacking = ", ".join(design["missing_benchmarks"])
            lacking = f" (no scores of {lacking})" if lacking else ""
            notes.append(f"{label}: {design['rows']} of {design['expected_rows']} rows{lacking}.")
        notes += [f"{label}: {text}." for text in fit["dropped_terms"]]
        if result["constant_benchmarks"]:
            names = ", ".join(result["constant_benchmarks"])
            notes.append(
                f"{label}: all runs score the same on {names}, left out here; with them in, {_with_them(result)}."
            )
        if fit.get("critical") and (fit["critical"]["plw"] is None or fit["critical"].get("interval") == "fieller"):
            notes.append(f"{label}: {fit['critical']['note']}.")
    return notes


ITEM_LEVEL = (
    "Item level, ours: right and wrong answers as a binomial share (scores that are no such share weigh as many items "
    "as their standard errors say), a spline in w_p of any shape, levels for each PTLM and benchmark, a curve of each "
    "benchmark's own, and luck that is correlated along w_p. p: F test of a flat mean curve. Critical PLW: where the "
    "mean curve is largest, with the hull of all places that are not refuted as its maximum. Maximum inside: "
    "probability that the largest value lies inside (0, 1)"
)


def _item_notes(datasets: Sequence[dict], checks: dict[str, dict]) -> list[str]:
    notes, flat = [], []
    for entry in datasets:
        found, label = checks.get(entry["name"], {}).get("item_model"), entry.get("label", entry["name"])
        if not found:
            continue
        if found.get("reason") or found.get("error"):
            notes.append(f"{label} has no item-level fit: {found.get('reason') or found['error']}.")
        else:
            flat.append(f"{label} {found['optimum']['inside_if_flat']:.2f}")
        if (found.get("optimum") or {}).get("note"):
            notes.append(f"{label}, item level: {found['optimum']['note']}")
        out = [f"{name} ({how['reason']})" for name, how in found["treated"].items() if how.get("reason")]
        if out:
            notes.append(f"{label}, item level, without {', '.join(out)}.")
        seeds = checks[entry["name"]].get("seed_test") or {}
        p = f"p = {shown_p(seeds.get('p'))}" if seeds.get("p") is not None else seeds.get("reason")
        notes += [f"{label}, PLW against PLW × seed: {p}."] if p else []
    if flat:
        notes.insert(0, f"{ITEM_LEVEL}; of a flat curve it would be: {', '.join(flat)}.")
    return notes


def _with_them(result: dict) -> str:
    found = [fit for fit in result.get("sensitivity", []) if fit["name"].startswith("constant")]
    if not found:
        return "no fit was made"
    return f"p = {shown_p(found[0].get('p'))}, critical PLW {shown(found[0].get('plw'), '{:.3f}')}"


def _coefficient(name: str):
    def show(row: dict) -> str:
        if row["source"] == "ours, item level":  # a curve of any shape has no such coefficients
            return "–"
        error = row.get(f"{name}_se")
        return shown(row.get(name), "{:.3f}") + (f" ({shown(error, '{:.3f}')})" if row["source"] != "paper" else "")

    return show


def _converged(row: dict) -> str:
    return ("yes" if row["converged"] else "no") + (", singular" if row.get("singular") else "")


def _critical(row: dict) -> str:
    text = shown(row.get("critical_plw"), "{:.3f}")
    if row.get("critical_plw_low") is None:
        return text
    return f"{text} [{row['critical_plw_low']:.3f}, {row['critical_plw_high']:.3f}]"


def table_3(
    datasets: Sequence[dict],
    results: dict[str, dict],
    numbers: dict,
    *,
    alpha: float = 0.05,
    checks: dict[str, dict] | None = None,
) -> Table:
    """Table 3 for the data sets of the main experiment.

    datasets  entries with name, label, stands_for, in the order of the table
    results   data set -> content of its regression/DATASET.json
    numbers   `table_3` of config/paper_numbers.yaml
    alpha     significance level (§3)
    checks    data set -> content of its regression/DATASET.checks.json, where the item-level model is
    """
    rows, checks = [], checks or {}
    for entry in datasets:
        result = results[entry["name"]]
        beside = (_by_cell(entry, result), _item_level(entry, result, checks.get(entry["name"], {})))
        rows += [_ours(entry, result), *filter(None, beside)]
        printed = _printed(entry, numbers)
        if printed:
            rows.append(printed)

    def p_value(row: dict) -> str:
        return shown_p(row.get("p")) + ("" if row["converged"] else "†")

    columns = (
        Column("Data set", lambda row: row["label"], ("dataset", "label"), right=False),
        Column("", lambda row: row["source"], ("source",), right=False),
        Column("p", p_value, ("p",), latex="$p$", bold=True),
        Column("w_p", _coefficient("w_p"), ("w_p", "w_p_se"), latex="$w_p$", bold=True),
        Column("w_p²", _coefficient("w_p2"), ("w_p2", "w_p2_se"), latex="$w_p^2$", bold=True),
        Column("(Int)", _coefficient("intercept"), ("intercept", "intercept_se"), bold=True),
        Column("Critical PLW", _critical,
               ("critical_plw", "critical_plw_low", "critical_plw_high", "vertex_w_p")),
        Column("Maximum inside", lambda row: shown(row.get("inside"), "{:.2f}"), ("inside",)),
        Column("p, likelihood ratio", lambda row: shown_p(row.get("p_likelihood_ratio")),
               ("p_likelihood_ratio",), latex="$p$, likelihood ratio"),
        Column("Converged", _converged, ("converged", "singular"), right=False),
        Column("Rows", lambda row: shown(row.get("rows")), ("rows", "rows_expected", "rows_fitted")),
    )  # fmt: skip
    bold = frozenset(index for index, row in enumerate(rows) if _significant(row, alpha))
    return Table(
        "Table 3: regression of the relative aggregate on w_p",
        columns,
        rows,
        bold,
        [*_notes(datasets, results, alpha), *_item_notes(datasets, checks)],
    )

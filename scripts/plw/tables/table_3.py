"""Table 3: p-values and coefficients of w_p for each data set, beside the paper's."""

from collections.abc import Sequence

from plw.tables.table import Column, Table, shown, shown_p


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
        "rows": result["design"]["rows"],
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
        "† did not converge: printed for completeness, as in the paper; it decides nothing."
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
            notes.append(f"{label}: all runs score the same on {names}; 0.5 is used there.")
        if fit.get("critical") and fit["critical"]["plw"] is None:
            notes.append(f"{label}: {fit['critical']['note']}.")
    return notes


def _coefficient(name: str):
    def show(row: dict) -> str:
        error = row.get(f"{name}_se")
        return shown(row.get(name), "{:.3f}") + (f" ({shown(error, '{:.3f}')})" if row["source"] == "ours" else "")

    return show


def _critical(row: dict) -> str:
    text = shown(row.get("critical_plw"), "{:.3f}")
    if row.get("critical_plw_low") is None:
        return text
    return f"{text} [{row['critical_plw_low']:.3f}, {row['critical_plw_high']:.3f}]"


def table_3(datasets: Sequence[dict], results: dict[str, dict], numbers: dict, *, alpha: float = 0.05) -> Table:
    """Table 3 for the data sets of the main experiment.

    datasets  entries with name, label, stands_for, in the order of the table
    results   data set -> content of its regression/DATASET.json
    numbers   `table_3` of config/paper_numbers.yaml
    alpha     significance level (§3)
    """
    rows = []
    for entry in datasets:
        rows.append(_ours(entry, results[entry["name"]]))
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
        Column("p, likelihood ratio", lambda row: shown_p(row.get("p_likelihood_ratio")),
               ("p_likelihood_ratio",), latex="$p$, likelihood ratio"),
        Column("Converged", lambda row: "yes" if row["converged"] else "no", ("converged",), right=False),
        Column("Rows", lambda row: shown(row.get("rows")), ("rows", "rows_expected")),
    )  # fmt: skip
    bold = frozenset(index for index, row in enumerate(rows) if _significant(row, alpha))
    return Table(
        "Table 3: regression of the relative aggregate on w_p",
        columns,
        rows,
        bold,
        _notes(datasets, results, alpha),
    )

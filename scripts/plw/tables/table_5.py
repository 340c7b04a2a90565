"""Table 5: the PLW at which each GAM's smooth is largest, for a range of ratios R_g, beside the paper's (App. D)."""

from collections.abc import Sequence

from plw.tables.table import Column, Table

FITS = ("All", "MC", "Gen")
OUTSIDE = "†"


def _cell(plw: float | None, starred: bool | None) -> str:
    if plw is None:
        return "–"
    return f"{plw:.3f}" + ("*" if starred else "")


def _row(r_g: float, gam: dict, numbers: dict) -> dict:
    row: dict = {"r_g": r_g, "extrapolated": False}
    covariate = gam["covariate"]
    other = "plw" if covariate == "w_p" else "w_p"
    printed = {float(key): cells for key, cells in numbers["rows"].items()}.get(r_g)
    for place, fit in enumerate(FITS):
        key = fit.lower()
        for reading, suffix in ((covariate, ""), (other, "_other_covariate")):
            rows = gam["fits"].get(fit, {}).get(reading, {}).get("rows", [])
            found: dict = next((entry for entry in rows if entry["r_g"] == r_g), {})
            row[f"{key}_plw{suffix}"], row[f"{key}_starred{suffix}"] = found.get("plw"), found.get("starred")
            if not suffix:
                row |= {f"{key}_{name}": found.get(name) for name in ("w_p", "low", "high", "range_share")}
                row["extrapolated"] = row["extrapolated"] or found.get("extrapolated", False)
                reml = gam["fits"].get(fit, {}).get(reading, {}).get("reml") or {}
                other_rows = {entry["r_g"]: entry for entry in reml.get("rows", [])}
                row |= {f"{key}_reml_{name}": other_rows.get(r_g, {}).get(name) for name in ("plw", "low", "high")}
        row[f"{key}_paper"], row[f"{key}_paper_starred"] = printed[place] if printed else (None, None)
    return row


def _reml(key: str, row: dict) -> str:
    values = [row[f"{key}_reml_{name}"] for name in ("plw", "low", "high")]
    return "–" if None in values else "{:.3f} [{:.3f}, {:.3f}]".format(*values)


def _ours(key: str, row: dict) -> str:
    text = _cell(row[f"{key}_plw"], row[f"{key}_starred"])
    if row[f"{key}_low"] is None:
        return text
    return f"{text} [{row[f'{key}_low']:.3f}, {row[f'{key}_high']:.3f}]"


def _columns() -> tuple[Column, ...]:
    def column(fit: str) -> tuple[Column, Column, Column]:
        key = fit.lower()
        values = (
            "plw",
            "starred",
            "low",
            "high",
            "w_p",
            "range_share",
            "plw_other_covariate",
            "starred_other_covariate",
        )
        return (
            Column(f"{fit}, ours", lambda row: _ours(key, row), tuple(f"{key}_{name}" for name in values)),
            Column(f"{fit}, ours by REML", lambda row: _reml(key, row),
                   tuple(f"{key}_reml_{name}" for name in ("plw", "low", "high"))),
            Column(f"{fit}, paper", lambda row: _cell(row[f"{key}_paper"], row[f"{key}_paper_starred"]),
                   (f"{key}_paper", f"{key}_paper_starred")),
        )  # fmt: skip

    ratio = Column("R_g", lambda row: f"{row['r_g']:.1f}" + (OUTSIDE if row["extrapolated"] else ""),
                   ("r_g", "extrapolated"), latex="$R_g$")  # fmt: skip
    return (ratio, *(part for fit in FITS for part in column(fit)))


def _notes(gam: dict, datasets: Sequence[dict], numbers: dict) -> list[str]:
    settings, covariate = gam["settings"], gam["covariate"]
    labels = {entry["name"]: entry.get("label", entry["name"]) for entry in datasets}
    levels = sorted(gam["levels"].items(), key=lambda level: level[1])
    said = ", ".join(f"{labels.get(name, name)} {value:.3g}" for name, value in levels)
    notes = [
        f"PLW where the smooth of score ~ te({covariate}, R_g, k = {settings['k']}) + factor(benchmark) is largest, "
        f"searched in steps of {settings['grid_step']:g} in w_p. In brackets: the middle "
        f"{100 * (1 - settings['alpha']):g} % of the optima of {settings['samples']:,} draws from the coefficients' "
        f"posterior. A star: over the weights the smooth varies by less than {100 * settings['star_share']:g} % of the "
        "score range (largest minus smallest relative score in the fit), so the optimum says little. The paper names "
        "the untransformed PLW as covariate; its unstarred optima lie on a grid of w_p. The CSV has both readings.",
        "By REML: the same smooth with smoothing parameters by REML and intervals that allow for their uncertainty. "
        "mgcv's default (GCV, the paper's as far as it says) may choose a straight line and is then too sure of it: "
        "that is where intervals such as [1.000, 1.000] come from. Benchmarks that all runs of a data set score the "
        "same on are left out of that data set's rows.",
        f"R_g of our data: {said or 'none'}." + (f" {OUTSIDE} outside it: extrapolated." if levels else ""),
    ]
    for entry in gam.get("left_out", []):
        notes.append(f"{labels.get(entry['dataset'], entry['dataset'])} is left out: {entry['reason']}.")
    lacking = {"AlpacaDataMedium", "AlpacaDataTiny"} - {
        entry.get("stands_for") for entry in datasets if entry["name"] in gam["levels"]
    }
    if lacking:
        notes.append(f"Without {' and '.join(sorted(lacking))}, which the paper's fits had.")
    design = gam.get("design", {})
    if design.get("runs", 0) < design.get("runs_planned", 0):
        notes.append(f"{design['runs']} of {design['runs_planned']} runs.")
    for fit in FITS:
        found = gam["fits"].get(fit, {}).get(covariate, {})
        if found.get("reason"):
            notes.append(f"{fit} is not fitted: {found['reason']}.")
        elif found and not found.get("converged", True):
            notes.append(f"{fit} did not converge.")
        absent = gam["fits"].get(fit, {}).get("missing_benchmarks")
        if absent:
            notes.append(f"{fit} lacks scores of {', '.join(absent)}.")
    text = numbers["text"]
    notes.append(
        f"The paper's text ({text['place']}) gives {text['at_1_5']} at R_g = 1.5 for all tasks; its table has that "
        "number under MC."
    )
    return notes


def table_5(gam: dict, datasets: Sequence[dict], numbers: dict) -> Table:
    """Table 5: one row for each R_g; for each fit our optimum with its interval, and the paper's.

    gam       content of regression/gam.json
    datasets  entries with name, label, stands_for; numbers: `table_5` of config/paper_numbers.yaml
    """
    rows = [_row(float(r_g), gam, numbers) for r_g in gam["settings"]["ratios"]]
    return Table(
        "Table 5: optimal PLW by completion-prompt ratio", _columns(), rows, notes=_notes(gam, datasets, numbers)
    )

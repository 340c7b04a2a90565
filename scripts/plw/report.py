"""One self-contained page with everything that a study made; opens from disk, without a network.

Text that a model wrote is data: the template escapes everything.
"""

import base64
import re
from collections import Counter
from pathlib import Path

import jinja2


def read_table(text: str) -> dict[str, list]:
    """A table that plw.tables wrote as Markdown: {columns, rows, notes}; a cell is {text, bold}."""
    lines = [line for line in text.splitlines() if line.strip()]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    rows = [[{"text": cell.strip("*"), "bold": cell.startswith("**")} for cell in row] for row in cells[2:]]
    notes = [line for line in lines[1:] if not line.startswith("|")]
    return {"columns": cells[0], "rows": rows, "notes": notes}


def png_address(content: bytes) -> str:
    """A PNG image as a data address that a page can hold itself."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def duration(seconds: float) -> str:
    """Seconds as a person says them: '41 s', '12 min', '3.4 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_summary(run_records: list[dict]) -> dict:
    """What the trainings cost together, from the run.json of each.

    Returns the number of runs, counts by device, total seconds and tokens, energy in joules where every run could read
    it, the distinct commits and package versions, and the loss in words of each normalization.
    """
    energies = [record["energy_joules"] for record in run_records]
    versions: dict[str, set] = {}
    for record in run_records:
        for name, version in record["versions"].items():
            versions.setdefault(name, set()).add(str(version))
    commits = {f"{record['git']['commit']}{' (changed)' if record['git']['dirty'] else ''}" for record in run_records}
    return {
        "runs": len(run_records),
        "devices": Counter(_device_name(record) for record in run_records),
        "seconds": sum(record["seconds_in_all"] for record in run_records),
        "tokens": sum(record["tokens"] for record in run_records),
        "energy_joules": sum(energies) if energies and None not in energies else None,
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "commits": sorted(commits),
        "losses": sorted({_general(record["effective_loss"]) for record in run_records}),
        "engines": Counter(
            "no DeepSpeed" if (stage := record["training"]["zero_stage"]) is None else f"DeepSpeed ZeRO-{stage}"
            for record in run_records
        ),
    }


def _device_name(record: dict) -> str:
    device, ranks = record["device"], record["processes"]
    name = device["model"] or device["cpu"] or device["type"]
    return f"{ranks} × {name}" if ranks > 1 else name


def _general(words: str) -> str:
    """The loss in words with the run's own PLW replaced by the letters, so that a sweep has one sentence."""
    return re.sub(r"Weights: \S+ for prompt", "Weights: PLW for prompt", words)


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def missing_groups(missing: list[dict]) -> list[dict]:
    """What missing.json lists, one line for each benchmark and reason: {benchmark, reason, runs: [names]}."""
    groups: dict[tuple, list] = {}
    for item in missing:
        groups.setdefault((item["benchmark"], item["reason"]), []).append(item["run"])
    return [{"benchmark": key[0], "reason": key[1], "runs": runs} for key, runs in groups.items()]


def preflight_table(preflights: list[dict], labels: dict[str, str]) -> dict[str, list]:
    """What truncation and tokenisation do to each data set: counts of rows and shares."""
    problems = {
        "truncated": "truncated",
        "completion_lost": "completion lost",
        "eos_lost": "EOS lost",
        "prompt_not_prefix": "prompt not a prefix",
    }
    columns = ["data set", "rows", *problems.values(), "prompt tokens", "completion tokens", "R_g that the loss sees"]
    rows = []
    for found in preflights:
        counts = [found["problems"][key] for key in problems]
        rows.append(
            [
                labels.get(found["dataset"], found["dataset"]),
                f"{found['rows']:,}",
                *(f"{count['rows']:,} ({100 * count['share']:.1f} %)" for count in counts),
                f"{found['mean_prompt_tokens']:.1f}",
                f"{found['mean_completion_tokens']:.1f}",
                _number(found["r_g_of_loss"]),
            ]
        )
    return {"columns": columns, "rows": rows}


def fit_lines(result: dict) -> list[tuple[str, str]]:
    """The parts of a regression that a reader checks, as (name, text); `result` is a regression/DATASET.json."""
    fit = result["fit"]
    lines = [("Model", fit.get("formula", result["model"])), ("Converged", "yes" if result["converged"] else "no")]
    flags = fit.get("flags", {})
    lines += [("Warning", str(text)) for text in flags.get("warnings", [])]
    if fit.get("error"):
        lines.append(("Error", str(fit["error"])))
    test = fit.get("test", {})
    for key, name in (("wald", "Wald χ² (type II)"), ("likelihood_ratio", "Likelihood ratio")):
        found = test.get(key) or {}
        if found.get("p") is not None:
            lines.append((name, f"χ² = {found['chi_square']:.2f}, df = {found['df']:g}, p = {found['p']:.3g}"))
    critical = fit.get("critical") or {}
    if critical.get("plw") is not None:
        interval = f"{_number(critical.get('plw_ci_low'))} to {_number(critical.get('plw_ci_high'))}"
        lines.append(("Critical PLW λ", f"{critical['plw']:.3f} (95 % interval {interval})"))
    elif critical.get("note"):
        lines.append(("Critical PLW λ", critical["note"]))
    residuals = result.get("residuals") or {}
    for name, found in (residuals.get("tests") or {}).items():
        if isinstance(found, dict) and "p" in found:
            lines.append((f"Residuals: {name}", f"p = {_number(found['p'], '.3g')}"))
    lines.append(("Residual tests by", str(residuals.get("implementation", "–"))))
    return lines + _sensitivity_lines(result)


def _sensitivity_lines(result: dict) -> list[tuple[str, str]]:
    lines = []
    for row in result.get("sensitivity") or []:
        state = "" if row.get("converged") else ", did not converge"
        text = f"λ = {_number(row.get('plw'))}, p = {_number(row.get('p'), '.3g')}{state}"
        lines.append((f"Sensitivity: {row['name']}", text))
    return lines


def build_page(template: Path, *, context: dict) -> str:
    """Fill the page's Jinja template; every value is escaped, a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["duration"] = duration
    return environment.get_template(template.name).render(**context)

"""One self-contained page with everything that a study made; opens from disk, without a network.

Text that a model wrote is data: the template escapes everything.
"""

import base64
import csv
import io
from collections import Counter
from pathlib import Path

import jinja2


def read_table(text: str) -> dict[str, list]:
    """A CSV text as {columns, rows} of strings."""
    rows = list(csv.reader(io.StringIO(text)))
    return {"columns": rows[0], "rows": rows[1:]} if rows else {"columns": [], "rows": []}


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

    Returns counts by device, total seconds and tokens, energy in joules where every run could read it, the distinct
    commits and package versions, and the loss in words of each normalization.
    """
    energies = [record.get("energy_joules") for record in run_records]
    versions: dict[str, set] = {}
    for record in run_records:
        for name, version in record.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    return {
        "runs": len(run_records),
        "devices": Counter(str(record.get("device", "unknown")) for record in run_records),
        "seconds": sum(record.get("wall_seconds", 0.0) for record in run_records),
        "tokens": sum(record.get("tokens", 0) for record in run_records),
        "energy_joules": sum(energies) if energies and None not in energies else None,
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "losses": sorted({record["effective_loss"] for record in run_records if "effective_loss" in record}),
    }


def build_page(template: Path, *, context: dict) -> str:
    """Fill the page's Jinja template; every value is escaped, a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["duration"] = duration
    return environment.get_template(template.name).render(**context)

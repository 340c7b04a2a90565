"""What a study cost: time by stage, tokens, energy where every run could read it."""

import csv
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from plw.report.tables import plain_table


def duration(seconds: float) -> str:
    """Seconds as a person says them: '41 s', '12 min', '3.4 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def read_times(folder: Path) -> dict[str, list[float]]:
    """Wall times in seconds by rule from Snakemake's benchmark files: folder/RULE.tsv and folder/RULE/JOB.tsv.

    A repeated job has several lines; each counts. A line without a time is passed over.
    """
    times: dict[str, list[float]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        relative = path.relative_to(folder)
        rule = relative.parts[0] if len(relative.parts) > 1 else path.stem
        with open(path, encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream, delimiter="\t"):
                try:
                    times.setdefault(rule, []).append(float(line["s"]))
                except (KeyError, TypeError, ValueError):
                    continue
    return times


def time_table(times: dict[str, list[float]]) -> dict | None:
    """Stages by total time, longest first; None where nothing was timed."""
    if not times:
        return None
    total = sum(map(sum, times.values()))
    rows = [
        [
            rule.replace("_", " "),
            f"{len(found):,}",
            duration(sum(found)),
            f"{100 * sum(found) / total:.0f} %" if total else "–",
            duration(median(found)),
            duration(max(found)),
        ]
        for rule, found in sorted(times.items(), key=lambda item: -sum(item[1]))
    ]
    rows.append(["all timed stages", f"{sum(map(len, times.values())):,}", duration(total), "", "", ""])
    columns = ["stage", "jobs", "time in all", "share", "median job", "longest job"]
    return plain_table(columns, rows, right_from=1)


def training_table(run_records: Iterable[dict], labels: dict[str, str]) -> dict | None:
    """Trainings by ptlm: runs, tokens, tokens per second, peak memory, from the run.json of each."""
    groups: dict[str, list[dict]] = {}
    for record in run_records:
        groups.setdefault(record["ptlm"], []).append(record)
    rows = [
        [
            labels.get(ptlm, ptlm),
            f"{len(found):,}",
            f"{sum(record['tokens'] for record in found):,}",
            duration(sum(record["seconds_in_all"] for record in found)),
            _middle([record.get("tokens_per_second") for record in found], "{:,.0f}"),
            _peak(found, "host"),
            _peak(found, "device"),
        ]
        for ptlm, found in groups.items()
    ]
    columns = ["ptlm", "runs", "tokens", "time in all", "tokens/s, median", "peak memory", "peak on the GPU"]
    return plain_table(columns, rows, right_from=1) if rows else None


def _middle(values: list, form: str) -> str:
    values = [value for value in values if value is not None]
    return form.format(median(values)) if values else "–"


def _peak(records: list[dict], where: str) -> str:
    found = [(record.get("peak_memory_bytes") or {}).get(where) for record in records]
    peaks = [value for value in found if value]
    return f"{max(peaks) / 1e9:.2f} GB" if peaks else "–"


def total_energy(run_records: list[dict]) -> float | None:
    """Joules of all trainings; None unless every one of them could read its energy."""
    energies: list[Any] = [record.get("energy_joules") for record in run_records]
    return sum(energies) if energies and None not in energies else None

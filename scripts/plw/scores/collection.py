"""Collecting what evaluations and judges measured into one score table, and naming what is missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from plw.errors import InputError, InputErrors, reason
from plw.files import read_json
from plw.scores.table import COLUMNS, check_scores, primary_scores
from plw.study.runs import RUN_COLUMNS

# What must be the same in all runs of a benchmark for their scores to be compared.
IDENTITY = ("task_version", "harness_version", "specification", "judge")


@dataclass(frozen=True)
class Measurement:
    """One run on one benchmark: metrics {name: {score, stderr, n}} and identity (keys of IDENTITY)."""

    run: str
    benchmark: str
    metrics: dict[str, dict]
    identity: dict[str, object]


def _content(path: str | Path) -> dict:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            "A result cannot be read.", value=reason(error), where=str(path), hint="Delete it and make it again."
        ) from None
    if not isinstance(content, dict):
        raise InputError("A result file does not hold a JSON object.", where=str(path))
    return content


def read_evaluations(paths: Iterable[str | Path]) -> list[Measurement]:
    """Measurements of runs/RUN/evaluation.json; the folder names the run."""
    found = []
    for path in map(Path, paths):
        for benchmark, entry in _content(path)["benchmarks"].items():
            identity = {key: entry[key] for key in IDENTITY if key in entry}
            found.append(Measurement(path.parent.name, benchmark, entry.get("metrics", {}), identity))
    return found


def read_judgements(paths: Iterable[str | Path]) -> list[Measurement]:
    """Measurements of judgements/BENCHMARK/BATCH.json: each run's rates and the judge that gave them."""
    found = []
    for path in map(Path, paths):
        content = _content(path)
        judge = content.get("judge", {}).get("fingerprint")
        for run, entry in content["runs"].items():
            found.append(Measurement(run, content["benchmark"], entry["metrics"], {"judge": judge}))
    return found


def merge_measurements(measurements: Iterable[Measurement]) -> dict[tuple[str, str], Measurement]:
    """One measurement per (run, benchmark): the texts of a judged benchmark and their judgement are one."""
    merged: dict[tuple[str, str], Measurement] = {}
    for new in measurements:
        key = (new.run, new.benchmark)
        old = merged.get(key, Measurement(*key, {}, {}))
        merged[key] = Measurement(*key, {**old.metrics, **new.metrics}, {**old.identity, **new.identity})
    return merged


def check_same_versions(measured: dict[tuple[str, str], Measurement]) -> None:
    """InputErrors for each benchmark whose runs were measured in different ways."""
    errors = []
    for benchmark in dict.fromkeys(name for _, name in measured):
        for key in IDENTITY:
            runs: dict[object, str] = {}
            for measurement in measured.values():
                if measurement.benchmark == benchmark and measurement.metrics and key in measurement.identity:
                    runs.setdefault(measurement.identity[key], measurement.run)
            if len(runs) > 1:
                errors.append(
                    InputError(
                        f"Scores of {benchmark} cannot be compared: their {key} differs.",
                        value={str(value): f"e.g. {run}" for value, run in runs.items()},
                        hint="Evaluate the runs of one kind again (delete their evaluation.json).",
                    )
                )
    if errors:
        raise InputErrors(errors)


def expected_pairs(runs: pd.DataFrame, benchmarks: list[str], experiments: dict) -> list[tuple[str, str]]:
    """The (run, benchmark) pairs that a complete score table has.

    experiments  name -> list of benchmarks that this experiment asks for; an absent experiment asks for all
    """
    pairs = []
    for row in runs.itertuples():
        wanted: set[str] = set()
        for name in row.experiments.split(";"):
            wanted.update(experiments.get(name) or benchmarks)
        pairs += [(row.run, name) for name in benchmarks if name in wanted]
    return pairs


def _reason(measurement: Measurement | None, entry: dict) -> str | None:
    """Why a pair has no primary score; None where it has one."""
    if measurement is None:
        return "not evaluated"
    if not measurement.metrics:
        return "not judged" if entry.get("framework") in ("alpaca_eval", "pandalm") else "no metrics"
    found = measurement.metrics.get(entry["metric"])
    if found is None:
        return f"no metric {entry['metric']}; there are {', '.join(measurement.metrics)}"
    return "no score: no answer could be used" if found["score"] is None else None


def _what_ran(entry: dict, measured: list[Measurement], *, planned: int) -> dict:
    """Table 2's facts of one benchmark: version, items scored (a number, or smallest and largest), runs."""
    scored = [m for m in measured if m.metrics.get(entry["metric"], {}).get("score") is not None]
    identity = scored[0].identity if scored else {}
    items = sorted({m.metrics[entry["metric"]]["n"] for m in scored})
    harness = identity.get("harness_version")
    return {
        "metric": entry["metric"],
        "version": identity.get("task_version"),
        "framework": f"lm-eval {harness}" if harness else entry.get("framework"),
        "judge": identity.get("judge"),
        "items": (items[0] if len(items) == 1 else [items[0], items[-1]]) if items else None,
        "runs": len(scored),
        "planned": planned,
    }


def collect_scores(
    runs: pd.DataFrame,
    measurements: list[Measurement],
    benchmarks: list[dict],
    experiments: dict | None = None,
) -> tuple[pd.DataFrame, dict]:
    """The tidy score table, and what is missing.

    runs          the run table
    benchmarks    registry entries with name and metric (the primary one)
    experiments   see `expected_pairs`
    Returns the frame (scores.COLUMNS, all metrics) and a report {"runs": {planned, complete},
    "missing": [{run, benchmark, reason}], "benchmarks": {name: what ran}}.
    Raises InputError(s) for mixed versions, unknown runs and scores out of range.
    """
    entries = {entry["name"]: entry for entry in benchmarks}
    measured = merge_measurements(m for m in measurements if m.benchmark in entries)
    rows = {row["run"]: row for row in runs.to_dict("records")}
    strangers = sorted({run for run, _ in measured if run not in rows})
    if strangers:
        raise InputError("Results of runs that are not in the run table.", value=strangers[:5], where="--runs")
    check_same_versions(measured)
    pairs = expected_pairs(runs, list(entries), experiments or {})
    reasons = {pair: _reason(measured.get(pair), entries[pair[1]]) for pair in pairs}
    scores = [
        {name: rows[m.run][name] for name in RUN_COLUMNS}
        | {
            "benchmark": m.benchmark,
            "metric": metric,
            **{key: value.get(key) for key in ("score", "stderr", "n")},
        }
        for m in (measured[pair] for pair in pairs if pair in measured)
        for metric, value in m.metrics.items()
        if value["score"] is not None
    ]
    frame = check_scores(pd.DataFrame(scores, columns=COLUMNS), where="the collected results")
    primary_scores(frame, {name: entry["metric"] for name, entry in entries.items()})
    lacking = {run for (run, _), reason in reasons.items() if reason}
    report = {
        "runs": {"planned": len(rows), "complete": len(rows) - len(lacking)},
        "missing": [{"run": run, "benchmark": name, "reason": text} for (run, name), text in reasons.items() if text],
        "benchmarks": {
            name: _what_ran(
                entry,
                [m for m in measured.values() if m.benchmark == name],
                planned=sum(pair[1] == name for pair in pairs),
            )
            for name, entry in entries.items()
        },
    }
    return frame, report

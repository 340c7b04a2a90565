"""Results that were made by other code than now, although no version was raised: told, never made anew."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plw.study.layout import of_runs, results
from plw.study.records.code import VERSIONS, code_sum, training_version

# What is counted, by the rule that made it.
NAMES = {
    "train_model": "training",
    "evaluate_model": "evaluation",
    "measure_mechanism": "mechanism measurement",
    "judge_outputs": "judging",
}


@dataclass(frozen=True)
class Drift:
    """Records of one rule.

    other     made by other code than now, at the same version
    unknown   made before code was recorded
    """

    rule: str
    version: int
    other: tuple[str, ...]
    unknown: tuple[str, ...]


def records_of(study: dict, runs: Iterable[str], judgements: Iterable[str]) -> dict[str, list[str]]:
    """The files in which each rule records its code, whether they are there or not.

    judgements  BENCHMARK/BATCH.json
    """
    runs = list(runs)
    return {
        "train_model": of_runs(study, runs, "run.json"),
        "evaluate_model": of_runs(study, runs, "evaluation.json"),
        "measure_mechanism": of_runs(study, runs, "mechanism.json"),
        "judge_outputs": results(study, *(f"judgements/{name}" for name in judgements)),
    }


def find_drift(study: dict, records: Mapping[str, Iterable[str]], root: Path = Path()) -> list[Drift]:
    """By rule, the records that say another sum of code than that of now.

    A record of an earlier version is no drift: the rule's job runs again.
    """
    found = []
    for rule, paths in records.items():
        version = training_version(study["training"]) if rule == "train_model" else VERSIONS[rule]
        other, unknown = [], []
        for path in paths:
            code = _code_of(root / path)
            if code is None:
                unknown.append(path)
            elif code.get("version") == version and code.get("sum") != code_sum(rule):
                other.append(path)
        found.append(Drift(rule, version, tuple(other), tuple(unknown)))
    return found


def _code_of(path: Path) -> dict | None:
    """What a record says of its code; {} where there is no readable record, None where it says nothing."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    code = record.get("code") if isinstance(record, dict) else None
    return code if isinstance(code, dict) else None


def drift_text(found: Iterable[Drift]) -> str:
    """One line for each rule with results of other code, and one for all that no code was recorded of."""
    lines = [
        f"{_count(len(drift.other), NAMES[drift.rule])} by other code than now (version {drift.version} not raised)."
        for drift in found
        if drift.other
    ]
    before = Counter({NAMES[drift.rule]: len(drift.unknown) for drift in found if drift.unknown})
    if before:
        lines.append(f"Made before code was recorded: {', '.join(_plural(n, name) for name, n in before.items())}.")
    if any(drift.other for drift in found):
        lines.append(
            "They stay. To make them anew, raise the rule's version (scripts/plw/study/records/code.py) or delete them."
        )
    return "\n".join(lines)


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" + ("s" if count != 1 else "")


def _count(count: int, name: str) -> str:
    return f"{_plural(count, name)} {'was' if count == 1 else 'were'} made"

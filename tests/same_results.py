"""What must be the same of a study's results whoever makes them again: all but how long it took, and when.

Files that hold how long something took are compared without that, and what is made of them not at all.
"""

import csv
import json
import re
from pathlib import Path

# Measured time, speed and memory, and the moment; by the keys and columns that hold them.
TIMES = {
    "seconds",
    "seconds_in_all",
    "seconds_training",
    "tokens_per_second",
    "finished",
    "peak_memory_bytes",
    "energy_joules",
    "matrix_rate",
}
# Pages and tables of times, sums of them, times of files that were read; logs; and configs.yaml, which holds a path.
OF_TIMES = (
    "logs/",
    "times/",
    "rates.json",
    "planned_and_measured.md",
    "report.html",
    "configs.yaml",
    "manifest",
    "^benchmarks.json",
)
# A ptlm's and a judge's folder holds how long its training took, and so does their fingerprint.
OWN = {"model", "fingerprint", "key", "judge"}
FINGERPRINTED = ("ptlms/", "judgements/", "missing.json")


def without(value: object, keys: set[str]) -> object:
    """A nested value without these keys."""
    if isinstance(value, dict):
        return {key: without(item, keys) for key, item in value.items() if key not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


def content(file: Path, name: str) -> object:
    """What must be the same of a file: its bytes, or its values without times."""
    keys = TIMES | OWN if name.startswith(FINGERPRINTED) else TIMES
    if file.suffix == ".json":
        return without(json.loads(file.read_text(encoding="utf-8")), keys)
    if file.name == "answers.jsonl":
        return [without(json.loads(line), keys) for line in file.read_text(encoding="utf-8").splitlines()]
    if file.name in ("loss.csv", "pretraining.csv"):
        with open(file, encoding="utf-8", newline="") as stream:
            return [without(row, keys) for row in csv.DictReader(stream)]
    return file.read_bytes()


def contents(folder: Path) -> dict[str, object]:
    """All files of a study's results that do not hold times alone."""
    names = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    return {name: content(folder / name, name) for name in sorted(names) if not re.search("|".join(OF_TIMES), name)}

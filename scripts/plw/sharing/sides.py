"""A study or an export as one side of a comparison: what it is, and what it measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from plw.claims.evidence_files import MECHANISM_COLUMNS, read_table
from plw.errors import InputError
from plw.files import read_json
from plw.scores.items import read_items
from plw.scores.table import primary_scores, read_scores
from plw.sharing.finished import find_study
from plw.sharing.packing import RECORDS
from plw.study.configuration import load_configuration


@dataclass(frozen=True)
class Side:
    """One of two studies.

    scores   primary scores, one row per run and benchmark, with the data set's role in the column `role`
    items    scores of single items, or None; measures: mechanism.csv in the form of `scores`, or None
    records  run.json of each run; empty where they are not there
    results  claims.json, regression/*.json by file name: what of them is there
    """

    name: str
    folder: Path
    study: dict
    scores: pd.DataFrame
    items: pd.DataFrame | None
    measures: pd.DataFrame | None
    records: dict[str, dict]
    results: dict[str, Any]

    def role(self, dataset: str) -> str:
        """The paper's data set that one stands for, or its own name."""
        return self.study["datasets"].get(dataset, {}).get("stands_for", dataset)


def read_side(name: str, root: Path) -> Side:
    """A study by name, study file or folder; or an export by its folder.

    Raises InputError where it has no scores.
    """
    folder = Path(name)
    if (folder / "SHA256SUMS").is_file() or (folder / RECORDS).is_file():
        study = load_configuration({"results": name}, root=root)
        title = folder.resolve().name
    else:
        found = find_study(name, root)
        folder, study = found.folder, found.study
        title = study["name"]
    if not (folder / "scores.csv").is_file():
        hint = "Finish the study, or give another."
        raise InputError("There is nothing to compare: scores.csv is not there.", value=str(folder), hint=hint)
    scores = primary_scores(
        read_scores(folder / "scores.csv"), {key: entry["metric"] for key, entry in study["benchmarks"].items()}
    )
    roles = {key: entry.get("stands_for", key) for key, entry in study["datasets"].items()}
    measures = None
    if (folder / "mechanism.csv").is_file():
        measures = read_table(folder / "mechanism.csv", MECHANISM_COLUMNS, text=("run", "ptlm", "dataset", "measure"))
        measures = measures.rename(columns={"value": "score", "measure": "benchmark"})
        measures = measures.assign(role=measures["dataset"].map(roles)).dropna(subset=["score"])
    return Side(
        title,
        folder,
        study,
        scores.assign(role=scores["dataset"].map(roles)),
        read_items(folder / "items.parquet") if (folder / "items.parquet").is_file() else None,
        measures,
        _records(folder),
        {path.name: read_json(path) for path in (folder / "claims.json", *folder.glob("regression/*.json"))
         if path.is_file()},
    )  # fmt: skip


def _records(folder: Path) -> dict[str, dict]:
    if (folder / RECORDS).is_file():
        split = read_json(folder / RECORDS)
        return {run: _joined(split["shared"], own) for run, own in split["runs"].items()}
    return {path.parent.name: read_json(path) for path in sorted(folder.glob("runs/*/run.json"))}


def _joined(common: dict, own: dict) -> dict:
    """A record put together again from what all share and what it has alone."""
    joined = dict(common)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(common.get(key), dict)
        joined[key] = _joined(common[key], value) if both else value
    return joined

"""What a finished study says about the best prompt loss weight for a ratio R_g."""

import json
from pathlib import Path
from typing import Any

import yaml

from plw.errors import InputError
from plw.recommend.paper import PURPOSES


def study_answer(folder: str, r_g: float, purpose: str) -> dict[str, Any]:
    """The weight by the curves of a finished study's own runs.

    folder   results/STUDY, or packed results: scores.csv, study.yaml, data/DATASET/statistics.json
    r_g      ratio of mean tokens, > 0; purpose: a key of PURPOSES
    Returns the keys of `plw.statistics.weight_curve.weight_curve`, or {error: why the study cannot say}; and study,
    benchmarks. Runs with a regularizer, and with another denominator of the loss than the study's own, are left out.
    Raises InputError where the folder is no finished study.
    """
    from plw.scores.table import primary_scores, read_scores
    from plw.statistics.gam import fit_members
    from plw.statistics.weight_curve import run_curves, weight_curve, why_no_curve

    place = Path(folder).expanduser()
    if not (place / "scores.csv").is_file() or not (place / "study.yaml").is_file():
        hint = "It needs scores.csv and study.yaml: a finished study is results/STUDY."
        raise InputError("This is no finished study.", value=folder, where="--study", hint=hint)
    study = yaml.safe_load((place / "study.yaml").read_text(encoding="utf-8"))
    entries = [{"name": name, **study["benchmarks"][name]} for name in study["evaluation"]["benchmarks"]]
    frame = primary_scores(read_scores(place / "scores.csv"), {entry["name"]: entry["metric"] for entry in entries})
    own = study["training"]["normalization"]
    frame = frame[(frame["regularizer"] == "none") & (frame["normalization"] == own)]
    members = fit_members(entries)[PURPOSES[purpose]]
    rows = run_curves(frame, _ratios(place), members)
    reason = why_no_curve(rows)
    found = {"error": reason} if reason else weight_curve(rows, r_g)
    return {"study": study.get("name", place.name), "benchmarks": members, **found}


def _ratios(folder: Path) -> dict[str, float]:
    """Data set -> R_g (ratio of mean tokens), of those that have one."""
    ratios = {}
    for file in sorted(folder.glob("data/*/statistics.json")):
        value = json.loads(file.read_text(encoding="utf-8"))["r_g"]["ratio_of_mean_tokens"]
        if value:
            ratios[file.parent.name] = float(value)
    return ratios

"""The files that a report is made from, read into the values that plw.report.page.page_context takes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from plw.errors import InputError, reason
from plw.files import read_json
from plw.report.cost import read_times
from plw.scores.table import read_scores
from plw.study.runs import RUN_COLUMNS


def read_inputs(
    *,
    study: Path,
    scores: Path,
    artifacts: Path,
    files: Sequence[Path] = (),
    sentences: Path | None = None,
    runs: Path | None = None,
    run_records: Sequence[Path] = (),
    planned: int | None = None,
    missing: Path | None = None,
    readings: Sequence[Path] = (),
    preflights: Sequence[Path] = (),
    regressions: Sequence[Path] = (),
    checks: Sequence[Path] = (),
    gam: Path | None = None,
    claims: Path | None = None,
    contradictions: Path | None = None,
    deviations: Path | None = None,
    paper_study: Path | None = None,
    generations: Sequence[str] = (),
    mechanism: Path | None = None,
    mechanisms: Sequence[Path] = (),
    times: Path | None = None,
    showing: Path | None = None,
    beside: Path | None = None,
) -> dict:
    """Keyword arguments of plw.report.page.page_context; a file that is not given is None or empty there.

    generations  RUN=FILE; the other names are the flags of scripts/report/build_report.py
    Raises InputError for a score table that is wrong, a file that cannot be read, or a pair without '='.
    """
    table = read_scores(scores)
    return {
        "study": _yaml(study, {}),
        "scores_file": scores.name,
        "score_rows": table[RUN_COLUMNS].drop_duplicates("run").to_dict("records"),
        "n_scores": len(table),
        "artifacts": {path.stem: path.read_bytes() for path in files},
        "titles": _yaml(artifacts, {}),
        "sentences": _yaml(sentences, {}),
        "runs": _rows(runs),
        "run_records": _jsons(run_records),
        "planned": planned,
        "missing": _json(missing, {"missing": []})["missing"],
        "readings": _jsons(readings),
        "preflights": _jsons(preflights),
        "fits": _jsons(regressions),
        "checks": _jsons(checks),
        "gam": _json(gam, None),
        "claims": _json(claims, None),
        "contradictions": _yaml(contradictions, []),
        "deviations": _yaml(deviations, []),
        "paper_study": _yaml(paper_study, None),
        "generations": {run: _json(Path(path), None) for run, path in map(_pair, generations)},
        "mechanism_rows": _rows(mechanism),
        "mechanisms": _jsons(mechanisms),
        "times": read_times(times) if times else {},
        "showing": _json(showing, None),
        "beside": _verdicts(beside),
    }


def _json(path: Path | None, absent: object) -> Any:
    if path is None:
        return absent
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        hint = "Delete it and run the workflow again; its rule makes it anew."
        raise InputError(
            "A JSON file of the report cannot be read.", value=reason(error), where=str(path), hint=hint
        ) from None


def _verdicts(path: Path | None) -> dict | None:
    """The claims.json of another study; InputError where it is something else."""
    found = _json(path, None)
    rows = found.get("claims") if isinstance(found, dict) and "study" in found else None
    whole = isinstance(rows, list) and all(
        isinstance(row, dict) and {"id", "text", "verdict"} <= set(row) for row in rows
    )
    if path is not None and not whole:
        hint = "It is the claims.json of a finished study."
        raise InputError("A file that is to be shown beside holds no verdicts.", where=str(path), hint=hint)
    return found


def _jsons(paths: Sequence[Path]) -> list:
    return [_json(path, None) for path in paths]


def _yaml(path: Path | None, absent: object) -> Any:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or absent) if path else absent


def _rows(path: Path | None) -> list[dict]:
    if path is None:
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _pair(text: str) -> tuple[str, str]:
    run, equals, path = text.partition("=")
    if not equals:
        raise InputError("Generations are given as RUN=FILE.", value=text, where="--generations")
    return run, path

"""Reading the files of a study (or of an analyst) into Evidence."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from plw.claims.evidence import Evidence
from plw.errors import InputError
from plw.files import read_json
from plw.scores.table import primary_scores, read_scores
from plw.study.runs import RUN_COLUMNS

MECHANISM_COLUMNS = [*RUN_COLUMNS, "measure", "value"]
ITEM_COLUMNS = ["run", "benchmark", "item", "score"]


def read_table(path: str | Path, columns: Sequence[str], *, text: Sequence[str]) -> pd.DataFrame:
    """A table from CSV or Parquet with at least these columns; those in `text` as text. InputError otherwise."""
    try:
        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame = frame.astype({name: str for name in text if name in frame.columns})
        else:
            frame = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError, ImportError) as error:
        raise InputError("A table cannot be read.", value=str(error), where=str(path)) from None
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise InputError("A table lacks columns.", value=absent, where=str(path), hint=f"It needs {list(columns)}.")
    return frame


def by_role(paths: Sequence[str], datasets: Sequence[dict]) -> dict[str, dict]:
    """Results of data sets (JSON files with the key `dataset`), by the paper's data set that each stands for."""
    roles = {entry["name"]: entry.get("stands_for") for entry in datasets}
    found: dict[str, dict] = {}
    for result in map(read_json, paths):
        role = roles.get(result["dataset"])
        if role is not None:
            found.setdefault(role, result)
    return found


def read_evidence(
    *,
    scores: str,
    benchmarks: Sequence[dict],
    datasets: Sequence[dict],
    ptlms: Sequence[dict],
    numbers: dict,
    runs: str | None = None,
    mechanism: str | None = None,
    items: str | None = None,
    regressions: Sequence[str] = (),
    checks: Sequence[str] = (),
    statistics: Sequence[str] = (),
    gam: str | None = None,
    loss: str | None = None,
) -> Evidence:
    """The evidence in these files (paths; absent ones are None or empty)."""
    primary = primary_scores(read_scores(scores), {entry["name"]: entry["metric"] for entry in benchmarks})
    table = None
    if runs:
        table = read_table(runs, [*RUN_COLUMNS, "experiments"], text=[*RUN_COLUMNS, "experiments"])
        table = table.astype({"plw": float, "strength": float}).fillna({"experiments": ""})
    return Evidence(
        scores=primary,
        benchmarks=benchmarks,
        datasets=datasets,
        ptlms=ptlms,
        numbers=numbers,
        runs=table,
        mechanism=read_table(mechanism, MECHANISM_COLUMNS, text=["run", "ptlm", "dataset", "measure"])
        if mechanism
        else None,
        items=read_table(items, ITEM_COLUMNS, text=["run", "benchmark"]) if items else None,
        regressions=by_role(regressions, datasets),
        checks=by_role(checks, datasets),
        statistics=by_role(statistics, datasets),
        gam=read_json(gam) if gam else None,
        loss=read_json(loss) if loss else None,
    )

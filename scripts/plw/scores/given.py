"""A score table that an analyst brings along, instead of runs that this workflow makes.

Smallest table: ptlm, dataset, plw, benchmark, score; what is absent has the main experiment's value. Names are those of
the study. Everything that is wrong with a table is said in one go, with the rows that show it.
"""

import math
from pathlib import Path

import pandas as pd

from plw.errors import InputError, InputErrors, nearest_hint
from plw.scores.collection import Measurement
from plw.scores.table import CELL

NEEDED = ("ptlm", "dataset", "plw", "benchmark", "score")
OPTIONAL = ("run", "normalization", "regularizer", "strength", "seed", "metric", "stderr", "n")
NUMBERS = {"plw": (0.0, 1.0), "score": (-math.inf, math.inf), "strength": (0.0, math.inf)}


def _rows(frame: pd.DataFrame, wrong: pd.Series) -> str:
    """Line numbers of the first wrong rows; the header is line 1."""
    lines = [str(index + 2) for index in frame.index[wrong][:5]]
    more = int(wrong.sum()) - len(lines)
    return f"line {', '.join(lines)}{f' and {more} more' if more > 0 else ''}"


def read_given_scores(path: str | Path, *, benchmarks: list[dict]) -> pd.DataFrame:
    """The table with all optional columns filled in, scores on the scale 0 to 1.

    benchmarks  registry entries with name and metric; `metric` defaults to the primary one
    Raises InputErrors for: a file that is no CSV or empty, absent or unknown columns, cells that are empty or no
    numbers, PLWs outside [0, 1], unknown benchmarks, primary scores outside [0, 1], rows given twice.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        raise InputError("The score table is empty.", where=str(path)) from None
    except (OSError, ValueError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        raise InputError("The score table cannot be read as CSV in UTF-8.", value=str(error), where=str(path)) from None
    errors = _column_errors(frame, path)
    if errors:
        raise InputErrors(errors)
    if frame.empty:
        raise InputError("The score table has a header and no rows.", where=str(path))
    metrics = {entry["name"]: entry["metric"] for entry in benchmarks}
    errors = _cell_errors(frame, metrics, path)
    if errors:
        raise InputErrors(errors)
    frame = frame.assign(**{name: pd.to_numeric(frame[name]) for name in NUMBERS if name in frame})
    if "metric" not in frame:
        frame["metric"] = frame["benchmark"].map(metrics)
    errors = _score_errors(frame, metrics, path)
    if errors:
        raise InputErrors(errors)
    for name in ("stderr", "n"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce") if name in frame else float("nan")
    return frame


def _column_errors(frame: pd.DataFrame, path: str | Path) -> list[InputError]:
    known = (*NEEDED, *OPTIONAL)
    absent = [name for name in NEEDED if name not in frame]
    errors = []
    if absent:
        hint = f"It needs {', '.join(NEEDED)}; it may have {', '.join(OPTIONAL)}."
        if len(frame.columns) == 1:
            hint += " There is only one column: are the cells separated by commas?"
        errors.append(InputError("The score table lacks columns.", value=absent, where=str(path), hint=hint))
    for name in frame.columns:
        if name not in known:
            hint = nearest_hint(name, list(known)) or f"known columns: {', '.join(known)}"
            errors.append(InputError("Unknown column of the score table.", value=name, where=str(path), hint=hint))
    return errors


def _cell_errors(frame: pd.DataFrame, metrics: dict[str, str], path: str | Path) -> list[InputError]:
    errors = []
    for name in NEEDED:
        empty = frame[name].str.strip() == ""
        if empty.any():
            errors.append(
                InputError(
                    f"Cells of the column {name} are empty.",
                    where=f"{path}, {_rows(frame, empty)}",
                    hint="Leave out the rows that have no score; what is missing is then shown.",
                )
            )
    for name, (low, high) in NUMBERS.items():
        if name not in frame:
            continue
        values = pd.to_numeric(frame[name], errors="coerce")
        wrong = ~values.between(low, high) | values.abs().eq(math.inf)
        wrong &= frame[name].str.strip() != ""
        if wrong.any():
            what = f"The column {name} holds something that is not a number" + (
                "." if low == -math.inf else f" from {low:g} to {high:g}."
            )
            value = frame.loc[wrong, name].unique()[:3].tolist()
            errors.append(InputError(what, value=value, where=f"{path}, {_rows(frame, wrong)}"))
    for name in sorted(set(frame["benchmark"]) - set(metrics) - {""}):
        hint = nearest_hint(name, list(metrics)) or f"the study's benchmarks: {', '.join(metrics)}"
        errors.append(InputError("Unknown benchmark.", value=name, where=str(path), hint=hint))
    return errors


def _score_errors(frame: pd.DataFrame, metrics: dict[str, str], path: str | Path) -> list[InputError]:
    errors = []
    primary = frame["metric"] == frame["benchmark"].map(metrics)
    outside = primary & ~frame["score"].between(0, 1)
    if outside.any():
        errors.append(
            InputError(
                "Scores are outside [0, 1].",
                value=frame.loc[outside, "score"].tolist()[:3],
                where=f"{path}, {_rows(frame, outside)}",
                hint="Divide percentages, BLEU and win rates by 100.",
            )
        )
    cell = [name for name in (*CELL, "benchmark", "metric") if name in frame]
    twice = frame.duplicated(cell)
    if twice.any():
        hint = "One row for each run, benchmark and metric; a column seed tells repetitions apart."
        errors.append(InputError("Rows are given twice.", where=f"{path}, {_rows(frame, twice)}", hint=hint))
    lacking = sorted(set(frame["benchmark"]) - set(frame.loc[primary, "benchmark"]))
    if lacking:
        value = [f"{name}: {metrics[name]}" for name in lacking]
        hint = "Name the metric so, or leave out the column metric."
        errors.append(InputError("Benchmarks without their primary metric.", value=value, where=str(path), hint=hint))
    return errors


def match_runs(frame: pd.DataFrame, runs: pd.DataFrame, *, normalization: str, where: str) -> pd.DataFrame:
    """The table with the study's run id in each row.

    runs           the study's run table, numbers as numbers
    normalization  what rows without one were trained with
    Raises InputErrors for names and PLWs that the study lacks, and for runs that it does not plan.
    """
    defaults = {
        "normalization": normalization,
        "regularizer": "none",
        "strength": 0.0,
        "seed": int(runs["seed"].iloc[0]),
    }
    frame = frame.assign(**{name: frame.get(name, value) for name, value in defaults.items()})
    frame["seed"] = pd.to_numeric(frame["seed"], errors="coerce")
    errors = []
    for name in ("ptlm", "dataset", "normalization", "regularizer"):
        known = list(runs[name].unique())
        for value in sorted(set(frame[name]) - set(known)):
            hint = nearest_hint(value, known) or f"the study's: {', '.join(known)}"
            errors.append(InputError(f"Unknown {name} in the score table.", value=value, where=where, hint=hint))
    known = sorted(runs["plw"].unique())
    strange = sorted({value for value in frame["plw"] if not any(math.isclose(value, w, abs_tol=1e-9) for w in known)})
    if strange:
        hint = f"The study has {', '.join(f'{w:g}' for w in known)}; other weights go into its experiments.main.plw."
        errors.append(InputError("PLWs that the study does not have.", value=strange[:5], where=where, hint=hint))
    if errors:
        raise InputErrors(errors)
    keys = runs.assign(plw=runs["plw"].round(9))[[*CELL, "run"]]
    matched = (
        frame.drop(columns="run", errors="ignore").assign(plw=frame["plw"].round(9)).merge(keys, on=CELL, how="left")
    )
    strangers = matched["run"].isna()
    if strangers.any():
        shown = matched.loc[strangers, CELL].drop_duplicates().head(3).astype(str).agg(" ".join, axis=1).tolist()
        raise InputError(
            f"{int(strangers.sum())} rows belong to runs that the study does not plan.",
            value=shown,
            where=where,
            hint="Change the experiments of the study, or leave these rows out.",
        )
    return matched


def as_measurements(frame: pd.DataFrame) -> list[Measurement]:
    """The matched rows as measurements, so that they are collected like the workflow's own."""
    found = []
    for (run, benchmark), rows in frame.groupby(["run", "benchmark"], sort=False):
        metrics = {
            row.metric: {
                "score": float(row.score),
                "stderr": None if math.isnan(row.stderr) else float(row.stderr),
                "n": None if math.isnan(row.n) else int(row.n),
            }
            for row in rows.itertuples()
        }
        found.append(Measurement(run, benchmark, metrics, {}))
    return found

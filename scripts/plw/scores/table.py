"""The score table and its aggregates (paper §5, Figure 1): one tidy frame, scores on the scale 0 to 1.

Tidy frame: one row per run, benchmark and metric with the columns COLUMNS. `primary_scores` keeps each
benchmark's primary metric; the aggregates and the regression work on that.
"""

import warnings
from pathlib import Path

import pandas as pd

from plw.errors import InputError, InputErrors
from plw.scores.scale import is_constant
from plw.scores.transform import to_w_p
from plw.study.runs import RUN_COLUMNS

COLUMNS = [*RUN_COLUMNS, "benchmark", "metric", "score", "stderr", "n"]
TEXT_COLUMNS = ("run", "ptlm", "dataset", "normalization", "regularizer", "benchmark", "metric")
CELL = ["ptlm", "dataset", "plw", "normalization", "regularizer", "strength", "seed"]


def _shown(rows: pd.DataFrame, *names: str) -> list[str]:
    return [" ".join(map(str, row)) for row in rows[list(names)].head(5).itertuples(index=False)]


def check_scores(frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """The frame with its columns in order; InputErrors that show everything wrong with it at once.

    Checked: columns, finite scores, PLWs in [0, 1], `stderr` and `n` numbers or empty, one row per run, benchmark and
    metric, one run per cell.
    """
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise InputError("The score table lacks columns.", value=absent, where=where, hint=f"It needs {COLUMNS}.")
    errors = []
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in ("score", "plw", "stderr", "n")}
    for name in ("stderr", "n"):  # may be unknown, but not something else
        wrong = frame[numbers[name].isna() & frame[name].notna()]
        if not wrong.empty:
            value = _shown(wrong, "run", "benchmark", "metric", name)
            errors.append(InputError(f"{len(wrong)} cells of {name} are no numbers.", value=value, where=where))
    frame = frame.assign(**numbers)
    wrong = frame[~frame["score"].abs().lt(float("inf"))]  # also NaN and text
    if not wrong.empty:
        value = _shown(wrong, "run", "benchmark", "metric", "score")
        errors.append(InputError(f"{len(wrong)} scores are not finite numbers.", value=value, where=where))
    wrong = frame[~frame["plw"].between(0, 1)]
    if not wrong.empty:
        value = _shown(wrong.drop_duplicates("run"), "run", "plw")
        errors.append(InputError("PLWs must lie between 0 and 1.", value=value, where=where))
    twice = frame[frame.duplicated(["run", "benchmark", "metric"])]
    if not twice.empty:
        value = _shown(twice, "run", "benchmark", "metric")
        errors.append(InputError(f"{len(twice)} rows are given twice.", value=value, where=where))
    cells = frame.drop_duplicates("run")
    same = cells[cells.duplicated(CELL, keep=False)]
    if not same.empty:
        value = same["run"].tolist()[:6]
        errors.append(InputError("Different runs have the same factors.", value=value, where=where))
    if errors:
        raise InputErrors(errors)
    return frame[COLUMNS].reset_index(drop=True)


def read_scores(path: str | Path) -> pd.DataFrame:
    """A checked score table from a CSV file."""
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError, OverflowError) as error:
        raise InputError("The score table cannot be read.", value=str(error), where=str(path)) from None
    return check_scores(frame, where=str(path))


def primary_scores(frame: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """The rows of each benchmark's primary metric, for the benchmarks in `metrics` (name -> metric).

    Raises InputError for a score outside [0, 1]: aggregates and the beta family have no place for one. (Other
    metrics may leave that range, as differences of two BLEU scores do.)
    """
    wanted = frame["benchmark"].map(metrics)
    rows = frame[wanted.notna() & (frame["metric"] == wanted)].reset_index(drop=True)
    wrong = rows[~rows["score"].between(0, 1)]
    if not wrong.empty:
        raise InputError(
            f"{len(wrong)} scores of primary metrics are outside [0, 1].",
            value=_shown(wrong, "run", "benchmark", "metric", "score"),
            hint="BLEU, win rates and other percentages are divided by 100 before they are collected.",
        )
    return rows


def planned_runs(path: str | Path, experiment: str) -> pd.DataFrame:
    """The rows of a run table that belong to an experiment (its column `experiments` joins names by ';')."""
    try:
        runs = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError("The run table cannot be read.", value=str(error), where=str(path)) from None
    if "experiments" not in runs:
        raise InputError("The run table has no column `experiments`.", value=list(runs), where=str(path))
    return runs[runs["experiments"].str.split(";").map(lambda names: experiment in names)]


def select_runs(frame: pd.DataFrame, *, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows of the given runs, or of plain fine-tuning where no run table is given.

    Without a run table, rows with a regularizer are left out and more than one loss normalization is an
    InputError: they would stand for the same cell of the design.
    """
    if runs is not None:
        return frame[frame["run"].isin(runs["run"])].reset_index(drop=True)
    plain = frame[frame["regularizer"] == "none"]
    if plain["normalization"].nunique() > 1:
        raise InputError(
            "Scores of several loss normalizations cannot be pooled.",
            value=sorted(plain["normalization"].unique()),
            hint="Give the run table and the experiment, or keep one normalization.",
        )
    return plain.reset_index(drop=True)


def add_w_p(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the column w_p = plw ** 0.30103 (§4.1)."""
    return frame.assign(w_p=frame["plw"].astype(float).map(to_w_p))


def relative_scores(frame: pd.DataFrame, *, within: tuple[str, ...] = ("benchmark", "dataset")) -> pd.DataFrame:
    """The frame with the column `relative`: min-max scaled score inside each group `within`, in [0, 1].

    The default pools the ptlms, as §5.2 says ("we did not min-max normalize over PTLM groups").
    A group whose scores are all equal has no scale: 0.5, with a warning.
    """
    groups = frame.groupby(list(within), sort=False)["score"]
    low, high = groups.transform("min"), groups.transform("max")
    constant = is_constant(low, high)
    if constant.any():
        names = frame.loc[constant, list(within)].drop_duplicates().astype(str).agg("/".join, axis=1).tolist()
        warnings.warn(f"constant scores have no min-max scale, 0.5 is used: {', '.join(names)}", stacklevel=2)
    relative = ((frame["score"] - low) / (high - low).where(~constant, 1.0)).where(~constant, 0.5)
    return frame.assign(relative=relative)


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per run: `simple` and `relative` aggregate over its benchmarks (Figure 1, §5).

    frame  primary scores. simple: unweighted mean of the scores; relative: mean of the min-max scaled ones.
    Means over different benchmarks cannot be compared, so `complete` tells whether a run has all the
    benchmarks that any run of its data set has; `benchmarks` counts them.
    """
    scaled = add_w_p(relative_scores(frame))
    wanted = scaled.groupby("dataset")["benchmark"].nunique()
    rows = scaled.groupby([*RUN_COLUMNS, "w_p"], sort=False, dropna=False).agg(
        simple=("score", "mean"), relative=("relative", "mean"), benchmarks=("benchmark", "nunique")
    )
    rows = rows.reset_index()
    return rows.assign(complete=rows["benchmarks"] == rows["dataset"].map(wanted))


def coverage_note(data: pd.DataFrame, *, planned: int | None, benchmarks: int | None, used: str = "drawn") -> str:
    """What is not in a figure or table of aggregates: runs without scores or benchmarks, benchmarks that no run has.

    data                one row per run with `dataset`, `benchmarks` and `complete`
    planned, benchmarks numbers of runs and benchmarks of the whole design; None: those that are there
    used                what is done with the runs that are there
    Returns an empty string when nothing is missing.
    """
    if planned == 0 and data.empty:
        return "the study has no such runs"
    whole = int(data["complete"].sum())
    planned = max(planned or 0, len(data))
    notes = []
    if whole < planned:
        parts = [f"{planned - len(data)} without scores"] if planned > len(data) else []
        parts += [f"{len(data) - whole} lacking benchmarks"] if len(data) > whole else []
        notes.append(f"{whole} of {planned} runs are {used} ({', '.join(parts)})")
    most = data.groupby("dataset", sort=False)["benchmarks"].max()
    if len(most) and benchmarks and most.min() < benchmarks:
        counts = sorted(set(most))
        notes.append(f"means over {' or '.join(map(str, counts))} of {benchmarks} benchmarks")
    return "; ".join(notes)

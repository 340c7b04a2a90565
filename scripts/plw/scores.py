"""The score table and its aggregates (paper §5, Figure 1; protocol: one tidy frame, everything on the scale 0 to 1).

Tidy frame: one row per run, benchmark and metric with the columns COLUMNS. `primary_scores` keeps each benchmark's
primary metric; the aggregates and the regression work on that.
"""

import warnings
from pathlib import Path

import pandas as pd

from plw.errors import InputError, InputErrors
from plw.transform import w_p_from_plw

RUN_COLUMNS = ["run", "ptlm", "dataset", "plw", "normalization", "regularizer", "strength", "seed"]
COLUMNS = [*RUN_COLUMNS, "benchmark", "metric", "score", "stderr", "n"]
TEXT_COLUMNS = ("run", "ptlm", "dataset", "normalization", "regularizer", "benchmark", "metric")
CELL = ["ptlm", "dataset", "plw", "normalization", "regularizer", "strength", "seed"]


def check_scores(frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """The frame with its columns in order; InputErrors that show everything wrong with it at once.

    Checked: columns, scores and weights in [0, 1], one row per run, benchmark and metric, one run per cell.
    """
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise InputError(
            "The score table lacks columns.", value=absent, where=where, hint=f"It needs {COLUMNS}."
        )
    errors = []
    for name, what in (
        ("score", "Scores must lie between 0 and 1."),
        ("plw", "PLWs must lie between 0 and 1."),
    ):
        values = pd.to_numeric(frame[name], errors="coerce")
        wrong = frame[~values.between(0, 1)]  # also NaN and text
        if not wrong.empty:
            shown = (
                wrong[["run", "benchmark", "metric", name]].head(5).astype(str).agg(" ".join, axis=1).tolist()
            )
            errors.append(
                InputError(
                    what,
                    value=shown,
                    where=f"{where}, {len(wrong)} row(s)",
                    hint="BLEU and win rates are divided by 100 before they are collected."
                    if name == "score"
                    else None,
                )
            )
    twice = frame[frame.duplicated(["run", "benchmark", "metric"])]
    if not twice.empty:
        shown = twice[["run", "benchmark", "metric"]].head(5).astype(str).agg(" ".join, axis=1).tolist()
        errors.append(InputError("Rows are given twice.", value=shown, where=where))
    cells = frame.drop_duplicates("run")
    same = cells[cells.duplicated(CELL, keep=False)]
    if not same.empty:
        errors.append(
            InputError("Different runs have the same factors.", value=same["run"].tolist()[:6], where=where)
        )
    if errors:
        raise InputErrors(errors)
    return frame[COLUMNS].reset_index(drop=True)


def read_scores(path: str | Path) -> pd.DataFrame:
    """A checked score table from a CSV file."""
    try:
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""]
        )
    except (OSError, ValueError) as error:
        raise InputError("The score table cannot be read.", value=str(error), where=str(path)) from None
    return check_scores(frame, where=str(path))


def primary_scores(frame: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """The rows of each benchmark's primary metric, for the benchmarks in `metrics` (name -> metric)."""
    wanted = frame["benchmark"].map(metrics)
    return frame[wanted.notna() & (frame["metric"] == wanted)].reset_index(drop=True)


def select_runs(
    frame: pd.DataFrame, *, runs: pd.DataFrame | None = None, experiment: str | None = None
) -> pd.DataFrame:
    """The rows of one experiment's runs, or of plain fine-tuning where no run table is given.

    runs  the run table with its `experiments` column, names joined by ';'
    Without a run table, rows with a regularizer are left out and more than one loss normalization is an InputError:
    they would stand for the same cell of the design.
    """
    if runs is not None:
        if experiment is not None:
            runs = runs[runs["experiments"].str.split(";").map(lambda names: experiment in names)]
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
    return frame.assign(w_p=frame["plw"].astype(float).map(w_p_from_plw))


def relative_scores(
    frame: pd.DataFrame, *, within: tuple[str, ...] = ("benchmark", "dataset")
) -> pd.DataFrame:
    """The frame with the column `relative`: min-max scaled score inside each group `within`, in [0, 1].

    The default pools the ptlms, as §5.2 says ("we did not min-max normalize over PTLM groups").
    A group whose scores are all equal has no scale: 0.5, with a warning.
    """
    groups = frame.groupby(list(within), sort=False)["score"]
    low, high = groups.transform("min"), groups.transform("max")
    span = high - low
    constant = span == 0
    if constant.any():
        names = frame.loc[constant, list(within)].drop_duplicates().astype(str).agg("/".join, axis=1).tolist()
        warnings.warn(f"constant scores have no min-max scale, 0.5 is used: {', '.join(names)}", stacklevel=2)
    relative = ((frame["score"] - low) / span.where(~constant, 1.0)).where(~constant, 0.5)
    return frame.assign(relative=relative)


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per run: `simple` and `relative` aggregate over its benchmarks (Figure 1, §5).

    frame  primary scores. simple: unweighted mean of the scores; relative: mean of the min-max scaled ones.
    Means over different benchmarks cannot be compared, so `complete` tells whether a run has all the benchmarks
    that any run of its data set has; `benchmarks` counts them.
    """
    scaled = add_w_p(relative_scores(frame))
    wanted = scaled.groupby("dataset")["benchmark"].nunique()
    rows = scaled.groupby([*RUN_COLUMNS, "w_p"], sort=False, dropna=False).agg(
        simple=("score", "mean"), relative=("relative", "mean"), benchmarks=("benchmark", "nunique")
    )
    rows = rows.reset_index()
    return rows.assign(complete=rows["benchmarks"] == rows["dataset"].map(wanted))

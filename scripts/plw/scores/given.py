"""A score table that an analyst brings along, instead of runs that this workflow makes.

Smallest table: ptlm, dataset, plw, benchmark, score; what is absent has the main experiment's value. Names are those of
the study. Nothing is taken for something else: a cell is a number as written here, or it is refused. Everything that is
wrong with a table is said in one go, with the lines of the file that show it.
"""

import math
import re
from pathlib import Path

import pandas as pd

from plw.errors import InputError, InputErrors, nearest_hint
from plw.scores.collection import Measurement, expected_pairs
from plw.scores.table import CELL
from plw.study.rows import RowError, read_content, read_table

NEEDED = ("ptlm", "dataset", "plw", "benchmark", "score")
OPTIONAL = ("run", "normalization", "regularizer", "strength", "seed", "metric", "stderr", "n")
MAY_BE_EMPTY = ("run", "stderr", "n")
# Column: least and largest value, and whether it is a whole number; a double holds whole numbers exactly up to 2^53.
NUMBERS = {
    "plw": (0.0, 1.0, False),
    "score": (-math.inf, math.inf, False),
    "strength": (0.0, math.inf, False),
    "seed": (0.0, 2.0**53, True),
    "stderr": (0.0, math.inf, False),
    "n": (1.0, 2.0**53, True),
}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
AS_WRITTEN = (
    "Numbers look like 1319, 0.75 or 7.5e-1: a dot before decimals, no separator of thousands, no %, no words."
    " A cell of stderr or n stays empty where it is not known; a row without a score is left out."
)
MOST_STDERR = 0.5  # of a mean of values from 0 to 1: their standard deviation is at most half their range (Popoviciu)
PLW_DIGITS = 9  # after the point: PLWs that are the same so far are the same setting
SHOWN = 5  # lines that a message names


def _lines(frame: pd.DataFrame, wrong: pd.Series) -> str:
    """The file's line numbers of the first wrong rows."""
    lines = frame.loc[wrong, "line"].tolist()
    more = len(lines) - SHOWN
    return f"line {', '.join(map(str, lines[:SHOWN]))}{f' and {more} more' if more > 0 else ''}"


def read_given_scores(path: str | Path, *, benchmarks: list[dict]) -> pd.DataFrame:
    """The table with all optional columns filled in, scores on the scale 0 to 1, and the file's line of each row.

    benchmarks  registry entries with name and metric; `metric` defaults to the primary one
    Raises InputErrors for: a file that is no CSV or empty, absent or unknown columns, cells that are empty or no
    numbers, PLWs outside [0, 1], unknown benchmarks, primary scores outside [0, 1], rows given twice.
    """
    header, frame = _read_cells(path)
    errors = _column_errors(header, path)
    if errors:
        raise InputErrors(errors)
    if frame.empty:
        raise InputError("The score table has a header and no rows.", where=str(path))
    metrics = {entry["name"]: entry["metric"] for entry in benchmarks}
    errors = _cell_errors(frame, metrics, path)
    if errors:
        raise InputErrors(errors)
    frame = frame.assign(**{name: frame[name].map(_number) for name in NUMBERS if name in frame})
    if "metric" not in frame:
        frame["metric"] = frame["benchmark"].map(metrics)
    errors = _score_errors(frame, metrics, path)
    if errors:
        raise InputErrors(errors)
    for name in ("stderr", "n"):
        frame[name] = frame[name].astype(float) if name in frame else float("nan")
    return frame


def _read_cells(path: str | Path) -> tuple[list[str], pd.DataFrame]:
    """The header, and the cells as text without white space around them, with the column `line`."""
    header, table = read_table(read_content(Path(path)), str(path))
    rows = list(table)
    ragged = [(row.line, row.value.detail) for row in rows if isinstance(row.value, RowError)]
    if ragged:
        lines = ", ".join(str(line) for line, _ in ragged[:SHOWN])
        more = f" and {len(ragged) - SHOWN} more" if len(ragged) > SHOWN else ""
        hint = f"{ragged[0][1]}. A text with commas stands in double quotes."
        raise InputError(
            "Rows have more or fewer cells than the header.", where=f"{path}, line {lines}{more}", hint=hint
        )
    texts = ((row.line, row.value) for row in rows if isinstance(row.value, dict))  # none is anything else now
    cells = [{name.strip(): cell.strip() for name, cell in row.items()} | {"line": line} for line, row in texts]
    return [name.strip() for name in header], pd.DataFrame(cells)


def _number(cell: str) -> float:
    """The number that a cell holds as NUMBER writes it; NaN for any other, which _cell_errors refuses but if empty."""
    return float(cell) if NUMBER.fullmatch(cell) else math.nan


def _column_errors(header: list[str], path: str | Path) -> list[InputError]:
    known = (*NEEDED, *OPTIONAL)
    absent = [name for name in NEEDED if name not in header]
    errors = []
    if absent:
        hint = f"It needs {', '.join(NEEDED)}; it may have {', '.join(OPTIONAL)}."
        if len(header) == 1:
            hint += " There is only one column: are the cells separated by commas?"
        errors.append(InputError("The score table lacks columns.", value=absent, where=str(path), hint=hint))
    for name in dict.fromkeys(header):
        if name not in known:
            hint = nearest_hint(name, list(known)) or f"known columns: {', '.join(known)}"
            if not name:
                hint = "Perhaps the index of a data frame: pandas leaves it out with to_csv(…, index=False)."
            errors.append(InputError("Unknown column of the score table.", value=name, where=str(path), hint=hint))
        elif header.count(name) > 1:
            errors.append(InputError("A column is there twice.", value=name, where=str(path)))
    return errors


def _cell_errors(frame: pd.DataFrame, metrics: dict[str, str], path: str | Path) -> list[InputError]:
    errors = []
    for name in (*NEEDED, *OPTIONAL):
        if name not in frame or name in MAY_BE_EMPTY:
            continue
        empty = frame[name] == ""
        if empty.any():
            hint = (
                "Leave out the rows that have no score; what is missing is then shown."
                if name in NEEDED
                else "Fill them, or leave out the whole column: all rows then have the main experiment's value."
            )
            where = f"{path}, {_lines(frame, empty)}"
            errors.append(InputError(f"Cells of the column {name} are empty.", where=where, hint=hint))
    for name, (low, high, whole) in NUMBERS.items():
        if name not in frame:
            continue
        numbers = frame[name].map(_number)
        wrong = numbers.isna() & (frame[name] != "")
        wrong |= (numbers < low) | (numbers > high) | numbers.abs().eq(math.inf)
        if whole:
            wrong |= numbers.notna() & (numbers % 1 != 0)
        if wrong.any():
            least = f"{low:g}" if low > -math.inf else ""
            span = f" from {least}" + (" to 1" if high == 1 else "") if least else ""
            what = f"The column {name} holds something that is not a {'whole ' if whole else ''}number{span}."
            value, where = frame.loc[wrong, name].unique()[:3].tolist(), f"{path}, {_lines(frame, wrong)}"
            errors.append(InputError(what, value=value, where=where, hint=AS_WRITTEN))
    for name in sorted(set(frame["benchmark"]) - set(metrics) - {""}):
        hint = nearest_hint(name, list(metrics)) or f"the study's benchmarks: {', '.join(metrics)}"
        where = f"{path}, {_lines(frame, frame['benchmark'] == name)}"
        errors.append(InputError("Unknown benchmark.", value=name, where=where, hint=hint))
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
                where=f"{path}, {_lines(frame, outside)}",
                hint="Divide percentages, BLEU and win rates by 100.",
            )
        )
    if "stderr" in frame:
        large = primary & (frame["stderr"] > MOST_STDERR)
        if large.any():
            errors.append(
                InputError(
                    f"Standard errors of scores from 0 to 1 are at most {MOST_STDERR:g}.",
                    value=frame.loc[large, "stderr"].tolist()[:3],
                    where=f"{path}, {_lines(frame, large)}",
                    hint="Divide those of percentages, BLEU and win rates by 100, as the scores.",
                )
            )
    cell = [name for name in (*CELL, "benchmark", "metric") if name in frame]
    twice = frame.assign(plw=frame["plw"].round(PLW_DIGITS)).duplicated(cell)
    if twice.any():
        hint = "One row for each run, benchmark and metric; a column seed tells repetitions apart."
        errors.append(InputError("Rows are given twice.", where=f"{path}, {_lines(frame, twice)}", hint=hint))
    lacking = sorted(set(frame["benchmark"]) - set(frame.loc[primary, "benchmark"]))
    if lacking:
        value = [f"{name}: {metrics[name]}" for name in lacking]
        hint = "Name the metric so, or leave out the column metric."
        errors.append(InputError("Benchmarks without their primary metric.", value=value, where=str(path), hint=hint))
    return errors


def match_runs(frame: pd.DataFrame, runs: pd.DataFrame, *, normalization: str, where: str) -> pd.DataFrame:
    """The table with the study's run id in each row.

    frame          from `read_given_scores`
    runs           the study's run table, numbers as numbers
    normalization  what rows without one were trained with
    where          the file, for messages
    Raises InputErrors for names and PLWs that the study lacks, and for runs that it does not plan.
    """
    defaults = {
        "normalization": normalization,
        "regularizer": "none",
        "strength": 0.0,
        "seed": int(runs["seed"].iloc[0]),
    }
    frame = frame.assign(**{name: frame.get(name, value) for name, value in defaults.items()})
    frame = frame.assign(plw=frame["plw"].round(PLW_DIGITS), seed=frame["seed"].astype("int64"))
    errors = []
    for name in ("ptlm", "dataset", "normalization", "regularizer"):
        known = list(runs[name].unique())
        for value in sorted(set(frame[name]) - set(known)):
            hint = nearest_hint(value, known) or f"the study's: {', '.join(known)}"
            place = f"{where}, {_lines(frame, frame[name] == value)}"
            errors.append(InputError(f"Unknown {name} in the score table.", value=value, where=place, hint=hint))
    keys = runs.assign(plw=runs["plw"].round(PLW_DIGITS))[[*CELL, "run"]]
    strange = ~frame["plw"].isin(keys["plw"])
    if strange.any():
        weights = ", ".join(f"{w:g}" for w in sorted(runs["plw"].unique()))
        hint = f"The study has {weights}; other weights go into its experiments.main.plw."
        value, place = sorted(set(frame.loc[strange, "plw"]))[:5], f"{where}, {_lines(frame, strange)}"
        errors.append(InputError("PLWs that the study does not have.", value=value, where=place, hint=hint))
    if errors:
        raise InputErrors(errors)
    matched = frame.drop(columns="run", errors="ignore").merge(keys, on=CELL, how="left")
    strangers = matched["run"].isna()
    if strangers.any():
        shown = matched.loc[strangers, CELL].drop_duplicates().head(3).astype(str).agg(" ".join, axis=1).tolist()
        raise InputError(
            f"{int(strangers.sum())} rows belong to runs that the study does not plan.",
            value=shown,
            where=f"{where}, {_lines(matched, strangers)}",
            hint="Change the experiments of the study, or leave these rows out.",
        )
    return matched


def check_asked(
    matched: pd.DataFrame, runs: pd.DataFrame, benchmarks: list[str], experiments: dict, *, where: str
) -> None:
    """InputError for rows of benchmarks that no experiment asks of their run: a score table has no place for them.

    matched      from `match_runs`; experiments as in `plw.scores.collection.expected_pairs`
    """
    asked = set(expected_pairs(runs, benchmarks, experiments))
    extra = pd.Series(
        [pair not in asked for pair in zip(matched["run"], matched["benchmark"], strict=True)], index=matched.index
    )
    if extra.any():
        raise InputError(
            f"{int(extra.sum())} rows have scores that no experiment of the study asks for.",
            value=matched.loc[extra, ["run", "benchmark"]].head(3).agg(" ".join, axis=1).tolist(),
            where=f"{where}, {_lines(matched, extra)}",
            hint="Name these benchmarks in the experiment (experiments.NAME.benchmarks), or leave the rows out.",
        )


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

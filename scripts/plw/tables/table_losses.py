"""The experiment `losses` (ours): what a result owes to the prompt's weight and what to the loss's denominator.

The paper does not state what its weighted loss is divided by (docs/loss.md). Runs that differ in nothing but that stand
beside each other; PLW 0 and 1 stand with them, where dividing by the weights or by their count is the same.
"""

from collections.abc import Sequence

import pandas as pd
from scipy import stats

from plw.scores.table import relative_scores
from plw.tables.table import Column, Table, shown

WORDS = {
    "nonzero_count": "tokens with weight",
    "sum_of_weights": "sum of weights",
    "all_count": "all tokens",
    "token_sum": "nothing",
}
MEASURES = ("rsd", "weight_distance", "generation_tokens")
SHOWN = {"rsd": "RSD", "weight_distance": "weight distance", "generation_tokens": "AlpacaEval length",
         "relative": "relative aggregate"}  # fmt: skip
BORDERS = (0.0, 1.0)
ALPHA = 0.05  # §3


def compared_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the experiment, and the main ones at PLW 0 and 1 of the same data sets and ptlms.

    runs  the run table, plw as a number
    """
    names = runs["experiments"].str.split(";")
    own = runs[names.map(lambda found: "losses" in found)]
    border = names.map(lambda found: "main" in found) & runs["plw"].isin(BORDERS)
    border &= runs["dataset"].isin(own["dataset"]) & runs["ptlm"].isin(own["ptlm"])
    return runs[runs["run"].isin(own["run"]) | border].drop_duplicates("run")


def loss_rows(runs: pd.DataFrame, scores: pd.DataFrame, mechanism: pd.DataFrame | None) -> pd.DataFrame:
    """One row per data set, PLW and normalization: means over ptlms and seeds; NaN for what was not measured.

    runs       from `compared_runs`; scores: primary scores; mechanism: rows of mechanism.csv or None
    Returns dataset, plw, normalization, runs, MEASURES, each of the first two over its value at PLW 0 (`rsd_ratio`,
    `weight_distance_ratio`), and `relative`: the mean of scores that are min-max scaled over these runs; and for each
    of SHOWN its standard error by seeds, `…_se` (NaN where no cell has two seeds), with the degrees of freedom `…_df`.
    """
    scores = scores[scores["run"].isin(runs["run"])]
    relative = relative_scores(scores).groupby("run")["relative"].mean() if len(scores) else pd.Series(dtype=float)
    table = runs.assign(relative=runs["run"].map(relative))
    for measure in MEASURES:
        found = mechanism[mechanism["measure"] == measure] if mechanism is not None else None
        values = found.set_index("run")["value"].astype(float) if found is not None else pd.Series(dtype=float)
        table[measure] = table["run"].map(values)
    rows = table.groupby(["dataset", "plw", "normalization"], sort=True, as_index=False).agg(
        runs=("run", "size"), relative=("relative", "mean"), **{name: (name, "mean") for name in MEASURES}
    )
    for measure in SHOWN:
        deviation, freedom = seed_noise(table, measure)
        rows[f"{measure}_se"], rows[f"{measure}_df"] = deviation / rows["runs"] ** 0.5, freedom
    for measure in ("rsd", "weight_distance"):
        masked = rows[rows["plw"] == 0].drop_duplicates("dataset").set_index("dataset")[measure]
        rows[f"{measure}_ratio"] = rows[measure] / rows["dataset"].map(masked)
    return rows


def seed_noise(table: pd.DataFrame, measure: str) -> tuple[float, int]:
    """SD of a run over seeds, pooled over cells (ptlm, data set, PLW, normalization), and its degrees of freedom.

    NaN and 0 where no cell has two seeds.
    """
    cells = table.dropna(subset=[measure]).groupby(["ptlm", "dataset", "plw", "normalization"])[measure]
    count, variance = cells.size(), cells.var(ddof=1)
    freedom = int((count - 1).sum())
    return (float(((count - 1) * variance.fillna(0)).sum() / freedom) ** 0.5, freedom) if freedom else (float("nan"), 0)


def denominator_notes(rows: pd.DataFrame, labels: dict[str, str]) -> list[str]:
    """What of a PLW's differences between normalizations is beyond the noise of seeds (two-sided t test, 5 %)."""
    beyond: list[str] = []
    within: list[str] = []
    tests = 0
    for (dataset, plw), part in rows.groupby(["dataset", "plw"]):
        if len(part) < 2:
            continue
        low, high = part.iloc[0], part.iloc[-1]
        for measure, words in SHOWN.items():
            error, freedom = (low[f"{measure}_se"] ** 2 + high[f"{measure}_se"] ** 2) ** 0.5, high[f"{measure}_df"]
            difference = abs(high[measure] - low[measure])
            if not freedom or not difference >= 0:
                continue
            tests += 1
            where = f"{words} at PLW {plw:g}" + (f" ({labels.get(dataset, dataset)})" if len(labels) > 1 else "")
            large = difference > stats.t.ppf(1 - ALPHA / 2, freedom) * error if error else difference > 0
            (beyond if large else within).append(where)
    if not tests:
        return ["With one seed for each cell the noise of training is not known: what differs between rows of one PLW "
                "is shown, and cannot be said to be due to the denominator."]  # fmt: skip
    notes = [f"Beyond the noise of seeds, so due to the denominator: {', '.join(beyond)}."] if beyond else []
    return notes + ([f"Within the noise of seeds: {', '.join(within)}."] if within else [])


def table_losses(rows: pd.DataFrame, datasets: Sequence[dict]) -> Table:
    """The rows as a table; datasets: entries with name and label."""
    labels = {entry["name"]: entry.get("label", entry["name"]) for entry in datasets}

    def number(key: str, form: str):
        return lambda row: shown(float(row[key]), form)

    columns = (
        Column("Data set", lambda row: labels.get(row["dataset"], row["dataset"]), ("dataset",), right=False),
        Column("PLW", lambda row: shown(row["plw"], "{:g}"), ("plw",)),
        Column("Divided by", lambda row: _divisor(row), ("normalization",), right=False),
        Column("RSD", number("rsd", "{:.3f}"), ("rsd",)),
        Column("over PLW 0", number("rsd_ratio", "{:.2f}"), ("rsd_ratio",)),
        Column("Weight distance", number("weight_distance", "{:.4g}"), ("weight_distance",)),
        Column("over PLW 0", number("weight_distance_ratio", "{:.2f}"), ("weight_distance_ratio",)),
        Column("AlpacaEval length", number("generation_tokens", "{:.1f}"), ("generation_tokens",)),
        Column("Relative aggregate", number("relative", "{:.3f}"), ("relative",)),
        Column("Runs", lambda row: shown(int(row["runs"])), ("runs",)),
    )
    notes = [
        "Means over PTLMs and seeds of runs that differ in nothing but what the weighted loss of a micro-batch is "
        "divided by. At PLW 0 and 1 the number of tokens with weight and the sum of weights are the same number. Rows "
        "of one PLW differ in the denominator alone; rows of the sum of weights in the weight alone. Relative: scores "
        "min-max scaled over the runs of this table.",
        *denominator_notes(rows, labels),
    ]
    return Table("The weight or the denominator (experiment losses)", columns, rows.to_dict("records"), notes=notes)


def _divisor(row: dict) -> str:
    words = WORDS.get(row["normalization"], row["normalization"])
    return (
        f"{words} = {WORDS['sum_of_weights']}"
        if row["plw"] in BORDERS and row["normalization"] == "nonzero_count"
        else words
    )

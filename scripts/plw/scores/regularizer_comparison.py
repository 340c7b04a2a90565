"""PLW against other regularizers on short-completion data: what Figure 8 and Table 4 compare (§6.1, App. C.1).

An arm is one way to regularize: `none` (plain fine-tuning at PLW 0 or 1), `plw` (plain fine-tuning at a fractional
PLW), or a regularizer at its strengths. A setting is one strength and PLW of an arm; seeds of a setting are averaged.
All runs share one min-max scale for each benchmark (plw.scores.pooled), over ptlms as well.
"""

from collections.abc import Sequence
from math import comb

import pandas as pd

from plw.scores.pooled import MEASURES, pooled_aggregate
from plw.scores.table import planned_runs, select_runs

ROLE = "AlpacaDataShort"  # §6.1 repeats the training runs of this data set
NONE, PLW = "none", "plw"
ARMS = {  # in the order of Table 4; `none` is ours
    NONE: "None",
    "weight_decay": "Weight Decay",
    "minkowski": "Minkowski Metric",
    "dropout": "Dropout",
    "label_smoothing": "Label Smoothing",
    PLW: "PLW",
}
SETTING = ["ptlm", "arm", "strength", "plw"]


def arm_label(arm: str) -> str:
    """Name of an arm on figures and tables; a regularizer of one's own is named as in the study."""
    return ARMS.get(arm, arm)


def comparison_dataset(datasets: Sequence[dict]) -> dict | None:
    """The entry that stands for AlpacaDataShort, else the only entry, else None."""
    found = [entry for entry in datasets if entry.get("stands_for") == ROLE]
    return found[0] if found else datasets[0] if len(datasets) == 1 else None


def comparison_runs(path: str, experiments: Sequence[str], dataset: dict | None) -> pd.DataFrame:
    """The rows of a run table that belong to one of the experiments and to the data set; each run once."""
    runs = pd.concat([planned_runs(path, experiment) for experiment in experiments]).drop_duplicates("run")
    runs = runs[runs["dataset"] == (dataset or {}).get("name")]
    return runs.assign(plw=runs["plw"].astype(float), strength=runs["strength"].astype(float))


def compared_scores(scores: pd.DataFrame, dataset: dict | None, *, runs: pd.DataFrame | None) -> pd.DataFrame:
    """The scores of the runs that are compared.

    runs  from `comparison_runs`; None: every run on the data set, of which plain ones must have one normalization
    """
    scores = scores[scores["dataset"] == (dataset or {}).get("name")]
    if runs is not None:
        return select_runs(scores, runs=runs)
    return pd.concat([select_runs(scores), scores[scores["regularizer"] != NONE]], ignore_index=True)


def _arms(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `arm`, and strength 0 where there is no regularizer."""
    plain = frame["regularizer"] == NONE
    fractional = frame["plw"].between(0, 1, inclusive="neither")
    arm = frame["regularizer"].mask(plain & fractional, PLW)
    return frame.assign(arm=arm, strength=frame["strength"].astype(float).mask(plain, 0.0))


def comparison_data(frame: pd.DataFrame, benchmarks: Sequence[dict]) -> pd.DataFrame:
    """One row per run: its arm and its aggregates; Figure 8's CSV.

    frame  from `compared_scores`; benchmarks: registry entries, of which those of groups I and II are used
    """
    data = _arms(pooled_aggregate(frame, benchmarks))
    columns = ["run", "ptlm", "dataset", "arm", "regularizer", "strength", "plw", "w_p", "seed", *MEASURES]
    order = {arm: place for place, arm in enumerate(arms_of(data))}
    data = data.assign(place=data["arm"].map(order))
    data = data.sort_values(["place", "strength", "plw", "ptlm", "seed"], kind="stable").reset_index(drop=True)
    return data[[*columns, "benchmarks", "complete"]]


def arms_of(data: pd.DataFrame) -> list[str]:
    """ARMS and behind them, but before PLW, regularizers of one's own that the data have."""
    others = sorted(set(data["arm"]) - set(ARMS))
    return [*(arm for arm in ARMS if arm != PLW), *others, PLW]


def settings(data: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of MEASURES: one row for each setting whose runs have all benchmarks."""
    return data[data["complete"]].groupby(SETTING, sort=False)[list(MEASURES)].mean().reset_index()


def planned_settings(runs: pd.DataFrame | None, data: pd.DataFrame) -> pd.Series:
    """Number of settings of the design, by ptlm and arm; without a run table those that have a score."""
    frame = data if runs is None else pd.concat([_arms(runs)[SETTING], data[SETTING]])
    return frame.drop_duplicates(SETTING).groupby(["ptlm", "arm"]).size()


def setting_words(row: pd.Series) -> str:
    """A setting as tables show it."""
    plw = f"PLW {row['plw']:g}"
    return plw if row["arm"] in (NONE, PLW) else f"{row['strength']:g}, {plw}"


def best_settings(
    data: pd.DataFrame, *, ptlms: Sequence[dict], runs: pd.DataFrame | None, measures: Sequence[str]
) -> list[dict]:
    """For each ptlm and arm and measure the best setting and the mean over all settings; Table 4's own numbers.

    data      from `comparison_data`; ptlms: entries with name, label, stands_for; runs: from `comparison_runs`
    measures  some of MEASURES
    Returns rows with ptlm, ptlm_label, stands_for, arm, settings, settings_planned, and for each measure M the keys
    M (best value), M_strength, M_plw, M_won (words), M_mean, M_equal; None where the arm has no complete run. Of
    settings with equal values the first is named. The best of more settings is larger by chance alone; the mean is not,
    nor is M_equal, what `equal_budget` expects of as many settings as the ptlm's poorest arm has (`budget`).
    """
    found, planned = settings(data), planned_settings(runs, data)
    rows = []
    for entry in ptlms:
        budget = search_budget(found, entry["name"])
        for arm in arms_of(data):
            part = found[(found["ptlm"] == entry["name"]) & (found["arm"] == arm)].sort_values(["strength", "plw"])
            row = {
                "ptlm": entry["name"],
                "ptlm_label": entry.get("label", entry["name"]),
                "stands_for": entry.get("stands_for"),
                "arm": arm,
                "settings": len(part),
                "settings_planned": int(planned.get((entry["name"], arm), 0)),
            }
            row["budget"] = budget
            for measure in measures:
                row |= _best(part, measure) | {f"{measure}_equal": equal_budget(part[measure].dropna(), budget)}
            rows.append(row)
    return rows


def search_budget(found: pd.DataFrame, ptlm: str) -> int:
    """Number of settings of the ptlm's arm with the fewest; 0 without a setting. found: from `settings`."""
    sizes = found[found["ptlm"] == ptlm].groupby("arm").size()
    return int(sizes.min()) if len(sizes) else 0


def equal_budget(values: Sequence[float], budget: int) -> float | None:
    """Expected largest of `budget` of these values drawn without replacement; None where there are fewer.

    So that the best of eight PLWs can stand beside the best of two settings of a regularizer.
    """
    ordered = sorted(values)
    if not 0 < budget <= len(ordered):
        return None
    ways = comb(len(ordered), budget)
    return float(sum(comb(place, budget - 1) * value for place, value in enumerate(ordered)) / ways)


def _best(part: pd.DataFrame, measure: str) -> dict:
    keys = (measure, f"{measure}_strength", f"{measure}_plw", f"{measure}_won", f"{measure}_mean")
    part = part.dropna(subset=[measure])
    if part.empty:
        return dict.fromkeys(keys)
    best = part.loc[part[measure].idxmax()]
    values = (best[measure], best["strength"], best["plw"], setting_words(best), part[measure].mean())
    return dict(zip(keys, (value if isinstance(value, str) else float(value) for value in values), strict=True))

"""Scores of single benchmark items, for resampling: only of benchmarks whose score is the mean of its items' scores.

Corpus BLEU is none of them: it is computed over all sentences together.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from plw.errors import InputError
from plw.files import atomic_path, read_json

COLUMNS = ["run", "benchmark", "item", "score"]
CORPUS_METRICS = ("bleu", "chrf", "ter")  # as harness.CORPUS_METRICS, which would load the harness

# What an item of a judged benchmark adds to a metric that is a mean; None: not counted (an unreadable verdict).
JUDGED: dict[tuple[str, str], Callable[[dict], float | None]] = {
    # 1 reference, 2 candidate, 1.5 draw
    ("alpaca_eval", "win_rate"): lambda item: None if item["preference"] is None else item["preference"] - 1.0,
    ("pandalm", "win_rate"): lambda item: item["preference"],
    ("pandalm", "win_rate_first"): lambda item: item["first"],
    ("pandalm", "win_rate_second"): lambda item: item["second"],
}


def has_items(entry: dict) -> bool:
    """Whether the primary metric of a registry entry can be a mean over items."""
    if entry["framework"] == "harness":
        return entry["metric"] not in CORPUS_METRICS
    return (entry["framework"], entry["metric"]) in JUDGED


def _content(path: Path) -> dict:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError("A result cannot be read.", value=str(error), where=str(path)) from None


def harness_items(evaluations: Iterable[str | Path], benchmarks: Sequence[dict]) -> tuple[list[tuple], list[str]]:
    """Rows (run, benchmark, item, score) of runs/RUN/evaluation.json and the files beside it that it lists.

    Returns the rows and texts about files that are no longer there.
    """
    wanted = {e["name"]: e["metric"] for e in benchmarks if e["framework"] == "harness" and has_items(e)}
    rows, absent = [], []
    for path in map(Path, evaluations):
        run = path.parent.name
        for name, listed in _content(path)["benchmarks"].items():
            if name not in wanted:
                continue
            place = path.parent / listed["file"]
            if not place.exists():
                absent.append(f"{run} {name}: {place} is gone")
                continue
            items, metric = _content(place)["items"], wanted[name]
            if any(metric not in item for item in items):
                absent.append(f"{run} {name}: its items have no {metric}")
                continue
            rows += [(run, name, item["id"], float(item[metric])) for item in items]
    return rows, absent


def judged_items(judgements: Iterable[str | Path], benchmarks: Sequence[dict]) -> list[tuple]:
    """Rows (run, benchmark, item, score) of judgements/BENCHMARK/BATCH.json."""
    wanted = {e["name"]: JUDGED[e["framework"], e["metric"]]
              for e in benchmarks if (e["framework"], e["metric"]) in JUDGED}  # fmt: skip
    rows = []
    for path in map(Path, judgements):
        content = _content(path)
        score_of = wanted.get(content["benchmark"])
        if score_of is None:
            continue
        for run, entry in content["runs"].items():
            scores = [(item["id"], score_of(item)) for item in entry["items"]]
            rows += [(run, content["benchmark"], item, float(score)) for item, score in scores if score is not None]
    return rows


def item_table(rows: Iterable[tuple]) -> pd.DataFrame:
    """The rows as a frame of COLUMNS in a fixed order. InputError if an item stands twice."""
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"item": "int32", "score": float})
    frame = frame.sort_values(["benchmark", "run", "item"], kind="stable").reset_index(drop=True)
    twice = frame[frame.duplicated(["run", "benchmark", "item"])]
    if not twice.empty:
        value = [" ".join(map(str, row)) for row in twice[["run", "benchmark", "item"]].head(5).itertuples(index=False)]
        raise InputError(f"{len(twice)} items are given twice.", value=value)
    return frame.astype({"run": "category", "benchmark": "category"})


def write_items(path: str | Path, frame: pd.DataFrame) -> None:
    """Write the table as Parquet, atomically. Scores stay doubles, so that their means are the collected scores."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_items(path: str | Path) -> pd.DataFrame:
    """The table of `write_items`; InputError for anything else."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError("The table of item scores cannot be read.", value=str(error), where=str(path)) from None
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise InputError("The table of item scores lacks columns.", value=absent, where=str(path))
    return frame[COLUMNS].astype({"run": str, "benchmark": str})

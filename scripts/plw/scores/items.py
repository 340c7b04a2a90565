"""Scores of single benchmark items, for resampling.

Most benchmarks' scores are the mean of their items' scores. Corpus BLEU is computed over all sentences together: its
items have n-gram counts (bleu.COUNTS) instead of a score, from which the BLEU of any resample follows.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from plw.errors import InputError, reason
from plw.files import atomic_path, read_json
from plw.scores.bleu import COUNTS, sentence_counts

COLUMNS = ["run", "benchmark", "item", "score"]
CORPUS_METRICS = ("bleu", "chrf", "ter")  # as harness.CORPUS_METRICS, which would load the harness
# Benchmarks that ask about the same items in the same order (§4.4): the same questions, the same sentence pairs in both
# directions. A resample draws them together.
SHARED_ITEMS = (
    ("truthfulqa_mc2", "truthfulqa_gen"),
    ("wmt14_en_fr", "wmt14_fr_en"),
    ("wmt16_en_de", "wmt16_de_en"),
    ("wmt16_en_ro", "wmt16_ro_en"),
)

# What an item of a judged benchmark adds to a metric that is a mean; None: not counted (an unreadable verdict).
JUDGED: dict[tuple[str, str], Callable[[dict], float | None]] = {
    # 1 reference, 2 candidate, 1.5 draw
    ("alpaca_eval", "win_rate"): lambda item: None if item["preference"] is None else item["preference"] - 1.0,
    ("pandalm", "win_rate"): lambda item: item["preference"],
    ("pandalm", "win_rate_first"): lambda item: item["first"],
    ("pandalm", "win_rate_second"): lambda item: item["second"],
}


def has_items(entry: dict) -> bool:
    """Whether the primary metric of a registry entry follows from its items: as their mean, or as BLEU of counts."""
    if entry["framework"] == "harness":
        return entry["metric"] == "bleu" or entry["metric"] not in CORPUS_METRICS
    return (entry["framework"], entry["metric"]) in JUDGED


def shared_with(benchmark: str) -> str:
    """One name for all benchmarks that share this one's items."""
    return next((names[0] for names in SHARED_ITEMS if benchmark in names), benchmark)


def _content(path: Path) -> dict:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError("A result cannot be read.", value=reason(error), where=str(path)) from None


def harness_items(evaluations: Iterable[str | Path], benchmarks: Sequence[dict]) -> tuple[list[tuple], list[str]]:
    """Rows (run, benchmark, item, score) of runs/RUN/evaluation.json and the files beside it that it lists.

    Of BLEU: (run, benchmark, item, NaN, *bleu.COUNTS).

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
            if metric == "bleu":
                if all("output" in item and isinstance(item.get("target"), str) for item in items):
                    counts = sentence_counts([i["output"] for i in items], [i["target"] for i in items])
                    rows += [
                        (run, name, item["id"], float("nan"), *map(int, found))
                        for item, found in zip(items, counts, strict=True)
                    ]
                else:
                    absent.append(f"{run} {name}: its items have no output and target")
                continue
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
    """The rows as a frame of COLUMNS and bleu.COUNTS (-1: none) in a fixed order.

    InputError if an item stands twice.
    """
    none = (-1,) * len(COUNTS)
    filled = [(*row, *none) if len(row) == len(COLUMNS) else row for row in rows]
    frame = pd.DataFrame(filled, columns=[*COLUMNS, *COUNTS])
    frame = frame.astype({"item": "int32", "score": float, **dict.fromkeys(COUNTS, "int32")})
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
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError) as error:  # Arrow's are among these
        raise InputError("The table of item scores cannot be read.", value=str(error), where=str(path)) from None
    absent = [name for name in COLUMNS if name not in frame.columns]
    if absent:
        raise InputError("The table of item scores lacks columns.", value=absent, where=str(path))
    frame = frame.assign(**{name: -1 for name in COUNTS if name not in frame.columns})  # tables of before
    return frame[[*COLUMNS, *COUNTS]].astype({"run": str, "benchmark": str})

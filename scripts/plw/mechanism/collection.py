"""Gathering what shows how the prompt loss works: stability, weight distance, memorisation, lengths (§5.3)."""

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from plw.errors import InputError, reason
from plw.files import read_json
from plw.mechanism.stability import Stability, clipped_share, gradient_norms, loss_stability
from plw.study.runs import RUN_COLUMNS
from plw.training.loss_log import read_loss

# Measures of mechanism.csv; a run lacks the rows of what was not measured.
MEASURES = (
    "rsd",  # mean RSD of the training loss over windows as the study sets them
    "rsd_rolling",  # the same with overlapping windows,
    "rsd_without_warmup",  # and without the updates before the learning rate's maximum
    "rsd_completion",  # ours: of the completion's loss alone, windows as the study sets them
    "clipped_updates",  # ours: share of the updates whose gradient was clipped, 0 to 1
    "gradient_norm",  # ours: mean over the updates, before clipping
    "weight_distance",  # mean over tensors
    "weight_distance_per_element",
    "memorisation_bleu",  # 0 to 100
    "generation_tokens",  # means over the AlpacaEval prompts
    "generation_characters",
)
COLUMNS = [*RUN_COLUMNS, "measure", "value", "n"]
WINDOW_COLUMNS = ["run", "window", "first_step", "last_step", "rsd"]
LENGTHS_BENCHMARK = "alpaca_eval"

Values = Iterator[tuple[str, float, int]]  # measure, value, number of things that the value is a mean of


def collect_mechanism(
    runs: pd.DataFrame,
    *,
    mechanisms: Iterable[Path] = (),
    losses: Iterable[Path] = (),
    evaluations: Iterable[Path] = (),
    settings: dict | None = None,
    max_grad_norm: float = 0.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All measures of all runs (COLUMNS), and the RSD of each window of losses (WINDOW_COLUMNS).

    runs         the run table
    mechanisms   runs/RUN/mechanism.json;  losses  runs/RUN/loss.csv;  evaluations  runs/RUN/evaluation.json
                 The folder names the run.
    settings     of `stability.loss_stability`
    max_grad_norm  what the runs' gradients were clipped at; 0: not clipped, so there is no share of clipped updates
    Rows stand in the order of the run table, then of MEASURES. Raises InputError for a run that is not in the
    table, a file that is given twice or cannot be read, and settings that are unknown.
    """
    found: dict[str, dict[str, tuple[float, int]]] = {run: {} for run in runs["run"]}
    windows: dict[str, pd.DataFrame] = {}
    for run, path in _by_run(mechanisms, found):
        found[run] |= {name: (value, n) for name, value, n in _measured(_json(path), path)}
    for run, path in _by_run(losses, found):
        rows = _losses(path)
        found[run] |= {name: (value, n) for name, value, n in _stability(rows, settings or {})}
        found[run] |= {name: (value, n) for name, value, n in _gradients(rows, max_grad_norm)}
        windows[run] = _window_rows(run, loss_stability(rows, settings=settings))
    for run, path in _by_run(evaluations, found):
        found[run] |= {name: (value, n) for name, value, n in _lengths(_json(path))}
    records = [
        {name: row[name] for name in RUN_COLUMNS} | {"measure": name, "value": value, "n": n}
        for row in runs.to_dict("records")
        for name in MEASURES
        if name in found[row["run"]]
        for value, n in [found[row["run"]][name]]
    ]
    in_order = [windows[run] for run in runs["run"] if run in windows and len(windows[run])]
    table = pd.concat(in_order, ignore_index=True) if in_order else pd.DataFrame(columns=WINDOW_COLUMNS)
    return pd.DataFrame(records, columns=COLUMNS), table


def _by_run(paths: Iterable[Path], known: dict) -> list[tuple[str, Path]]:
    """Pairs (run, path); the folder that holds a file names its run."""
    pairs: dict[str, Path] = {}
    for path in map(Path, paths):
        run = path.parent.name
        if run not in known:
            raise InputError("A result of a run that is not in the run table.", value=run, where=str(path))
        if run in pairs:
            raise InputError("Two files of the same run.", value=run, where=f"{pairs[run]} and {path}")
        pairs[run] = path
    return list(pairs.items())


def _json(path: Path) -> dict:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        hint = "Delete it and make it again."
        raise InputError("A result cannot be read.", value=reason(error), where=str(path), hint=hint) from None


def _losses(path: Path) -> list[dict]:
    try:
        return read_loss(path)
    except (OSError, ValueError) as error:
        hint = "Delete the run's loss.csv and train it again."
        raise InputError("A loss log cannot be read.", value=str(error), where=str(path), hint=hint) from None


def _measured(content: dict, path: Path) -> Values:
    """Rows of mechanism.json."""
    if content.get("run") != path.parent.name:
        raise InputError("A file of another run lies in this run's folder.", value=content.get("run"), where=str(path))
    distance, memorised = content.get("weight_distance"), content.get("memorisation")
    if distance:
        yield "weight_distance", distance["mean_over_tensors"], distance["tensors"]
        yield "weight_distance_per_element", distance["mean_over_elements"], distance["elements"]
    if memorised:
        yield "memorisation_bleu", memorised["bleu"], memorised["prompts"]


def _stability(rows: list[dict], settings: dict) -> Values:
    """Mean RSD by the study's settings, by the two other readings of 'five-step windows', and of the completion."""
    readings = {
        "rsd": (settings, "loss"),
        "rsd_rolling": (settings | {"windows": "rolling"}, "loss"),
        "rsd_without_warmup": (settings | {"skip_warmup": True}, "loss"),
        "rsd_completion": (settings, "completion_loss"),
    }
    for name, (chosen, column) in readings.items():
        stability = loss_stability(rows, settings=chosen, column=column)
        if stability is not None:
            yield name, stability.mean, stability.count


def _gradients(rows: list[dict], max_grad_norm: float) -> Values:
    """How large the updates' gradients were, and how many of them were clipped."""
    norms = gradient_norms(rows)
    if norms and max_grad_norm > 0:
        yield "clipped_updates", clipped_share(norms, limit=max_grad_norm), len(norms)
    if norms:
        yield "gradient_norm", statistics.fmean(norms), len(norms)


def _lengths(content: dict) -> Values:
    """Mean lengths of the answers to AlpacaEval's instructions, from evaluation.json."""
    summary = content["benchmarks"].get(LENGTHS_BENCHMARK, {}).get("summary")
    if summary and summary["n"]:
        yield "generation_tokens", summary["mean_tokens"], summary["n"]
        yield "generation_characters", summary["mean_characters"], summary["n"]


def _window_rows(run: str, stability: Stability | None) -> pd.DataFrame:
    windows = stability.windows if stability else ()
    rows = [
        {"run": run, "window": number, "first_step": w.first_step, "last_step": w.last_step, "rsd": w.rsd}
        for number, w in enumerate(windows, start=1)
    ]
    return pd.DataFrame(rows, columns=WINDOW_COLUMNS)

"""Bootstrap over the benchmarks' items, the same for all runs: how much rests on these questions (§5.2, §5.3.1)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plw.scores.bleu import COUNTS, corpus_bleu
from plw.scores.items import shared_with
from plw.scores.transform import from_w_p, to_w_p
from plw.statistics.runs import Runs, parabola, relative_aggregate

SAME_SCORE = 1e-6  # items whose mean is further from the collected score belong to other results
SHARE_INSIDE = 0.5  # of the draws, below which an interval of λ given a maximum inside says more than is known


def item_matrices(runs: Runs, items: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Item scores of each benchmark as runs × items (NaN: not scored), and why the other benchmarks have none.

    Of corpus BLEU the sentences' counts, runs × items × bleu.COUNTS; every run must have every sentence.
    """
    found, fixed = {}, {}
    wanted = runs.table["run"].tolist()
    for place, benchmark in enumerate(runs.benchmarks):
        part = items[(items["benchmark"] == benchmark) & items["run"].isin(wanted)]
        if part.size and COUNTS[0] in part and (part[COUNTS[0]] >= 0).all():
            counts = np.stack([
                part.pivot(index="run", columns="item", values=name).reindex(wanted).to_numpy(float) for name in COUNTS
            ], axis=-1)  # fmt: skip
            if np.isnan(counts).any():
                fixed[benchmark] = "some runs lack sentences"
            elif np.abs(corpus_bleu(counts.sum(axis=1)) - runs.scores[:, place]).max() > SAME_SCORE:
                fixed[benchmark] = "the sentences' counts do not give the scores"
            else:
                found[benchmark] = counts
            continue
        wide = part.pivot(index="run", columns="item", values="score").reindex(wanted).to_numpy(float)
        if not part.size:
            fixed[benchmark] = "no item scores"
        elif np.isnan(wide).all(axis=1).any():
            fixed[benchmark] = f"no item scores of {int(np.isnan(wide).all(axis=1).sum())} runs"
        elif np.abs(np.nanmean(wide, axis=1) - runs.scores[:, place]).max() > SAME_SCORE:
            fixed[benchmark] = "the items' means are not the scores"
        else:
            found[benchmark] = wide
    return found, fixed


def resampled_aggregates(runs: Runs, matrices: dict[str, np.ndarray], *, draws: int, seed: int) -> np.ndarray:
    """Relative aggregates (draws × runs) with the items of each benchmark in `matrices` drawn anew.

    Each draw takes the same items for all runs, and for benchmarks that share their items (items.SHARED_ITEMS); BLEU is
    computed from the drawn sentences' counts; benchmarks without items keep their scores. A draw that leaves a run
    without any scored item of a benchmark is NaN.
    """
    rng = np.random.default_rng(seed)
    shared: dict[tuple[str, int], np.ndarray] = {}
    scores = np.broadcast_to(runs.scores, (draws, *runs.scores.shape)).copy()
    for place, benchmark in enumerate(runs.benchmarks):
        if benchmark not in matrices:
            continue
        matrix = matrices[benchmark]
        count = matrix.shape[1]
        drawn = (shared_with(benchmark), count)  # of different length they are not the same items
        if drawn not in shared:
            shared[drawn] = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)
        times = shared[drawn]
        if matrix.ndim == 3:
            scores[:, :, place] = corpus_bleu(np.einsum("di,ric->drc", times, matrix, optimize=True))
            continue
        with np.errstate(invalid="ignore"):
            scores[:, :, place] = (times @ np.nan_to_num(matrix).T) / (times @ (~np.isnan(matrix)).T.astype(float))
    return relative_aggregate(scores)


def _interval(values: np.ndarray, alpha: float) -> dict[str, float | None]:
    if not len(values):
        return {"low": None, "median": None, "high": None}
    low, median, high = np.quantile(values, [alpha / 2, 0.5, 1 - alpha / 2])
    return {"low": float(low), "median": float(median), "high": float(high)}


def _as_plw(interval: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if w_p is None else from_w_p(w_p) for name, w_p in interval.items()}


def critical_plw_bootstrap(runs: Runs, aggregates: np.ndarray, *, alpha: float) -> dict:
    """How the parabola of the relative aggregate moves with the items that happen to be in the benchmarks.

    aggregates  draws × runs, from `resampled_aggregates`
    Returns for `plw` the estimate and the middle 1 − alpha of those draws that have a maximum inside (0, 1), with
    their share (no interval, and a note, where that is less than SHARE_INSIDE: it would be that of a minority); for
    `best_plw` the same of all draws, a border of [0, 1] where there is no maximum inside.
    """
    usable = aggregates[np.isfinite(aggregates).all(axis=1)]
    drawn, real = parabola(runs, usable), parabola(runs, relative_aggregate(runs.scores)[None, :])
    inside = drawn["inside"]
    share = float(inside.mean()) if len(inside) else None
    most = share is not None and share >= SHARE_INSIDE
    note = None if most else "no interval: fewer than half of the resamples have a maximum inside (0, 1)"
    return {
        "n": len(usable),
        "unusable": len(aggregates) - len(usable),
        "plw": {
            "estimate": from_w_p(float(real["vertex_w_p"][0])) if real["inside"][0] else None,
            **_as_plw(_interval(drawn["vertex_w_p"][inside] if most else np.empty(0), alpha)),
            "share_inside": share,
            "note": note,
        },
        "best_plw": {
            "estimate": from_w_p(float(real["best_w_p"][0])),
            **_as_plw(_interval(drawn["best_w_p"], alpha)),
        },
        "share_downward": float((drawn["b2"] < 0).mean()) if len(inside) else None,
    }


def paired_difference(runs: Runs, aggregates: np.ndarray, plws: Sequence[float], *, alpha: float) -> dict:
    """Relative aggregate at one PLW less that at another, per ptlm, over resampled items (claim of §5.3.1).

    aggregates  draws × runs; plws: the two, the first less the second; seeds are averaged
    Returns {plws, ptlms: {name: {estimate, low, median, high, share_above_zero}}, reason}.
    """
    usable = aggregates[np.isfinite(aggregates).all(axis=1)]
    real = relative_aggregate(runs.scores)
    found, absent = {}, []
    w_p = runs.table["w_p"].to_numpy()
    for ptlm in runs.table["ptlm"].unique():
        places = [((runs.table["ptlm"] == ptlm) & np.isclose(w_p, to_w_p(plw), atol=1e-9)).to_numpy() for plw in plws]
        if not all(place.any() for place in places):
            absent.append(ptlm)
            continue
        drawn = usable[:, places[0]].mean(axis=1) - usable[:, places[1]].mean(axis=1)
        found[ptlm] = {
            "estimate": float(real[places[0]].mean() - real[places[1]].mean()),
            **_interval(drawn, alpha),
            "share_above_zero": float((drawn > 0).mean()) if len(drawn) else None,
        }
    reason = f"no complete runs at both PLWs: {', '.join(absent)}" if absent else None
    return {"plws": list(plws), "ptlms": found, "reason": reason}

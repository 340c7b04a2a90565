"""Score tables and data of the paper's design, simulated for tests; no test lives here."""

import itertools

import numpy as np
import pandas as pd
from plw.scores.transform import to_w_p

PLWS = (0.0, 0.0005, 0.002236, 0.01, 0.02463, 0.05, 0.1, 0.2463, 0.5, 1.0)  # §4.1
TABLE_3_SHORT = {"intercept": -1.043, "w_p": 5.590, "w_p2": -4.284}  # AlpacaDataShort


def score_table(
    *,
    seed: int = 1,
    datasets=("plain", "short"),
    ptlms=("weak", "strong"),
    plws=PLWS,
    benchmarks=13,
    noise=0.02,
) -> pd.DataFrame:
    """A tidy score table with one metric (`acc`); `short` bends with w_p, other data sets do not."""
    rng = np.random.default_rng(seed)
    rows = []
    for dataset in datasets:
        for place, ptlm in enumerate(ptlms):
            for plw in plws:
                for index in range(benchmarks):
                    w = to_w_p(plw)
                    bend = 0.15 * (w - 0.75 * w * w) if dataset == "short" else 0.0
                    score = 0.3 + 0.02 * index + 0.02 * place + bend + rng.normal(0, noise)
                    rows.append(
                        {
                            "run": f"{ptlm}-{dataset}-plw{plw:g}-nonzero_count-none-s42",
                            "ptlm": ptlm,
                            "dataset": dataset,
                            "plw": plw,
                            "normalization": "nonzero_count",
                            "regularizer": "none",
                            "strength": 0.0,
                            "seed": 42,
                            "benchmark": f"b{index}",
                            "metric": "acc",
                            "score": float(np.clip(score, 0.0, 1.0)),
                            "stderr": 0.01,
                            "n": 200,
                        }
                    )
    return pd.DataFrame(rows)


def beta_data(
    *,
    seed: int,
    coefficients: dict,
    slopes: tuple[float, float] = (2.0, 2.0),
    correlation: float = 0.0,
    ptlm_sd: float = 0.5,
    precision: float = 20.0,
    benchmarks: int = 13,
    ptlms: int = 2,
) -> pd.DataFrame:
    """Data drawn from the paper's model itself: score, w_p, benchmark, ptlm, seed.

    slopes, correlation  SDs of the random slopes of w_p and w_p² over benchmarks, and their correlation
    ptlm_sd              SD of the random intercept; precision: phi of the beta distribution
    """
    rng = np.random.default_rng(seed)
    w = np.array([to_w_p(plw) for plw in PLWS])
    covariance = correlation * slopes[0] * slopes[1]
    by_benchmark = rng.multivariate_normal(
        [0, 0], [[slopes[0] ** 2, covariance], [covariance, slopes[1] ** 2]], size=benchmarks
    )
    by_ptlm = rng.normal(0, ptlm_sd, size=ptlms)
    b, m, k = np.meshgrid(np.arange(benchmarks), np.arange(ptlms), np.arange(len(w)), indexing="ij")
    b, m, w = b.ravel(), m.ravel(), w[k.ravel()]
    linear = coefficients["intercept"] + coefficients["w_p"] * w + coefficients["w_p2"] * w**2
    linear += by_benchmark[b, 0] * w + by_benchmark[b, 1] * w**2 + by_ptlm[m]
    mean = 1 / (1 + np.exp(-linear))
    score = np.clip(rng.beta(mean * precision, (1 - mean) * precision), 1e-9, 1 - 1e-9)
    return pd.DataFrame(
        {
            "score": score,
            "w_p": w,
            "benchmark": [f"b{i}" for i in b],
            "ptlm": [f"m{i}" for i in m],
            "seed": "42",
        }
    )


def supplemental_scores(
    *,
    seed: int = 3,
    ptlms=("weak", "strong"),
    plws=PLWS,
    strengths=(0.01, 0.1, 1.0),
    datasets=("ultra", "dolly", "ultra_short", "dolly_short"),
    benchmarks=7,
) -> pd.DataFrame:
    """Tidy scores of the experiments main (`short` only), regularizers and datasets, and a column `experiments`.

    The first four benchmarks are meant as group I, the others as group II. Regularizers do little.
    """
    parts = [
        score_table(seed=seed, datasets=("short",), ptlms=ptlms, plws=plws, benchmarks=benchmarks).assign(
            experiments="main"
        ),
        score_table(seed=seed + 1, datasets=datasets, ptlms=ptlms, plws=plws, benchmarks=benchmarks).assign(
            experiments="datasets"
        ),
    ]
    rng = np.random.default_rng(seed)
    ends = parts[0][parts[0]["plw"].isin((0.0, 1.0))]
    for regularizer in ("weight_decay", "minkowski", "dropout", "label_smoothing"):
        for strength in strengths:
            name = f"{regularizer}{strength:g}"
            parts.append(
                ends.assign(
                    run=ends["run"].str.replace("none", name),
                    regularizer=regularizer,
                    strength=strength,
                    score=(ends["score"] + rng.normal(0.005, 0.01, len(ends))).clip(0, 1),
                    experiments="regularizers",
                )
            )
    return pd.concat(parts, ignore_index=True)


def sweep_scores(
    *,
    seed: int,
    coefficients: dict | None,
    noise: float = 0.1,
    optimum_sd: float = 0.0,
    shared: float = 0.0,
    ptlm_sd: float = 0.1,
    benchmarks: int = 13,
    ptlms: int = 2,
    smooth: float = 0.0,
    seeds: int = 1,
) -> pd.DataFrame:
    """Primary scores of one data set's whole sweep, before any min-max scaling, around a known curve.

    coefficients  intercept, w_p, w_p2 on the logit scale of the curve that all benchmarks follow, each at its own level
                  and scale; None: no effect
    noise         SD of a run's score on a benchmark in units of the curve, which spans 0.425 for TABLE_3_SHORT
    optimum_sd    SD over benchmarks of a shift of the curve along w_p; shared: share of the noise's variance that all
                  benchmarks of a run have in common; ptlm_sd: SD of a ptlm's level on a benchmark
    smooth        correlation of luck between neighbouring PLWs of a ptlm and seed (AR(1) along the PLWs)
    seeds         seeds of each cell, from 42 on
    """
    rng = np.random.default_rng(seed)
    level, gain = rng.uniform(0.2, 0.5, size=benchmarks), rng.uniform(0.1, 0.25, size=benchmarks)
    shift = rng.normal(0, optimum_sd, size=benchmarks)
    by_ptlm = rng.normal(0, ptlm_sd, size=(ptlms, benchmarks))
    rows = []
    for seed, ptlm in itertools.product(range(42, 42 + seeds), range(ptlms)):
        luck = np.zeros(benchmarks)
        for place, plw in enumerate(PLWS):
            w = to_w_p(plw) - shift
            curve = np.zeros(benchmarks)
            if coefficients:
                linear = coefficients["intercept"] + coefficients["w_p"] * w + coefficients["w_p2"] * w**2
                curve = 1 / (1 + np.exp(-linear))
            fresh = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=benchmarks)
            luck = smooth * luck + np.sqrt(1 - smooth**2) * fresh if place else fresh
            scores = np.clip(level + gain * (curve + by_ptlm[ptlm] + noise * luck), 0, 1)
            run = {"run": f"m{ptlm}-short-plw{plw:g}-s{seed}", "ptlm": f"m{ptlm}", "dataset": "short", "plw": plw,
                   "normalization": "nonzero_count", "regularizer": "none", "strength": 0.0, "seed": seed}  # fmt: skip
            rows += [{**run, "benchmark": f"b{i}", "metric": "acc", "score": score} for i, score in enumerate(scores)]
    return pd.DataFrame(rows)


def item_scores(
    *,
    seed: int,
    peak: float | None,
    height: float = 0.64,
    luck_sd: float = 0.3,
    smooth: float = 0.55,
    shared: float = 0.0,
    slope_sd: float = 0.3,
    seeds: int = 1,
    benchmarks: int = 13,
    ptlms: int = 2,
) -> pd.DataFrame:
    """Primary scores as shares of right answers, drawn from a logit model whose mean curve is known.

    peak, height  place in w_p of the parabola's maximum and how far it rises over w_p = 0, in logits; None: flat
    luck_sd       SD in logits of a run's luck on a benchmark, correlated along the PLWs by `smooth` (AR(1)); `shared`
                  is the share of its variance that all benchmarks of a run have in common
    slope_sd      SD over benchmarks of the two slopes by which a benchmark departs from the mean curve
    """
    rng = np.random.default_rng(seed)
    w = np.array([to_w_p(plw) for plw in PLWS])
    curve = np.zeros(len(w)) if peak is None else -height / max(peak, 1 - peak) ** 2 * (w - peak) ** 2
    items = rng.choice([24, 32, 40, 64], size=benchmarks)
    own = np.outer(rng.normal(0, slope_sd, benchmarks), w - 0.5)
    own += np.outer(rng.normal(0, slope_sd, benchmarks), (w - 0.5) ** 2)

    def luck(*shape: int) -> np.ndarray:
        fresh = rng.normal(size=(*shape, len(w)))
        for place in range(1, len(w)):
            fresh[..., place] = smooth * fresh[..., place - 1] + np.sqrt(1 - smooth**2) * fresh[..., place]
        return fresh

    rows = []
    for ptlm in range(ptlms):
        level = rng.normal(0, 1, benchmarks)
        for number in range(42, 42 + seeds):
            noise = luck_sd * (np.sqrt(shared) * luck(1) + np.sqrt(1 - shared) * luck(benchmarks))
            chance = 1 / (1 + np.exp(-(level[:, None] + own + curve + noise)))
            right = rng.binomial(items[:, None], chance)
            for index, place in itertools.product(range(benchmarks), range(len(w))):
                n, score = int(items[index]), right[index, place] / items[index]
                run = {"run": f"m{ptlm}-short-plw{PLWS[place]:g}-s{number}", "ptlm": f"m{ptlm}", "dataset": "short",
                       "plw": PLWS[place], "normalization": "nonzero_count", "regularizer": "none", "strength": 0.0,
                       "seed": number}  # fmt: skip
                error = float(np.sqrt(score * (1 - score) / (n - 1)))
                rows.append({**run, "benchmark": f"b{index}", "metric": "acc", "score": score, "stderr": error, "n": n})
    return pd.DataFrame(rows)

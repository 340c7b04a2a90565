"""How well the paper's regression (§5.2) is calibrated: coverage of intervals, error rates of tests, error of λ.

The parts: `coverage`: data drawn from the mixed model itself, with the coefficients of Table 3's AlpacaDataShort row.
`critical`: whole sweeps around that row's curve, min-max scaled and fitted as a study's scores are: how often the
critical PLW λ comes out within 0.05 of the true one. `null`: sweeps without any effect of w_p, for four tests side by
side. A hundred seeds of `critical` and `null` take about half an hour on one core. `luck`: sweeps without an effect
whose luck is smooth along w_p, as that of runs with one seed is, for the tests that fit no mixed model (minutes).
`items`: the item-level model on data whose mean curve is known (about a second for a fit).

    python benchmarks/bench_regression_calibration.py --parts luck --seeds 1000
    python benchmarks/bench_regression_calibration.py --parts critical null --seeds 100 --out calibration.json
"""

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from plw.claims.measures import parabola as claims_parabola  # noqa: E402
from plw.files import write_json  # noqa: E402
from plw.scores.transform import from_w_p  # noqa: E402
from plw.statistics.checks import permutation_test  # noqa: E402
from plw.statistics.item_model import fit_item_model  # noqa: E402
from plw.statistics.r_calls import call_r  # noqa: E402
from plw.statistics.regression import regression_rows  # noqa: E402
from plw.statistics.runs import complete_runs, parabola, relative_aggregate  # noqa: E402
from plw.statistics.seeds import seed_test  # noqa: E402
from simulated_scores import TABLE_3_SHORT, beta_data, item_scores, sweep_scores  # noqa: E402

NO_EFFECT = {"intercept": -0.2, "w_p": 0.0, "w_p2": 0.0}
VERTEX = -TABLE_3_SHORT["w_p"] / (2 * TABLE_3_SHORT["w_p2"])
WITHIN = 0.05  # of the critical PLW, on the scale of PLW
DESIGNS = {
    "well identified": {},
    "nearly singular": {"slopes": (1.0, 1.0), "correlation": -0.8, "ptlm_sd": 0.3, "precision": 6.0},
    "eight ptlms": {"ptlms": 8},
}
# Noise in units of the curve, which spans 0.425. After min-max scaling 0.1 leaves a residual SD of about 0.15 within a
# benchmark, which is what the demo's benchmarks have about their own parabolas.
SWEEPS = {
    "noise 0.05": {"noise": 0.05},
    "noise 0.1, as in the demo": {"noise": 0.1},
    "noise 0.1, optima differ between benchmarks by SD 0.1": {"noise": 0.1, "optimum_sd": 0.1},
    "noise 0.1, optima differ between benchmarks by SD 0.2": {"noise": 0.1, "optimum_sd": 0.2},
}


def model_without_effect(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The paper's model with mean slopes of zero: each benchmark bends in its own way."""
    rows = beta_data(seed=seed, coefficients=NO_EFFECT)
    frame = rows.assign(run=rows["ptlm"] + "-" + rows["w_p"].map(repr), plw=rows["w_p"].map(from_w_p), dataset="d",
                        normalization="n", regularizer="none", strength=0.0)  # fmt: skip
    return rows, frame


def sweep_without_effect(shared: float) -> Callable[[int], tuple[pd.DataFrame, pd.DataFrame]]:
    """Sweeps in which no benchmark depends on w_p."""

    def simulate(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        frame = sweep_scores(seed=seed, coefficients=None, shared=shared)
        return regression_rows(frame), frame

    return simulate


NULLS = {
    "no benchmark depends on w_p": (sweep_without_effect(0.0), "smithson_verkuilen"),
    "the same, a third of a run's luck shared by its benchmarks": (sweep_without_effect(1 / 3), "smithson_verkuilen"),
    "benchmarks bend, on average not (the model's own random slopes)": (model_without_effect, "none"),
}

# Correlation of neighbouring PLWs' luck. The demo's seeds differ from each other like 0.55 (lag-1 of what is left of a
# curve of ten runs: +0.24 to +0.28).
LUCK = {
    f"AR(1) along w_p, ρ = {smooth:g}{words}": {"smooth": smooth, "shared": shared}
    for shared, words in ((0.0, ""), (1 / 3, ", a third shared by the benchmarks of a run"))
    for smooth in (0.0, 0.3, 0.55)
}

# Truths of the item-level model: 13 benchmarks of 24 to 64 items, 2 ptlms, 10 PLWs, luck of SD 0.3 logits, ρ = 0.55.
PEAK = 0.652  # Table 3's vertex in w_p
ITEM_SWEEPS: dict[str, dict] = {
    "flat, one seed": {"peak": None},
    "flat, one seed, luck independent along w_p": {"peak": None, "smooth": 0.0},
    "flat, one seed, a third of the luck shared by a run's benchmarks": {"peak": None, "shared": 1 / 3},
    "flat, three seeds, a third shared": {"peak": None, "shared": 1 / 3, "seeds": 3},
    "peak of 0.64 logits, one seed": {"peak": PEAK},
    "peak of 0.64 logits, three seeds, a third shared": {"peak": PEAK, "shared": 1 / 3, "seeds": 3},
}


def share(hits: list[bool]) -> dict:
    """Share of hits with its standard error."""
    rate = sum(hits) / len(hits) if hits else math.nan
    return {
        "rate": round(rate, 4),
        "se": round(math.sqrt(rate * (1 - rate) / max(len(hits), 1)), 4),
        "n": len(hits),
    }


def measure_coverage(design: dict, seeds: int) -> dict:
    """Coverage of the model's intervals where Table 3's coefficients are true."""
    truth = {**TABLE_3_SHORT, "vertex": VERTEX}
    covered: dict[str, list[bool]] = {name: [] for name in truth}
    converged: dict[str, list[bool]] = {"default optimiser": [], "any optimiser": []}
    for seed in range(seeds):
        fit = call_r("fit_model", beta_data(seed=seed, coefficients=TABLE_3_SHORT, **design))
        found = {**fit["coefficients"], "vertex": fit["critical"]["vertex"]}
        for name, value in truth.items():
            if found[name]["ci_low"] is not None:
                covered[name].append(found[name]["ci_low"] < value < found[name]["ci_high"])
        converged["default optimiser"].append(fit["default_optimizer_converged"])
        converged["any optimiser"].append(fit["converged"])
    return {
        "coverage of 95 % intervals": {name: share(hits) for name, hits in covered.items()},
        "converged": {name: share(hits) for name, hits in converged.items()},
    }


def measure_critical(sweep: dict, seeds: int, *, mixed_model: bool = True) -> dict:
    """How often λ is within WITHIN of the truth: of the mixed model, and of the aggregates' least squares parabola."""
    truth = from_w_p(VERTEX)
    found: dict[str, list[float | None]] = {"parabola of the aggregates": []}
    flags: dict[str, list[bool]] = {}
    for seed in range(seeds):
        frame = sweep_scores(seed=seed, coefficients=TABLE_3_SHORT, **sweep)
        if mixed_model:
            fit = call_r("fit_model", regression_rows(frame), squeeze="smithson_verkuilen")
            found.setdefault("mixed model", []).append(fit["critical"]["plw"])
            flags.setdefault("converged", []).append(fit["converged"])
            interval = [fit["critical"][name] for name in ("plw_ci_low", "plw_ci_high")]
            if None not in interval:
                flags.setdefault("interval covers", []).append(interval[0] <= truth <= interval[1])
        runs = complete_runs(frame)
        line = parabola(runs, relative_aggregate(runs.scores)[None, :])
        inside = bool(line["inside"][0])
        found["parabola of the aggregates"].append(from_w_p(float(line["vertex_w_p"][0])) if inside else None)
    result = {"true λ": round(truth, 4), **{name: share(hits) for name, hits in flags.items()}}
    for name, values in found.items():
        there = pd.Series([value for value in values if value is not None], dtype=float)
        hits = [value is not None and abs(value - truth) <= WITHIN for value in values]
        quantiles = {f"{q:g}": round(float(there.quantile(q)), 3) for q in (0.05, 0.5, 0.95)}
        result[name] = {f"within ±{WITHIN}": share(hits), "quantiles of λ": quantiles, "no λ": len(values) - len(there)}
    return result


def measure_null(simulate: Callable, squeeze: str, seeds: int) -> dict:
    """Rejections at 5 % of four tests on the same data, where nothing is to be found."""
    rejected: dict[str, list[bool]] = {}
    converged = []
    for seed in range(seeds):
        rows, frame = simulate(100_000 + seed)
        fit = call_r("fit_model", rows, squeeze=squeeze)
        test = fit["test"]
        values = {
            "Wald χ² (the paper's)": test["wald"]["p"],
            "Wald as F(2, benchmarks − 1)": test["wald"]["p_f"],
            "likelihood ratio": test["likelihood_ratio"]["p"],
            "permutation": permutation_test(complete_runs(frame), permutations=999, seed=seed)["p"],
        }
        converged.append(fit["converged"])
        for name, p in values.items():
            if p is not None:
                rejected.setdefault(name, []).append(p < 0.05)
                if fit["converged"]:
                    rejected.setdefault(f"{name}, converged fits", []).append(p < 0.05)
    return {name: share(hits) for name, hits in rejected.items()} | {"converged": share(converged)}


def measure_luck(luck: dict, seeds: int) -> dict:
    """Rejections at 5 % of sweeps without an effect: by permutation, by the parabola's F, and over seeds."""
    rejected: dict[str, list[bool]] = {}
    for seed in range(seeds):
        frames = {
            count: sweep_scores(seed=200_000 + seed, coefficients=None, seeds=count, **luck) for count in (1, 2, 3)
        }
        runs = {count: complete_runs(frame) for count, frame in frames.items()}
        one = runs[1].table.assign(value=relative_aggregate(runs[1].scores)).groupby("plw")["value"].mean()
        values = {
            "permutation, one seed": permutation_test(runs[1], permutations=199, seed=seed)["p"],
            "F test of the parabola, one seed": claims_parabola(one.index.tolist(), one.to_numpy()).p,
        }
        for count in (2, 3):
            found = seed_test(runs[count])
            values[f"PLW against PLW × seed, {count} seeds"] = found["p"]
            if found["p_hotelling"] is not None:
                values[f"the same by Hotelling's T², {count} seeds"] = found["p_hotelling"]
        for name, p in values.items():
            rejected.setdefault(name, []).append(p <= 0.05)
    return {name: share(hits) for name, hits in rejected.items()}


def measure_items(sweep: dict, seeds: int) -> dict:
    """Rejections of a flat mean curve at 5 %; how often the set of places not refuted holds the maximum."""
    found: dict[str, list[bool]] = {"rejected": [], "converged": []}
    inside, width = [], []
    for seed in range(seeds):
        fit = fit_item_model(item_scores(seed=300_000 + seed, **sweep))
        found["converged"].append(fit["converged"])
        if not fit.get("test"):
            continue
        spans = fit["optimum"]["set"]
        found["rejected"].append(fit["test"]["p"] < 0.05)
        if sweep["peak"] is not None:
            hit = any(span["low"] - 0.005 <= sweep["peak"] <= span["high"] + 0.005 for span in spans)
            found.setdefault("set holds the maximum", []).append(hit)
        inside.append(fit["optimum"]["inside"])
        width.append(sum(span["high"] - span["low"] for span in spans))
    means = {"mean probability of a maximum inside": inside, "mean width of the set in w_p": width}
    return {name: share(hits) for name, hits in found.items()} | {
        name: round(float(pd.Series(values).mean()), 3) for name, values in means.items()
    }


def main(argv: list[str] | None = None) -> None:
    """Print the rates of each design and write them as JSON."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--parts", nargs="+", choices=("coverage", "critical", "null", "luck", "items"), default=["critical", "null"]
    )
    flags.add_argument("--seeds", type=int, default=100, help="data sets per design")
    flags.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS), help="designs of `coverage`")
    flags.add_argument("--parabola-only", action="store_true", help="`critical` without the mixed model: seconds")
    flags.add_argument("--out", type=Path, help="also written as JSON")
    arguments = flags.parse_args(argv)
    warnings.simplefilter("ignore", UserWarning)
    found: dict[str, dict] = {}

    def note(part: str, name: str, measured: dict, started: float) -> None:
        found.setdefault(part, {})[name] = measured | {"seconds": round(time.perf_counter() - started)}
        print(f"{part}, {name}:", json.dumps(found[part][name], indent=2, ensure_ascii=False), flush=True)
        if arguments.out:
            write_json(arguments.out, {"seeds": arguments.seeds, **found})

    if "null" in arguments.parts:
        for name, (simulate, squeeze) in NULLS.items():
            started = time.perf_counter()
            note("null", name, measure_null(simulate, squeeze, arguments.seeds), started)
    if "luck" in arguments.parts:
        for name, luck in LUCK.items():
            started = time.perf_counter()
            note("luck", name, measure_luck(luck, arguments.seeds), started)
    if "items" in arguments.parts:
        for name, sweep in ITEM_SWEEPS.items():
            started = time.perf_counter()
            note("items", name, measure_items(sweep, arguments.seeds), started)
    if "critical" in arguments.parts:
        for name, sweep in SWEEPS.items():
            started = time.perf_counter()
            note(
                "critical",
                name,
                measure_critical(sweep, arguments.seeds, mixed_model=not arguments.parabola_only),
                started,
            )
    if "coverage" in arguments.parts:
        for name in arguments.designs:
            started = time.perf_counter()
            note("coverage", name, measure_coverage(DESIGNS[name], arguments.seeds), started)


if __name__ == "__main__":
    main()

"""How well the paper's regression (§5.2) is calibrated: coverage of intervals and error rate of tests.

Data are drawn from the model itself, with the coefficients of Table 3's AlpacaDataShort row and without any
effect of w_p, in designs that differ in their random effects. Two hundred seeds take about half an hour on
one core:

    python benchmarks/bench_regression_calibration.py --seeds 200 --out calibration.json
"""

import argparse
import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from plw.files import write_json  # noqa: E402
from plw.regression import call_r  # noqa: E402
from simulated_scores import TABLE_3_SHORT, beta_data  # noqa: E402

NO_EFFECT = {"intercept": -0.2, "w_p": 0.0, "w_p2": 0.0}
DESIGNS = {
    "well identified": {},
    "nearly singular": {"slopes": (1.0, 1.0), "correlation": -0.8, "ptlm_sd": 0.3, "precision": 6.0},
    "eight ptlms": {"ptlms": 8},
}


def share(hits: list[bool]) -> dict:
    """Share of hits with its standard error."""
    rate = sum(hits) / len(hits) if hits else math.nan
    return {
        "rate": round(rate, 4),
        "se": round(math.sqrt(rate * (1 - rate) / max(len(hits), 1)), 4),
        "n": len(hits),
    }


def measure(design: dict, seeds: int) -> dict:
    """Coverage where Table 3's coefficients are true, and rejections where nothing is."""
    truth = {**TABLE_3_SHORT, "vertex": -TABLE_3_SHORT["w_p"] / (2 * TABLE_3_SHORT["w_p2"])}
    covered: dict[str, list[bool]] = {name: [] for name in truth}
    rejected: dict[str, list[bool]] = {"wald": [], "wald, F(2, benchmarks - 1)": [], "likelihood ratio": []}
    converged: dict[str, list[bool]] = {"default optimiser": [], "any optimiser": []}
    for seed in range(seeds):
        fit = call_r("fit_model", beta_data(seed=seed, coefficients=TABLE_3_SHORT, **design))
        found = {**fit["coefficients"], "vertex": fit["critical"]["vertex"]}
        for name, value in truth.items():
            if found[name]["ci_low"] is not None:
                covered[name].append(found[name]["ci_low"] < value < found[name]["ci_high"])
        converged["default optimiser"].append(fit["default_optimizer_converged"])
        converged["any optimiser"].append(fit["converged"])
        test = call_r("fit_model", beta_data(seed=100_000 + seed, coefficients=NO_EFFECT, **design))["test"]
        values = (test["wald"]["p"], test["wald"]["p_f"], test["likelihood_ratio"]["p"])
        for name, p in zip(rejected, values, strict=True):
            if p is not None:
                rejected[name].append(p < 0.05)
    return {
        "coverage of 95 % intervals": {name: share(hits) for name, hits in covered.items()},
        "rejections at 5 % without an effect": {name: share(hits) for name, hits in rejected.items()},
        "converged": {name: share(hits) for name, hits in converged.items()},
    }


def main(argv: list[str] | None = None) -> None:
    """Print the rates of each design and write them as JSON."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seeds", type=int, default=200, help="data sets per design and truth")
    flags.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS), help="designs to measure")
    flags.add_argument("--out", type=Path, help="also written as JSON")
    arguments = flags.parse_args(argv)
    found = {}
    for name in arguments.designs:
        found[name] = measure(DESIGNS[name], arguments.seeds)
        print(name, json.dumps(found[name], indent=2, ensure_ascii=False), flush=True)
    if arguments.out:
        write_json(arguments.out, {"seeds": arguments.seeds, "designs": found})


if __name__ == "__main__":
    main()

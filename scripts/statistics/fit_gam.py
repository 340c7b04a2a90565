"""GAMs of the relative scores on PLW and completion-prompt ratio, and the best PLW at each ratio (App. D)."""

from plw.program import run_program

import argparse
import json

import pandas as pd
from plw.files import read_json, write_json
from plw.scores.flags import primary_metrics
from plw.scores.table import planned_runs, primary_scores, read_scores
from plw.statistics.gam import EXPERIMENTS, fit_gams, gam_scores, ratio_levels


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--scores", required=True, help="scores.csv")
    flags.add_argument("--runs", help="runs.csv: use only the plain runs of --experiments and count the missing ones")
    flags.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS), help="experiments when --runs is given")
    flags.add_argument("--benchmarks", required=True, type=json.loads, help="JSON list of registry entries")
    flags.add_argument("--datasets", required=True, type=json.loads, help="JSON list of {name, label, stands_for}")
    flags.add_argument("--statistics", nargs="*", default=[], help="data/DATASET/statistics.json: where R_g is from")
    flags.add_argument("--ratios", type=json.loads, default={}, help="JSON {data set: R_g}, instead of --statistics")
    flags.add_argument("--settings", type=json.loads, default={}, help="changes to plw.statistics.gam.DEFAULTS as JSON")
    flags.add_argument("--out", required=True, help="written: regression/gam.json")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Fit the GAMs and write their optima and surfaces as JSON."""
    arguments = parser().parse_args(argv)
    statistics = {found["dataset"]: found for found in map(read_json, arguments.statistics)}
    levels, sources, left_out = ratio_levels(arguments.datasets, statistics, arguments.ratios)
    runs = None
    if arguments.runs:
        runs = pd.concat([planned_runs(arguments.runs, name) for name in arguments.experiments]).drop_duplicates("run")
    scores = primary_scores(read_scores(arguments.scores), primary_metrics(arguments))
    scores, design = gam_scores(scores, runs, levels)
    left_out += [{"dataset": name, "reason": "no scores"} for name, count in design["rows"].items() if not count]
    result = fit_gams(scores, levels=levels, benchmarks=arguments.benchmarks, settings=arguments.settings)
    write_json(
        arguments.out,
        {
            "model": "score ~ te(w, r, k = 3) + factor(benchmark), gaussian, GCV.Cp",
            "response": "relative score: min-max per benchmark within data set, ptlms pooled",
            "levels": levels,
            "r_g_source": sources,
            "left_out": left_out,
            "design": design,
            **result,
        },
    )
    for name, fit in result["fits"].items():
        chosen = fit[result["covariate"]]
        explained = f"deviance explained {chosen.get('deviance_explained') or 0:.3f}"
        print(f"{name}: {chosen['reason'] or explained + ', ' + chosen['formula']}")


if __name__ == "__main__":
    run_program(main)

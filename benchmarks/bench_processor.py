"""Seconds of the amounts of work that `plan.processor` of a study names, fitted to finished studies.

    python benchmarks/bench_processor.py --study demo=results/demo --study test=results/test

Each rule's measured jobs (Snakemake's benchmark files) are fitted by least squares, weighted so that sums come out,
with no amount below zero; then planned and measured seconds are shown side by side. Run the studies on a quiet machine
for it. Jobs whose rules are not timed are not fitted: what they take is measured by hand.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.report.comparison import read_job_seconds  # noqa: E402
from plw.study.configuration import load_configuration, read_yaml  # noqa: E402
from plw.study.planning.cost import Cost  # noqa: E402
from plw.study.planning.machine import measure_speed  # noqa: E402
from plw.study.planning.processor import (  # noqa: E402
    evaluation_amounts,
    judging_amounts,
    mechanism_amounts,
    seconds_of,
    training_amounts,
    world_amounts,
)
from plw.study.planning.workload import judgements  # noqa: E402
from plw.study.runs import batch_of, list_runs  # noqa: E402

Jobs = list[tuple[dict[str, float], float]]  # amounts of a job, and its seconds
# What is fitted together: pretraining and the judge share what an update and an operation take.
FITTED = (("train_model",), ("evaluate_model",), ("measure_mechanism",), ("judge_outputs",),
          ("pretrain_model", "train_judge"))  # fmt: skip


def timed_jobs(name: str, results: Path) -> dict[str, Jobs]:
    """Amounts and seconds of each timed job of a finished study, by rule."""
    study = load_configuration({"study": name}, root=ROOT)
    runs = {run.run: run for run in list_runs(study)}
    cost = Cost(study, read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"], Path("/nowhere"))
    seconds = read_job_seconds(results / "times")
    found: dict[str, Jobs] = {rule: [] for rules in FITTED for rule in rules}
    for run_id, run in runs.items():
        amounts = {
            "train_model": training_amounts(study, run, cost.work[run.dataset]),
            "evaluate_model": evaluation_amounts(study, run),
            "measure_mechanism": mechanism_amounts(study, run, cost.lengths[run.dataset]),
        }
        for rule, work in amounts.items():
            if run_id in seconds[rule]:
                found[rule].append((work, seconds[rule][run_id]))
    for job, taken in seconds["judge_outputs"].items():
        benchmark, batch = job.split("/")
        judged = [run for run in runs.values() if batch_of(run, study["judges"][benchmark]) == batch]
        verdicts = sum(judgements(run, study).get(benchmark, 0) for run in judged)
        found["judge_outputs"].append((judging_amounts(study, benchmark, verdicts, 1), taken))
    judge = json.loads((results / "world/judge_model/judge.json").read_text(encoding="utf-8"))
    attempts = len(judge["attempts"]) if "attempts" in judge else 1
    world = world_amounts(study, list(runs.values()), attempts)
    for work, ptlm in zip(world["pretrain_model"], dict.fromkeys(run.ptlm for run in runs.values()), strict=True):
        found["pretrain_model"].append((work, seconds["pretrain_model"][ptlm]))
    found["train_judge"].append((world["train_judge"][0], seconds["train_judge"][""]))
    return found


def fit(jobs: Jobs) -> dict[str, float]:
    """Seconds of one of each amount."""
    names = sorted({name for amounts, _ in jobs for name in amounts})
    # An error grows with the root of a job's seconds: long jobs do not decide alone, and sums are kept.
    root = np.sqrt([taken for _, taken in jobs])
    design = np.array([[amounts.get(name, 0.0) for name in names] for amounts, _ in jobs]) / root[:, None]
    scale = np.abs(design).max(axis=0) + 1e-300
    values, _ = nnls(design / scale, root)
    return {name: float(value) for name, value in zip(names, values / scale, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", action="append", required=True, help="NAME=FOLDER of a finished study")
    parser.add_argument("--cores", type=int, default=2, help="jobs that ran at the same time")
    arguments = parser.parse_args()
    studies = {
        name: timed_jobs(name, Path(folder)) for name, _, folder in (one.partition("=") for one in arguments.study)
    }
    seconds: dict[str, float] = {}
    for rules in FITTED:
        seconds |= fit([job for jobs in studies.values() for rule in rules for job in jobs[rule]])
    speed = measure_speed(arguments.cores)
    print(f"unit: {speed.processor if speed else None}  (share of a core now: {speed.share if speed else None})")
    print("seconds:")
    for name, value in seconds.items():
        print(f"  {name}: {value:.3g}")
    for study, jobs in studies.items():
        for rule, found in jobs.items():
            planned, taken = sum(seconds_of(work, seconds) for work, _ in found), sum(one for _, one in found)
            print(f"{study:8} {rule:20} {len(found):4} jobs: planned {planned:7.1f} s, measured {taken:7.1f} s")


if __name__ == "__main__":
    main()

"""Processor seconds of the harness's benchmarks of one model, beside lm-eval called for each of them.

    python benchmarks/bench_evaluation.py --study demo --model results/demo/world/ptlms/strong --output evaluation.json

Ways of answering the same questions, in turn and several times, each in a process of its own that has all libraries
loaded, so that imports count nowhere and only the ratio matters:

separate calls  lm_eval.simple_evaluate for each benchmark, with the model loaded each time and no bootstrap
one call        the same for all of them together, with the model loaded once
plain           our program with shared_contexts off, which is lm-eval's own scoring
first model     our program as the first model of a sweep, which makes the requests
next model      the same for every other model of the sweep, which reads them

lm-eval gets the study's definitions (its own draw a bootstrap for each TruthfulQA answer, seconds each) and scores
are compared digit by digit. With --models a sweep of that many models is measured, the model each time the same.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts/evaluation")]

import evaluate_model  # noqa: E402
import torch  # noqa: E402
from lm_eval.evaluator import simple_evaluate  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from plw.evaluation.harness import format_result  # noqa: E402
from plw.evaluation.harness_tasks import load_task  # noqa: E402
from plw.files import write_json  # noqa: E402
from plw.study.configuration import load_configuration  # noqa: E402

LEFT_OUT = ("benchmarks", "runtime_min", "mem_mb", "threads")  # settings that are no settings of a measurement
WAYS = ("separate calls", "one call", "plain", "first model", "next model")
OURS = WAYS[2:]


def in_child(work) -> dict:
    """What `work` returns in a forked process, with its processor seconds as `seconds`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        started = time.process_time()
        found = work() | {"seconds": time.process_time() - started}
        with os.fdopen(writing, "w") as stream:
            json.dump(found, stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("A measurement failed; its message stands above.")
    return json.loads(text)


def lm_eval_scores(model: str, entries: list[dict], settings: dict) -> dict[str, dict]:
    """Metrics of each benchmark from one call of lm-eval."""
    folder = evaluate_model.HARNESS_FOLDER
    tasks = {entry["name"]: load_task(entry, folder=folder, evaluation=settings) for entry in entries}
    limits = {entry["name"]: entry.get("limit") for entry in entries}
    answer = simple_evaluate(
        model="hf",
        model_args={"pretrained": model, "dtype": settings["dtype"], "add_bos_token": settings.get("add_bos", False)},
        tasks=list(tasks.values()),
        task_manager=TaskManager(include_defaults=False),
        samples={
            task.task_name: list(range(min(limits[name] or len(task.eval_docs), len(task.eval_docs))))
            for name, task in tasks.items()
        },
        batch_size=settings["batch_size"],
        device=settings.get("device", "cpu"),
        bootstrap_iters=0,
    )
    return {
        entry["name"]: format_result(
            answer,
            tasks[entry["name"]].task_name,
            output_type=tasks[entry["name"]].OUTPUT_TYPE,
            metric=entry["metric"],
        )
        for entry in entries
    }


def our_scores(model: str, entries: list[dict], settings: dict, requests: Path) -> dict[str, dict]:
    """Results of each benchmark from our program."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--model", model, "--benchmarks", json.dumps(entries), "--evaluation", json.dumps(settings)]
        flags += ["--run-dir", folder, "--index", f"{folder}/evaluation.json", "--threads", "1"]
        evaluate_model.main([*flags, "--requests", str(requests)])
        return {
            entry["name"]: json.loads((Path(folder) / "benchmarks" / f"{entry['name']}.json").read_text("utf-8"))
            for entry in entries
        }


def measure(way: str, model: str, entries: list[dict], settings: dict, requests: Path) -> dict:
    """{seconds, results} of one way."""

    def work() -> dict:
        if way == "separate calls":
            found = {}
            for entry in entries:
                found |= lm_eval_scores(model, [entry], settings)
        elif way == "one call":
            found = lm_eval_scores(model, entries, settings)
        else:
            with tempfile.TemporaryDirectory() as empty:
                kept = Path(empty) if way == "first model" else requests
                found = our_scores(model, entries, settings | {"shared_contexts": way != "plain"}, kept)
        return {"results": found}

    return in_child(work)


def compare(ours: dict[str, dict], theirs: dict[str, dict]) -> dict:
    """How far two ways' answers are apart: metrics, items, and texts that differ."""
    scores = {
        f"{name}, {metric}": abs(value["score"] - theirs[name]["metrics"][metric]["score"])
        for name, result in ours.items()
        for metric, value in result["metrics"].items()
    }
    items = [pair for name, result in ours.items() for pair in zip(result["items"], theirs[name]["items"], strict=True)]
    likelihoods = [
        abs(left - right)
        for one, other in items
        for left, right in zip(one.get("log_likelihoods", ()), other.get("log_likelihoods", ()), strict=True)
    ]
    return {
        "same_prompts": all(result["prompt_hash"] == theirs[name]["prompt_hash"] for name, result in ours.items()),
        "metrics": len(scores),
        "metrics_that_differ": {name: value for name, value in scores.items() if value},
        "texts_that_differ": sum(one.get("output") != other.get("output") for one, other in items),
        "largest_difference_of_log_likelihoods": max(likelihoods, default=0.0),
    }


def sweep(model: str, entries: list[dict], settings: dict, models: int) -> list[float]:
    """Processor seconds of each model of a sweep with an empty folder of requests."""
    with tempfile.TemporaryDirectory() as folder:
        found = (measure("next model", model, entries, settings, Path(folder)) for _ in range(models))
        return [one["seconds"] for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="demo", help="study whose benchmarks are run")
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    parser.add_argument("--models", type=int, default=0, help="models of a sweep to measure besides")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = load_configuration({"study": options.study}, root=ROOT)
    entries = [{"name": name, **study["benchmarks"][name]} for name in study["evaluation"]["benchmarks"]]
    entries = [entry for entry in entries if entry["framework"] == "harness"]
    settings = {key: value for key, value in study["evaluation"].items() if key not in LEFT_OUT}
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder)
        for way in ("one call", "next model"):  # libraries' first calls; and the requests are there from now on
            measure(way, options.model, entries, settings, requests)
        rounds = [
            {way: measure(way, options.model, entries, settings, requests) for way in WAYS}
            for _ in range(options.rounds)
        ]
    seconds = {way: [one[way]["seconds"] for one in rounds] for way in WAYS}
    cases = {}
    for way in WAYS:
        ratios = sorted(one["separate calls"]["seconds"] / one[way]["seconds"] for one in rounds)
        cases[way] = {
            "seconds": statistics.median(seconds[way]),
            "separate_calls_over_this": statistics.median(ratios),
            "lowest_and_highest_ratio": [ratios[0], ratios[-1]],
            "beside_separate_calls": compare(rounds[0][way]["results"], rounds[0]["separate calls"]["results"]),
        }
        low, high = cases[way]["lowest_and_highest_ratio"]
        beside = cases[way]["beside_separate_calls"]
        print(
            f"{way:15} {cases[way]['seconds']:6.2f} s   {cases[way]['separate_calls_over_this']:5.2f} "
            f"[{low:.2f}, {high:.2f}]   metrics that differ: {len(beside['metrics_that_differ'])} of "
            f"{beside['metrics']}, by {max(beside['metrics_that_differ'].values(), default=0.0):.1e}; texts: "
            f"{beside['texts_that_differ']}; log-likelihoods by {beside['largest_difference_of_log_likelihoods']:.1e}"
        )
    written = {"settings": {key: str(value) for key, value in vars(options).items()}, "cases": cases}
    if options.models:
        written["sweep"] = sweep(options.model, entries, settings, options.models)
        print("models of a sweep, s each:", " ".join(f"{value:.2f}" for value in written["sweep"]))
    if options.output:
        write_json(options.output, written)


if __name__ == "__main__":
    main()

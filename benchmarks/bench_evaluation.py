"""Processor seconds of the evaluation of one model, with lm-eval's own scoring and with shared contexts.

    python benchmarks/bench_evaluation.py --study demo --model results/demo/world/ptlms/strong

Both ways are measured in turn, several times, in one process: on a shared machine only their ratio counts.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts/evaluation")]

import evaluate_model  # noqa: E402
import torch  # noqa: E402
from plw.study.configuration import load_configuration  # noqa: E402


def measure(model: str, study: dict, **changes) -> tuple[float, dict[str, float]]:
    """Processor seconds of all benchmarks, and wall seconds of each."""
    entries = [{"name": name, **study["benchmarks"][name]} for name in study["evaluation"]["benchmarks"]]
    left_out = ("benchmarks", "runtime_min", "mem_mb", "threads")
    settings = {key: value for key, value in study["evaluation"].items() if key not in left_out} | changes
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "evaluation.json"
        started = time.process_time()
        flags = ["--model", model, "--benchmarks", json.dumps(entries), "--evaluation", json.dumps(settings)]
        evaluate_model.main([*flags, "--run-dir", folder, "--index", str(index)])
        seconds = time.process_time() - started
        found = json.loads(index.read_text(encoding="utf-8"))["benchmarks"]
    return seconds, {name: entry["seconds"] for name, entry in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="demo", help="study whose benchmarks are run")
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = load_configuration({"study": arguments.study}, root=ROOT)
    ways = {"lm-eval": False, "shared contexts": True}
    measure(arguments.model, study, shared_contexts=True)  # imports and first calls
    rounds = [
        {way: measure(arguments.model, study, shared_contexts=shared) for way, shared in ways.items()}
        for _ in range(arguments.rounds)
    ]
    best = {way: min((one[way] for one in rounds), key=lambda pair: pair[0]) for way in ways}
    names = list(best["lm-eval"][1])
    print(f"{'':20}" + "".join(f"{way:>18}" for way in ways))
    print(f"{'all (processor s)':20}" + "".join(f"{best[way][0]:18.2f}" for way in ways))
    for name in names:
        print(f"{name:20}" + "".join(f"{best[way][1][name]:18.2f}" for way in ways))


if __name__ == "__main__":
    main()

"""Every goal of speed and memory, measured by its benchmark, as one file and one table.

    python benchmarks/measure_goals.py                     # all: results/goals.json, some 40 minutes of a quiet machine
    python benchmarks/measure_goals.py --only planning     # one benchmark again; the others' results are kept
    python benchmarks/measure_goals.py --only              # none: the table alone, from what is there

The table goes between its marks into docs/measurements.md. A goal is a ratio measured side by side in one run, or a
time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

from gpu.table import put_section  # noqa: E402
from plw.files import read_json, write_json, write_text  # noqa: E402
from plw.training.record import git_state, versions  # noqa: E402

MARK = "results/goals.json"
STRONG = "results/demo/world/ptlms/strong"  # of a finished default study
TRAINING = ("bench_training.py", "--rounds", "3", "--updates", "2", "--tokens-per-batch", "4096", "--no-trl")
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "training": TRAINING,
    "trl": ("bench_training.py", "--cases", "alpaca, plw 0.1", "short, plw 0, prompt loss measured in each update",
            "--rounds", "2", "--updates", "2", "--tokens-per-batch", "4096", "--tried-dtype"),
    "smollm2": ("bench_training.py", "--smollm2", "--rounds", "1", "--updates", "1", "--micro-batches", "2",
                "--tokens-per-batch", "1024"),
    "evaluation": ("bench_evaluation.py", "--model", STRONG, "--rounds", "3", "--models", "4"),
    "output_layer": ("bench_output_layer.py", "--rounds", "2"),
    "memory": ("bench_memory.py",),
    "planning": ("bench_planning.py", "--rounds", "3"),
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """One row of the table.

    benchmark  key of BENCHMARKS;  text  what is compared with what
    goal       the number to reach, at least where `more`, else at most
    read       the benchmark's JSON → {value, and where there are: interval, ours, other, equality}
    """

    benchmark: str
    text: str
    goal: float
    read: Callable[[dict], dict]
    more: bool = True


def of_training(case: str, *, prefix: str = "") -> Callable[[dict], dict]:
    """Ours over the stock trainer (or, with "trl_", over TRL's), in tokens per second of processor time."""

    def read(found: dict) -> dict:
        one = found["cases"][case]
        return {
            "value": one[f"{prefix}ratio"],
            "interval": one[f"{prefix}ratio_interval_95"],
            "ours": f"{one['ours_tokens_per_second']:,.0f} tokens/s",
            "other": f"{one[(prefix or 'stock_') + 'tokens_per_second']:,.0f} tokens/s",
            "equality": f"gradient within {one['gradient_difference']:.0e} of a plain loop's",
        }

    return read


def of_smollm2(case: str, *, share: bool = False) -> Callable[[dict], dict]:
    """Tokens per second, or per cent of the matrix rate that what is computed reaches."""
    return lambda found: {
        "value": 100 * found["smollm2"][case]["share_computed"]
        if share
        else found["smollm2"][case]["tokens_per_second"]
    }


def of_evaluation(way: str) -> Callable[[dict], dict]:
    """Time of separate lm_eval calls over ours."""

    def read(found: dict) -> dict:
        one, calls = found["cases"][way], found["cases"]["separate calls"]
        beside = one["beside_separate_calls"]
        apart = max(beside["metrics_that_differ"].values(), default=0.0)
        return {
            "value": one["separate_calls_over_this"],
            "interval": one["lowest_and_highest_ratio"],
            "ours": f"{one['seconds']:.2f} s",
            "other": f"{calls['seconds']:.2f} s",
            "equality": f"{len(beside['metrics_that_differ'])} of {beside['metrics']} metrics differ, by {apart:.0e}",
        }

    return read


def of_output_layer(vocabulary: int, key: str) -> Callable[[dict], dict]:
    """Our output layer and loss over all logits at once, in time or in memory."""

    def read(found: dict) -> dict:
        (one,) = (
            one for name, one in found["cases"].items() if name.startswith("ours") and name.endswith(f" {vocabulary}")
        )
        apart = max(abs(one["hidden"] - 1), abs(one["weight"] - 1))
        return {"value": one[key], "equality": f"norms of gradients within {apart:.0e}"}

    return read


def largest_error(found: dict) -> dict:
    """Of the memory law, over all trainings that were measured."""
    errors = [abs(one["ratio"] - 1) for one in found["cases"].values()]
    return {"value": max(errors), "equality": f"{len(errors)} trainings"}


def planned(what: str) -> Callable[[dict], dict]:
    """Seconds of processor time of a dry run."""
    return lambda found: {
        "value": found["plans"][what]["seconds"],
        "interval": [min(found["plans"][what]["all"]), max(found["plans"][what]["all"])],
    }


ALPACA, SHORT = "alpaca, plw 0.1", "short, plw 0"
WATCHED, UNWATCHED = f"{SHORT}, prompt loss measured in each update", f"{SHORT}, prompt loss not measured"
GOALS = (
    Goal("training", "training, Alpaca's lengths at PLW 0.1, over the stock HF Trainer", 2.2, of_training(ALPACA)),
    Goal("training", "training, Short at PLW 0, masked prompts measured in one of ten updates (the usual)", 5,
         of_training(SHORT)),
    Goal("training", "training, Short at PLW 0, masked prompts measured in each update", 5, of_training(WATCHED)),
    Goal("training", "training, Short at PLW 0, masked prompts not measured", 5, of_training(UNWATCHED)),
    Goal("trl", "training, Alpaca's lengths at PLW 0.1, in the faster dtype, over TRL's SFTTrainer by default", 6,
         of_training(ALPACA, prefix="trl_")),
    Goal("trl", "training, Short at PLW 0, masked prompts measured in each update, in the faster dtype, over TRL's", 6,
         of_training(WATCHED, prefix="trl_")),
    Goal("smollm2", "SmolLM2-135M's shape, Alpaca's lengths at PLW 0.1: tokens/s", 95, of_smollm2(ALPACA)),
    Goal("smollm2", "the same: share of the measured matrix rate, %", 50, of_smollm2(ALPACA, share=True)),
    Goal("evaluation", "eleven benchmarks of a sweep's first model, over separate lm_eval calls", 3,
         of_evaluation("first model")),
    Goal("evaluation", "the same of each model after it", 3, of_evaluation("next model")),
    *(Goal("output_layer", f"output layer and loss, vocabulary {size:,}: time over all logits at once", 1.1,
           of_output_layer(size, "seconds"), more=False) for size in (32000, 128000)),
    *(Goal("output_layer", f"output layer and loss, vocabulary {size:,}: memory over all logits at once", 0.25,
           of_output_layer(size, "bytes"), more=False) for size in (32000, 128000)),
    Goal("memory", "memory law: largest relative error", 0.15, largest_error, more=False),
    Goal("planning", "dry run of the paper study, s", 4, planned("the paper study"), more=False),
    Goal("planning", "one of its runs as a target, planned, s", 1.5, planned("one run of it as a target"), more=False),
)  # fmt: skip


def run_benchmark(words: Sequence[str]) -> dict:
    """What a benchmark writes as JSON, or {missing: reason}. One thread: only processor time and ratios count."""
    if STRONG in words and not (ROOT / STRONG / "config.json").is_file():
        return {"missing": f"{STRONG} is not there: make the default study first"}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        command = [sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:], "--output", str(output)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if done.returncode or not output.is_file():
            return {"missing": f"{words[0]} ended with {done.returncode}"}
        return read_json(output)


def table(found: dict) -> str:
    """A row for each goal, from the results of the benchmarks by name; what is not there is said."""
    lines = ["| what | goal | measured | ours | the other | equality |", "|---|---|---|---|---|---|"]
    for goal in GOALS:
        result = found["benchmarks"].get(goal.benchmark, {"missing": "not run"})
        sign = "≥" if goal.more else "≤"
        start = f"| {goal.text} | {sign} {goal.goal:g} | "
        if "missing" in result:
            lines.append(f"{start}not measured: {result['missing']} | | | |")
            continue
        try:
            row = goal.read(result)
        except KeyError as error:
            lines.append(f"{start}not measured: the benchmark left out {error} | | | |")
            continue
        met = row["value"] >= goal.goal if goal.more else row["value"] <= goal.goal
        interval = " [{:.3g}, {:.3g}]".format(*row["interval"]) if "interval" in row else ""
        cells = (row.get(key, "") for key in ("ours", "other", "equality"))
        lines.append(f"{start}{row['value']:.3g}{interval}{'' if met else ', missed'} | {' | '.join(cells)} |")
    grown = found["benchmarks"].get("planning", {}).get("plans", {})
    sizes = [f"{name}: {one['seconds']:.1f} s" for name, one in grown.items() if name.endswith(" runs")]
    if sizes:
        lines += ["", f"Dry runs as studies grow: {', '.join(sizes)}."]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--only", nargs="*", choices=list(BENCHMARKS), default=list(BENCHMARKS), help="these benchmarks")
    flags.add_argument("--output", type=Path, default=ROOT / "results/goals.json", help="file of results")
    flags.add_argument("--document", type=Path, default=ROOT / "docs/measurements.md", help="document to change")
    arguments = flags.parse_args(argv)
    found = read_json(arguments.output) if arguments.output.is_file() else {"benchmarks": {}}
    for name in arguments.only:
        commit = git_state(ROOT)
        found["benchmarks"][name] = run_benchmark(BENCHMARKS[name]) | {"commit": commit, "versions": versions()}
        write_json(arguments.output, found)
    document = arguments.document.read_text(encoding="utf-8")
    write_text(arguments.document, put_section(document, table(found), MARK))


if __name__ == "__main__":
    main()

"""Processor time of dry runs: the paper study, one of its runs as a target, and studies of more and more runs.

    python benchmarks/bench_planning.py --rounds 3 --output planning.json

Seconds of Snakemake and of all that it starts, as a user calls it; nothing is made.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.files import write_json  # noqa: E402
from plw.study.configuration import load_configuration  # noqa: E402
from plw.study.runs import list_runs  # noqa: E402

# The paper's main experiment, 60 fine-tunings, with so many seeds.
GROWING = "base: paper\nrun_experiments: [main]\nseeds: {seeds}\n"
MAIN_RUNS = 60


def processor_seconds(*words: str) -> float:
    """Processor time of a dry run with these words; RuntimeError where it fails."""
    before = _children()
    command = [sys.executable, "-m", "snakemake", *words, "--dry-run", "--cores", "1", "--quiet", "all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-600:]}")
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(rounds: int, runs: list[int]) -> dict[str, list[float]]:
    """Seconds of each dry run, by what it plans: turn by turn."""
    study = load_configuration({"study": "paper"}, root=ROOT)
    first = list_runs(study)[0].run
    with tempfile.TemporaryDirectory() as folder:
        asked = {
            "the paper study": ("--config", "study=paper"),
            "one run of it as a target": (f"results/paper/runs/{first}/run.json", "--config", "study=paper"),
        }
        for count in runs:
            file = Path(folder) / f"runs_{count}.yaml"
            file.write_text(GROWING.format(seeds=list(range(42, 42 + count // MAIN_RUNS))), encoding="utf-8")
            asked[f"{count} runs"] = ("--config", f"study={file}")
        taken: dict[str, list[float]] = {what: [] for what in asked}
        for _ in range(rounds):
            for what, words in asked.items():
                taken[what].append(processor_seconds(*words))
    return taken


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--runs", type=int, nargs="*", default=[60, 600, 6000], help="sizes, multiples of 60")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(argv)
    taken = measure(options.rounds, options.runs)
    found = {what: {"seconds": statistics.median(all_of_it), "all": all_of_it} for what, all_of_it in taken.items()}
    for what, one in found.items():
        print(f"{what:28s} {one['seconds']:6.2f} s of processor time")
    if options.output:
        write_json(options.output, {"rounds": options.rounds, "plans": found})


if __name__ == "__main__":
    main()

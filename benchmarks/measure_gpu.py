"""Ten minutes of one GPU: parity, memory, speed, generation, judging, stop and resume, energy (docs/gpu.md).

Needs no network and no test runner; what a part needs and is not installed is left out by name. Results are written
after each part; the same call again takes up what is missing.

    python benchmarks/measure_gpu.py                   # a GPU, full sizes: results/gpu.json
    python benchmarks/measure_gpu.py --device cpu --sizes tiny --output /tmp/tiny.json
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("scripts", "tests", "benchmarks")]

NAMES = ("parity", "resuming", "speed", "generation", "judging", "memory", "stock", "contexts", "zero", "energy")


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="what is measured")
    flags.add_argument("--sizes", choices=["full", "tiny"], default="full", help="tiny: to see that every part runs")
    flags.add_argument("--seconds", type=float, default=570, help="time of this call, imports not counted")
    flags.add_argument("--parts", nargs="*", choices=NAMES, default=NAMES, help="only these")
    flags.add_argument("--commit", help="commit of this copy, where its repository cannot tell")
    flags.add_argument("--output", type=Path, default=ROOT / "results/gpu.json", help="file of measurements")
    arguments = flags.parse_args(argv)
    # For the programs that parts start.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]).strip(":")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one is measured

    from plw.program import run_program

    def work() -> None:
        import importlib

        from gpu.driver import measure
        from plw.models.loading import choose_device

        parts = [importlib.import_module(f"gpu.{name}").PART for name in arguments.parts]
        found = measure(
            parts,
            device=choose_device(arguments.device),
            sizes=arguments.sizes,
            commit=arguments.commit,
            file=arguments.output,
            seconds=arguments.seconds,
            say=lambda text: print(text, flush=True),
        )
        states = [part["status"] for part in found["parts"].values()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        print(f"{arguments.output}: {counts}", flush=True)
        if "waiting" in states:
            print("The same call again takes up those that wait.", flush=True)
        if "failed" in states:
            sys.exit(1)

    run_program(work)


if __name__ == "__main__":
    main()

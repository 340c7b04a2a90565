"""What libraries do beside their work, with and without it: three overheads that the project takes away.

fit       glmmTMB's fit of one data set's scores, with the garbage collection before each optimisation and without it
          (`glmmTMB_without_collection` in scripts/plw/statistics/glmm.R); what it says must be the same to the last bit
imports   the start of a program, with collections during its imports and without them (scripts/plw/program.py)
torchrun  torchrun in the preloaded process, two ranks that do nothing, with its searches for callers and without them
          (scripts/plw/preload.py)

Both ways take turns, on a machine that does nothing else; seconds, and their ratio in each round.

    OMP_NUM_THREADS=1 python benchmarks/bench_overheads.py --rounds 5
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from plw.files import write_json  # noqa: E402
from plw.statistics import r_calls  # noqa: E402
from simulated_scores import TABLE_3_SHORT, beta_data  # noqa: E402

FITS = 5  # of one measurement
PROGRAM = ROOT / "scripts/training/train_model.py"
# The program with collections on from the start, and nothing set aside.
COLLECTING = (
    "import gc, runpy, sys; gc.disable = gc.freeze = lambda: None; sys.argv = sys.argv[1:];"
    " runpy.run_path(sys.argv[0], run_name='__main__')"
)
# torchrun without what plw.preload puts into the cache of `inspect`.
SEARCHING = """import inspect, runpy
for name in [name for name in inspect.modulesbyfile if name.endswith(">")]:
    del inspect.modulesbyfile[name]
runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
"""


def fit(folder: Path, plain: bool) -> list:
    """The same fit a few times; returns all that it says."""
    data = beta_data(seed=1, coefficients=TABLE_3_SHORT)
    files = [*r_calls.R_FILES, *([folder / "plain.R"] if plain else [])]
    return [r_calls.call_r("fit_model", data, files=files) for _ in range(FITS)]


def imports(folder: Path, plain: bool) -> None:
    """The program's --help, for which it loads all that it works with."""
    words = ["-c", COLLECTING, str(PROGRAM)] if plain else [str(PROGRAM)]
    call([*words, "--help"], folder)


def torchrun(folder: Path, plain: bool) -> None:
    """Two ranks of an empty program."""
    module = "searching" if plain else "torch.distributed.run"
    call(["-m", "plw.preload", "-m", module, "--standalone", "--nproc_per_node", "2", "empty.py"], folder)


def call(words: list[str], folder: Path) -> None:
    """Python with these words, in this folder."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, *words], env=variables, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"Error: {' '.join(words)}\n{done.stderr}")


OVERHEADS = {"fit": fit, "imports": imports, "torchrun": torchrun}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--only", nargs="*", choices=OVERHEADS, default=list(OVERHEADS))
    flags.add_argument("--output", type=Path, help="JSON to write")
    options = flags.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "plain.R").write_text("glmmTMB_without_collection <- function() glmmTMB::glmmTMB\n")
        (folder / "searching.py").write_text(SEARCHING)
        (folder / "empty.py").write_text("")
        for name in options.only:
            work = OVERHEADS[name]
            if work(folder, False) != work(folder, True):  # the first time, with what is made once, is not measured
                raise SystemExit(f"Error: {name}: the two ways do not give the same.")
            found[name] = [(measure(work, folder, False), measure(work, folder, True)) for _ in range(options.rounds)]
            without, plain = (statistics.median(times) for times in zip(*found[name], strict=True))
            ratios = sorted(one / other for one, other in found[name])
            print(
                f"{name:9} {without:6.2f} s, plainly {plain:6.2f} s:"
                f" {statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
            )
    if options.output:
        write_json(options.output, found)


def measure(work: Callable[[Path, bool], object], folder: Path, plain: bool) -> float:
    """Seconds of one way."""
    began = time.perf_counter()
    work(folder, plain)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

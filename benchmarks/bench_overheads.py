"""What libraries and processes do beside their work, with and without it: overheads that the project takes away.

fit       glmmTMB's fit of one data set's scores, with the garbage collection before each optimisation and without it
          (`glmmTMB_without_collection` in scripts/plw/statistics/glmm.R); what it says must be the same to the last bit
imports   the start of a program, with collections during its imports and without them (scripts/plw/program.py)
torchrun  torchrun in the preloaded process, two ranks that do nothing, with its searches for callers and without them
          (scripts/plw/preload_server.py)
fork      a child of the preloaded process that imports what trains a model and ends, without huge pages and with them
          (scripts/plw/huge_pages.py)
figure    a figure of twelve panels as PDF and PNG, laid out before each of the files or once for both
          (scripts/plw/figures/saving.py); no panel may move by more than 1/200 of the figure

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

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from plw.figures.axes import new_figure, plw_axis  # noqa: E402
from plw.figures.saving import drawing, save_figure  # noqa: E402
from plw.figures.style import style_with  # noqa: E402
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
# Prints the seconds of one child, the mean of twenty.
FORKING = """import gc, importlib, os, sys, time
from plw.huge_pages import collapse
from plw.preload_server import LIBRARIES
for name in LIBRARIES:
    importlib.import_module(name)
gc.freeze()
if sys.argv[1:] == ["huge"]:
    collapse()
began = time.perf_counter()
for _ in range(20):
    if os.fork() == 0:
        importlib.import_module("plw.training.run")
        os._exit(0)
    os.wait()
print((time.perf_counter() - began) / 20)
"""
# torchrun without what plw.preload_server puts into the cache of `inspect`.
SEARCHING = """import inspect, runpy
for name in [name for name in inspect.modulesbyfile if name.endswith(">")]:
    del inspect.modulesbyfile[name]
runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
"""


def fit(folder: Path, plain: bool) -> tuple[float, list]:
    """The same fit a few times; its seconds, and all that it says."""
    data = beta_data(seed=1, coefficients=TABLE_3_SHORT)
    files = [*r_calls.R_FILES, *([folder / "plain.R"] if plain else [])]
    began = time.perf_counter()
    found = [r_calls.call_r("fit_model", data, files=files) for _ in range(FITS)]
    return time.perf_counter() - began, found


def imports(folder: Path, plain: bool) -> tuple[float, None]:
    """The program's --help, for which it loads all that it works with."""
    words = ["-c", COLLECTING, str(PROGRAM)] if plain else [str(PROGRAM)]
    began = time.perf_counter()
    call([*words, "--help"], folder)
    return time.perf_counter() - began, None


def torchrun(folder: Path, plain: bool) -> tuple[float, None]:
    """Two ranks of an empty program."""
    module = "searching" if plain else "torch.distributed.run"
    began = time.perf_counter()
    call(["-m", "plw.preload", "-m", module, "--standalone", "--nproc_per_node", "2", "empty.py"], folder)
    return time.perf_counter() - began, None


def fork(folder: Path, plain: bool) -> tuple[float, None]:
    """Children of a process with the libraries loaded."""
    return float(call(["-c", FORKING, "plain" if plain else "huge"], folder).split()[-1]), None


def figure(folder: Path, plain: bool) -> tuple[float, list]:
    """Twelve panels with both axes of weights; the seconds of both files, and where the panels are."""
    style = style_with({})
    with drawing(style):
        drawn = new_figure((9.6, 8.8))
        panels = drawn.subplots(4, 3).flatten()
        for panel in panels:
            panel.plot([0, 1], [0, 1])
            plw_axis(panel)
    pdf, png = folder / "figure.pdf", folder / "figure.png"
    began = time.perf_counter()
    if plain:
        with drawing(style):
            drawn.savefig(pdf)
            drawn.savefig(png, dpi=style["dots_per_inch"])
    else:
        save_figure(drawn, pdf=pdf, png=png, style=style)
    return time.perf_counter() - began, [panel.get_position().bounds for panel in panels]


def call(words: list[str], folder: Path) -> str:
    """Python with these words, in this folder; what it says."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, *words], env=variables, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"Error: {' '.join(words)}\n{done.stderr}")
    return done.stdout


OVERHEADS: dict[str, Callable[[Path, bool], tuple[float, list | None]]] = {
    "fit": fit, "imports": imports, "torchrun": torchrun, "fork": fork, "figure": figure,
}  # fmt: skip


def same(name: str, one: list | None, other: list | None) -> bool:
    """Whether both ways gave the same: bounds of panels within 1/200, all else exactly."""
    if name != "figure":
        return one == other
    return one is not None and other is not None and bool(np.allclose(one, other, rtol=0, atol=0.005))


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
            # The first time, with what is made once, is not measured.
            if not same(name, work(folder, False)[1], work(folder, True)[1]):
                raise SystemExit(f"Error: {name}: the two ways do not give the same.")
            found[name] = [(work(folder, False)[0], work(folder, True)[0]) for _ in range(options.rounds)]
            without, plain = (statistics.median(times) for times in zip(*found[name], strict=True))
            ratios = sorted(one / other for one, other in found[name])
            print(
                f"{name:9} {without:6.3f} s, plainly {plain:6.3f} s:"
                f" {statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
            )
    if options.output:
        write_json(options.output, found)


if __name__ == "__main__":
    main()

"""The memory law beside measured peaks of real trainings: a few of the cases of benchmarks/bench_memory.py."""

import sys

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import bench_memory
from plw.study.planning.memory import ERROR


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "12 layers, vocabulary 1,400, bfloat16", "an update at once, float32", "checkpointing, float32",
    "Minkowski penalty, float32", "ZeRO 2, 2 ranks, float32",
])  # fmt: skip
def test_the_law_predicts_the_peak_of_a_training(name):
    case = bench_memory.cases()[name]
    predicted = bench_memory.predict(case, "cpu")
    measured = bench_memory.in_own_process(case, "cpu", start=(sys.executable, "-m", "plw.preload"))
    assert predicted == pytest.approx(measured, rel=ERROR)

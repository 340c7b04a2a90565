"""The table of goals: a row for each, what is missed or missing is said, and benchmarks that are not asked for stay."""

import json
import sys

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import measure_goals
from measure_goals import BENCHMARKS, GOALS, MARK, table

CASE = {
    **{f"{side}tokens_per_second": 100.0 for side in ("ours_", "stock_", "trl_")},
    **{f"{prefix}ratio": 3.0 for prefix in ("", "trl_")},
    **{f"{prefix}ratio_interval_95": [2.5, 3.5] for prefix in ("", "trl_")},
    "gradient_difference": 8e-7,
}
WAY = {
    "seconds": 2.0,
    "separate_calls_over_this": 3.5,
    "lowest_and_highest_ratio": [3.1, 3.9],
    "beside_separate_calls": {"metrics_that_differ": {"mc2": 2e-8}, "metrics": 36},
}
LAYER = {"seconds": 0.7, "bytes": 0.27, "hidden": 1.0, "weight": 1.0}
FOUND = {
    "training": {"cases": dict.fromkeys(("alpaca, plw 0.1", "short, plw 0"), CASE)},
    "evaluation": {"cases": dict.fromkeys(("first model", "next model", "separate calls"), WAY)},
    "output_layer": {"cases": {f"ours, vocabulary {size}": LAYER for size in (32000, 128000)}},
    "memory": {"missing": "bench_memory.py ended with 1"},
    "planning": {"plans": {name: {"seconds": 3.0, "all": [2.9, 3.1]} for name in ("the paper study", "60 runs")}},
}

MEASURED = "training, Short at PLW 0, masked prompts measured in one of ten updates (the usual)"


def rows(text: str) -> dict[str, str]:
    """Lines of the table by the words of their first cell."""
    return {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}


def test_every_goal_has_a_row_with_what_was_measured_beside_it():
    found = rows(table({"benchmarks": FOUND}))
    assert [name for name in found if name != "what"] == [goal.text for goal in GOALS]
    assert {goal.benchmark for goal in GOALS} == set(BENCHMARKS)
    met = found["training, Alpaca's lengths at PLW 0.1, over the stock HF Trainer"]
    assert "| ≥ 2.2 | 3 [2.5, 3.5] | 100 tokens/s | 100 tokens/s | gradient within 8e-07" in met
    assert "| ≥ 5 | 3 [2.5, 3.5], missed |" in found[MEASURED]
    assert "0.27, missed" in found["output layer and loss, vocabulary 32,000: memory over all logits at once"]
    assert "1 of 36 metrics differ, by 2e-08" in found["the same of each model after it"]


def test_what_was_not_measured_says_why():
    text = table({"benchmarks": FOUND})
    found = rows(text)
    assert "not measured: bench_memory.py ended with 1" in found["memory law: largest relative error"]
    assert "not measured: not run" in found["SmolLM2-135M's shape, Alpaca's lengths at PLW 0.1: tokens/s"]
    unwatched = found["training, Short at PLW 0, masked prompts not measured"]
    assert "not measured: the benchmark left out 'short, plw 0, prompt loss not measured'" in unwatched
    assert text.endswith("Dry runs as studies grow: 60 runs: 3.0 s.")


def test_a_benchmark_that_is_not_asked_for_keeps_its_results_and_the_document_its_text(tmp_path, monkeypatch):
    file, document = tmp_path / "goals.json", tmp_path / "m.md"
    file.write_text(json.dumps({"benchmarks": FOUND}))
    original = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    document.write_text(original, encoding="utf-8")
    monkeypatch.setattr(measure_goals, "run_benchmark", lambda words: {"cases": {"one": {"ratio": 1.5}}})
    measure_goals.main(["--only", "memory", "--output", str(file), "--document", str(document)])
    kept = json.loads(file.read_text())["benchmarks"]
    assert kept["training"] == FOUND["training"] and kept["memory"]["cases"] == {"one": {"ratio": 1.5}}
    changed = document.read_text(encoding="utf-8")
    assert "| ≤ 0.15 | 0.5, missed |" in changed
    for text in (original, changed):  # all but what stands between the marks
        before, _, rest = text.partition(f"<!-- begin: {MARK} -->")
        after = rest.partition(f"<!-- end: {MARK} -->")[2]
        assert (before, after) == (original.partition(f"<!-- begin: {MARK} -->")[0],
                                   original.partition(f"<!-- end: {MARK} -->")[2])  # fmt: skip


def test_the_evaluation_waits_for_the_default_study(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_goals, "ROOT", tmp_path)
    assert "make the default study first" in measure_goals.run_benchmark(BENCHMARKS["evaluation"])["missing"]


@pytest.mark.slow
@pytest.mark.workflow
def test_dry_runs_are_timed_by_what_they_plan(tmp_path):
    import bench_planning

    output = tmp_path / "planning.json"
    bench_planning.main(["--rounds", "1", "--runs", "60", "--output", str(output)])
    plans = json.loads(output.read_text())["plans"]
    assert set(plans) == {"the paper study", "one run of it as a target", "60 runs"}
    assert all(plan["seconds"] > 0 for plan in plans.values())
    assert plans["60 runs"]["seconds"] < plans["the paper study"]["seconds"]

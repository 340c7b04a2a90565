"""The item-level model: what a score weighs, right on simulated truth, honest where it cannot be fitted."""

import numpy as np
import pandas as pd
import pytest
from plw.statistics.item_model import fit_item_model, item_rows, item_weights
from scipy.stats import binom
from simulated_scores import item_scores


def one_benchmark(score: list[float], n: int | float, stderr: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"score": score, "n": n, "stderr": stderr})


# ---- what a score weighs


def test_shares_of_right_answers_are_counts_and_others_weigh_what_their_errors_say():
    score = np.array([0.25, 0.5, 0.75])
    error = np.sqrt(score * (1 - score) / 39)
    assert item_weights(one_benchmark(score, 40, error)) == {"kind": "binary", "size": 40.0}
    # The same whole numbers with half the error are no right-or-wrong answers: they weigh as many items as it takes.
    graded = item_weights(one_benchmark(score, 40, error / 2))
    assert graded["kind"] == "graded"
    assert graded["size"] == pytest.approx(4 * 39)
    assert item_weights(one_benchmark(score + 0.001, 40, error))["kind"] == "graded"


def test_benchmarks_that_cannot_enter_say_why():
    assert "score 1" in item_weights(one_benchmark([1.0, 1.0], 40, [0.0, 0.0]))["reason"]
    assert "not known" in item_weights(one_benchmark([0.2, 0.4], np.nan, [0.1, 0.1]))["reason"]
    assert "no standard errors" in item_weights(one_benchmark([0.21, 0.4], 40, [np.nan, np.nan]))["reason"]


def test_a_constant_between_0_and_1_stays_in_and_successes_add_up_to_the_items():
    frame = item_scores(seed=1, peak=None, benchmarks=4)
    frame.loc[frame["benchmark"] == "b0", ["score", "n"]] = [0.5, 40]
    frame.loc[frame["benchmark"] == "b0", "stderr"] = np.sqrt(0.25 / 39)
    rows, treated = item_rows(frame)
    assert {how["kind"] for how in treated.values()} == {"binary"}
    assert sorted(rows["successes"] + rows["failures"]) == sorted(frame["n"])
    assert (rows["successes"] % 1 == 0).all()


def test_too_few_benchmarks_or_plws_give_a_reason_instead_of_a_fit():
    frame = item_scores(seed=1, peak=None)
    assert "needs three" in fit_item_model(frame[frame["benchmark"].isin(["b0", "b1"])])["reason"]
    assert "four PLWs" in fit_item_model(frame[frame["plw"].isin([0.0, 0.1, 1.0])])["reason"]
    assert "0 can be used" in fit_item_model(frame.assign(n=np.nan))["reason"]


# ---- fits


@pytest.mark.r
@pytest.mark.slow
def test_a_clear_maximum_is_found_whatever_its_shape_and_a_flat_curve_is_not_refuted():
    frame = item_scores(seed=3, peak=0.4, height=3.0, luck_sd=0.1, slope_sd=0.1, seeds=2)
    found = fit_item_model(frame)
    assert found["reason"] is None and found["converged"] and found["error"] is None
    assert found["curves"] == 4 and found["optimum"]["note"] is None
    assert found["test"]["p"] < 1e-4
    assert found["optimum"]["w_p"] == pytest.approx(0.4, abs=0.08)
    assert found["optimum"]["inside"] > 0.99
    assert any(span["low"] <= 0.4 <= span["high"] for span in found["optimum"]["set"])
    assert sum(span["high"] - span["low"] for span in found["optimum"]["set"]) < 0.35
    flat = fit_item_model(item_scores(seed=4, peak=None, luck_sd=0.1))
    assert flat["test"]["p"] > 0.01
    assert "One seed" in flat["optimum"]["note"]


@pytest.mark.r
@pytest.mark.slow
def test_on_simulated_truth_it_rejects_seldom_and_its_set_holds_the_maximum():
    """A small version of benchmarks/bench_regression_calibration.py --parts items."""
    count, rejected, held = 8, 0, 0
    for seed in range(count):
        rejected += fit_item_model(item_scores(seed=seed, peak=None))["test"]["p"] < 0.05
        spans = fit_item_model(item_scores(seed=seed, peak=0.652))["optimum"]["set"]
        held += any(span["low"] - 0.005 <= 0.652 <= span["high"] + 0.005 for span in spans)
    # At rates of 5 and 95 %, counts beyond these would come up once in a thousand times.
    assert rejected <= binom.ppf(0.999, count, 0.05)
    assert held >= binom.ppf(0.001, count, 0.95)

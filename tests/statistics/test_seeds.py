"""PLW against PLW × seed: equal to a separate computation, and right where luck is smooth along w_p."""

import numpy as np
import pandas as pd
import pytest
from plw.statistics.checks import permutation_test
from plw.statistics.runs import complete_runs, relative_aggregate
from plw.statistics.seeds import huynh_feldt, seed_test
from scipy import stats
from simulated_scores import TABLE_3_SHORT, score_table, sweep_scores


def p_of_nulls(test, *, smooth: float, seeds: int, count: int, **changes) -> list[float]:
    frames = (sweep_scores(seed=s, coefficients=None, smooth=smooth, seeds=seeds, **changes) for s in range(count))
    return [test(complete_runs(frame)) for frame in frames]


def test_one_seed_gives_no_p_and_the_reason_that_it_cannot_separate_luck_from_effect():
    found = seed_test(complete_runs(sweep_scores(seed=1, coefficients=TABLE_3_SHORT, noise=0.02)))
    assert found["p"] is None and found["p_hotelling"] is None
    assert "one seed" in found["reason"] and "cannot be told" in found["reason"]


def test_the_statistic_is_that_of_a_repeated_measures_analysis():
    """Sums of squares by explicit projections, seeds within ptlms as subjects."""
    frame = sweep_scores(seed=5, coefficients=None, seeds=3)
    runs = complete_runs(frame)
    y = relative_aggregate(runs.scores).reshape(2, 3, 10)  # ptlm, seed, PLW: the order of the runs
    w = runs.table["w_p"].to_numpy()[:10]
    slopes = np.column_stack([w - w.mean(), (w - w.mean()) ** 2])
    projection = slopes - slopes.mean(axis=0)
    projection = projection @ np.linalg.inv(projection.T @ projection) @ projection.T
    effect = 6 * np.sum((projection @ y.mean(axis=(0, 1))) ** 2)
    error = np.sum((np.einsum("ij,msj->msi", projection, y - y.mean(axis=1, keepdims=True))) ** 2)
    found = seed_test(runs)
    assert found["freedom"] == [2, 8] and found["curves"] == 6
    assert found["statistic"] == pytest.approx((effect / 2) / (error / 8))
    epsilon = found["epsilon"]
    assert found["p"] == pytest.approx(stats.f.sf(found["statistic"], 2 * epsilon, 8 * epsilon))


def test_epsilon_is_one_for_equal_variances_and_at_its_bound_for_a_single_direction():
    assert huynh_feldt(np.eye(2), 30) == 1.0
    assert huynh_feldt(np.outer([1, 2], [1, 2]), 30) == pytest.approx(0.5, abs=0.02)
    assert huynh_feldt(np.eye(2), 1) == 0.5


@pytest.mark.slow
def test_smooth_luck_of_one_seed_fools_the_permutation_test_and_not_the_test_over_seeds():
    """The permutation test rejects 22 % of AR(1) nulls at ρ = 0.55 (benchmarks/bench_regression_calibration.py)."""
    permuted = p_of_nulls(lambda runs: permutation_test(runs, permutations=199, seed=1)["p"], smooth=0.55, seeds=1,
                          count=150)  # fmt: skip
    over_seeds = p_of_nulls(lambda runs: seed_test(runs)["p"], smooth=0.55, seeds=3, count=150)
    shared = p_of_nulls(lambda runs: seed_test(runs)["p"], smooth=0.55, seeds=3, count=150, shared=0.5)
    assert np.mean(np.array(permuted) <= 0.05) > 0.10
    # At a rate of 5 %, more rejections than this would come up once in a thousand times.
    most = stats.binom.ppf(0.999, 150, 0.05)
    for p in (over_seeds, shared):
        assert np.sum(np.array(p) < 0.05) <= most
        assert 0.35 < np.mean(p) < 0.65


@pytest.mark.slow
def test_an_effect_that_all_seeds_share_is_found():
    frames = [sweep_scores(seed=s, coefficients=TABLE_3_SHORT, noise=0.2, smooth=0.55, seeds=3) for s in range(20)]
    assert np.mean([seed_test(complete_runs(frame))["p"] < 0.05 for frame in frames]) > 0.9


def test_neighbouring_plws_are_seen_to_be_alike():
    def lag(smooth: float) -> float:
        frames = (sweep_scores(seed=s, coefficients=None, smooth=smooth, seeds=3) for s in range(10))
        return float(np.mean([seed_test(complete_runs(frame))["lag_1"] for frame in frames]))

    assert abs(lag(0.0)) < 0.1 < 0.3 < lag(0.55)


def test_ptlms_with_one_seed_and_plws_without_all_seeds_are_left_out_and_named():
    both = sweep_scores(seed=2, coefficients=None, seeds=2)
    frame = both[(both["ptlm"] == "m0") | (both["seed"] == 42)]
    frame = frame[(frame["seed"] == 42) | (frame["plw"] != 0.5)]
    found = seed_test(complete_runs(frame))
    assert found["left_out"] == ["m1"] and found["curves"] == 2
    assert 0.5 not in found["plws"] and len(found["plws"]) == 9
    assert 0 < found["p"] <= 1 and found["p_hotelling"] is None
    few = both[(both["seed"] == 42) | both["plw"].isin([0.0, 1.0])]
    assert "needs three" in seed_test(complete_runs(few))["reason"]


def test_seeds_that_agree_wholly_leave_no_error_to_test_against():
    one = score_table(datasets=("short",))
    two = one.assign(seed=43, run=one["run"] + "b")
    assert seed_test(complete_runs(pd.concat([one, two])))["reason"] == "the seeds' curves are the same"

"""Measures of the claims against independent computations."""

import math

import numpy as np
import pytest
from plw.claims.findings import Undecided, listed, plain
from plw.claims.measures import adjusted, increases, min_max, optimum, parabola, spearman, transformed
from scipy import stats

PLWS = (0.0, 0.0005, 0.01, 0.1, 0.5, 1.0)


def test_a_parabola_is_recovered_exactly():
    w = transformed(PLWS)
    curve = parabola(PLWS, 0.2 + 1.5 * w - 1.2 * w * w)
    assert (curve.b0, curve.b1, curve.b2) == pytest.approx((0.2, 1.5, -1.2))
    assert curve.vertex == pytest.approx(0.625)
    assert curve.r2 == pytest.approx(1.0)


def test_the_p_value_of_a_parabola_is_that_of_the_f_test_of_nested_models():
    rng = np.random.default_rng(3)
    w, y = transformed(PLWS), rng.normal(size=len(PLWS))
    curve = parabola(PLWS, y)
    fitted = np.polyval(np.polyfit(w, y, 2), w)
    small, large = np.sum((y - y.mean()) ** 2), np.sum((y - fitted) ** 2)
    assert curve.p == pytest.approx(stats.f.sf((small - large) / 2 / (large / 3), 2, 3))
    assert curve.r2 == pytest.approx(1 - large / small)
    assert curve.residual_sd == pytest.approx(math.sqrt(large / 3))


def test_a_parabola_through_three_points_has_no_p_value_and_two_points_have_no_parabola():
    assert math.isnan(parabola((0.0, 0.1, 1.0), np.array([1.0, 2.0, 1.0])).p)
    with pytest.raises(Undecided):
        parabola((0.0, 1.0), np.array([1.0, 2.0]))


def test_rank_correlation_equals_scipys_and_is_zero_without_variation():
    y = np.array([3.0, 1.0, 1.0, 4.0, 2.0, 9.0])
    assert spearman(PLWS, y) == pytest.approx(stats.spearmanr(PLWS, y).statistic)
    assert spearman(PLWS, np.ones(6)) == 0.0


def test_corrected_p_values_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    by_hand = [0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5]  # p(i) n / i, made monotone from the largest
    assert adjusted(p) == pytest.approx(by_hand)


def test_of_tied_optima_the_middle_one_counts():
    assert optimum(PLWS, np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0])) == 0.01
    assert optimum(PLWS, np.array([0.0, 1.0, 3.0, 1.0, 0.0, 0.0])) == 0.01


def test_min_max_scales_each_benchmark_over_ptlms_and_plws_together():
    values = np.array([[[1.0, 5.0], [2.0, 6.0]], [[3.0, 9.0], [1.5, 7.0]]])
    assert min_max(values)[..., 0] == pytest.approx(np.array([[0.0, 0.5], [1.0, 0.25]]))
    assert min_max(values).max(axis=(0, 1)) == pytest.approx([1, 1])


def test_increases_count_steps_that_go_up():
    assert increases(np.array([1.0, 2.0, 2.0, 1.0, 4.0])) == 2


def test_names_are_listed_as_a_person_would():
    assert listed([]) == "none"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed("abcdefgh", most=2) == "a, b and 6 more"


def test_numbers_become_what_json_can_hold():
    assert plain({"a": np.float64(1.5), "b": np.int64(2), "c": float("nan"), "d": np.array([1.0])}) == {
        "a": 1.5,
        "b": 2,
        "c": None,
        "d": [1.0],
    }
    assert plain(np.bool_(True)) is True

"""Measures of the claims against independent computations."""

import math

import numpy as np
import pytest
from plw.claims.findings import Undecided, listed, plain
from plw.claims.measures import (
    increases,
    line_slope,
    mean_curve,
    min_max,
    optimum,
    parabola,
    reached_by,
    spearman,
    transformed,
)
from scipy import stats

PLWS = (0.0, 0.0005, 0.01, 0.1, 0.5, 1.0)


def test_a_parabola_is_recovered_exactly():
    w = transformed(PLWS)
    curve = parabola(PLWS, 0.2 + 1.5 * w - 1.2 * w * w)
    assert [curve.b0, curve.b1, curve.b2] == pytest.approx([0.2, 1.5, -1.2])
    assert curve.vertex == pytest.approx(0.625)
    assert curve.r2 == pytest.approx(1.0)


def test_r_squared_and_residual_sd_are_those_of_least_squares():
    rng = np.random.default_rng(3)
    w, y = transformed(PLWS), rng.normal(size=(4, len(PLWS)))
    curve = parabola(PLWS, y)
    for place, line in enumerate(y):
        fitted = np.polyval(np.polyfit(w, line, 2), w)
        large = np.sum((line - fitted) ** 2)
        assert curve.r2[place] == pytest.approx(1 - large / np.sum((line - line.mean()) ** 2))
        assert curve.residual_sd[place] == pytest.approx(math.sqrt(large / 3))


def test_a_parabola_through_three_points_has_no_residual_sd_and_two_points_have_no_parabola():
    assert math.isnan(parabola((0.0, 0.1, 1.0), np.array([1.0, 2.0, 1.0])).residual_sd)
    with pytest.raises(Undecided):
        parabola((0.0, 1.0), np.array([1.0, 2.0]))


def test_a_curve_bends_where_it_rises_at_the_start_and_falls_at_the_end_only():
    w = transformed(PLWS)
    curves = np.array([w * (1 - w), w * (3 - w), -w * (1 - w), 1 - w])
    assert (parabola(PLWS, curves).bend > 1e-9).tolist() == [True, False, False, False]


def test_the_slope_of_a_line_is_that_of_least_squares():
    y = np.random.default_rng(1).normal(size=(3, len(PLWS)))
    expected = [stats.linregress(transformed(PLWS), line).slope for line in y]
    assert line_slope(PLWS, y) == pytest.approx(expected)


def test_most_values_reach_a_number_counted_as_a_share():
    values = np.array([[1.0, 4.0, 3.0, 2.0], [5.0, 5.0, 1.0, 1.0]])
    assert reached_by(values, 0.75).tolist() == [2.0, 1.0]
    assert reached_by(values, 0.5).tolist() == [3.0, 5.0]


def test_the_mean_curve_has_the_vertex_that_all_benchmarks_share():
    w = transformed(PLWS)
    level = np.linspace(0.2, 0.5, 5)
    values = level + 0.1 * (w * (1.2 - w))[:, None] * np.linspace(0.5, 2, 5)
    curve = mean_curve(PLWS, np.stack([values, values + 0.01])[None])
    assert curve.b1[0] > 0 > curve.b2[0]
    assert curve.vertex[0] == pytest.approx(0.6, abs=0.1)
    flat = mean_curve(PLWS, np.random.default_rng(5).normal(0.5, 0.01, (500, 2, len(PLWS), 13)))
    assert 0.02 < (flat.wald > stats.chi2.isf(0.05, 2)).mean() < 0.15  # no exact test: simulation calibrates it


def test_rank_correlation_equals_scipys_and_is_zero_without_variation():
    y = np.array([3.0, 1.0, 1.0, 4.0, 2.0, 9.0])
    assert spearman(PLWS, y) == pytest.approx(stats.spearmanr(PLWS, y).statistic)
    many = np.random.default_rng(2).integers(0, 4, size=(20, 6)).astype(float)
    expected = [stats.spearmanr(PLWS, line).statistic for line in many]
    assert spearman(PLWS, many) == pytest.approx(np.nan_to_num(expected))
    assert spearman(PLWS, np.ones(6)) == 0.0


def test_of_tied_optima_the_middle_one_counts():
    assert optimum(PLWS, np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0])) == 0.01
    assert optimum(PLWS, np.array([0.0, 1.0, 3.0, 1.0, 0.0, 0.0])) == 0.01


def test_min_max_scales_each_benchmark_over_ptlms_and_plws_together_in_each_world():
    values = np.array([[[1.0, 5.0], [2.0, 6.0]], [[3.0, 9.0], [1.5, 7.0]]])
    scaled = min_max(np.stack([values, 10 * values]))
    assert scaled[0, ..., 0] == pytest.approx(np.array([[0.0, 0.5], [1.0, 0.25]]))
    assert scaled[1] == pytest.approx(scaled[0])
    assert (min_max(np.ones((1, 2, 3, 1))) == 0.5).all()


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

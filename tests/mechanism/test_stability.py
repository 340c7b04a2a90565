"""Relative standard deviation of the loss over windows of updates."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plw.errors import InputError
from plw.mechanism.stability import Window, clipped_share, gradient_norms, loss_stability, warmup_updates
from tiny import tiny_instances, tiny_model

LOSSES = st.lists(st.floats(0.1, 10), min_size=5, max_size=40)


def rows(losses, rates=None) -> list[dict]:
    rates = rates or [1.0] * len(losses)
    return [
        {"step": float(step), "loss": loss, "learning_rate": rate}
        for step, (loss, rate) in enumerate(zip(losses, rates, strict=True), start=1)
    ]


@given(LOSSES)
def test_disjoint_windows_equal_numpy_on_a_reshaped_series_without_the_rest(losses):
    result = loss_stability(rows(losses))
    table = np.array(losses[: len(losses) // 5 * 5]).reshape(-1, 5)
    assert [window.rsd for window in result.windows] == pytest.approx(table.std(1, ddof=1) / table.mean(1), abs=1e-12)
    assert result.mean == pytest.approx((table.std(1, ddof=1) / table.mean(1)).mean(), abs=1e-12)
    assert [(w.first_step, w.last_step) for w in result.windows] == [(5 * i + 1, 5 * i + 5) for i in range(len(table))]


@given(LOSSES, st.sampled_from([0, 1]))
def test_rolling_windows_equal_numpy_on_a_sliding_view(losses, ddof):
    result = loss_stability(rows(losses), settings={"windows": "rolling", "ddof": ddof})
    table = np.lib.stride_tricks.sliding_window_view(np.array(losses), 5)
    expected = table.std(1, ddof=ddof) / table.mean(1)
    assert [window.rsd for window in result.windows] == pytest.approx(expected, abs=1e-12)


@given(LOSSES, st.floats(0.01, 100))
def test_scaling_the_loss_changes_nothing(losses, scale):
    scaled = loss_stability(rows([scale * loss for loss in losses]))
    assert scaled.mean == pytest.approx(loss_stability(rows(losses)).mean, abs=1e-9)


def test_fewer_updates_than_a_window_have_no_stability():
    assert loss_stability(rows([1.0] * 4)) is None
    assert loss_stability([]) is None


def test_warm_up_ends_where_the_learning_rate_is_largest_for_the_first_time():
    rates = [0.0, 0.5, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]
    assert warmup_updates(rows([1.0] * 8, rates)) == 2
    result = loss_stability(rows([9.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], rates), settings={"skip_warmup": True})
    assert result.windows == (Window(3, 7, 0.0),)


def test_a_constant_or_unlogged_learning_rate_has_no_warm_up():
    assert warmup_updates(rows([1.0] * 6)) == 0
    assert warmup_updates(rows([1.0] * 6, [None] * 6)) == 0


def test_a_loss_that_is_not_a_number_spoils_its_window_only():
    result = loss_stability(rows([1.0, 2.0, math.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]))
    assert [window.rsd for window in result.windows] == [None, 0.0]
    assert (result.mean, result.count) == (0.0, 1)


def test_losses_of_zero_have_no_relative_deviation():
    assert loss_stability(rows([0.0] * 5)) is None


@pytest.mark.parametrize(
    "settings", [{"window": 1}, {"windows": "overlapping"}, {"ddof": 2}, {"skip_warmup": "yes"}, {"size": 5}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError):
        loss_stability(rows([1.0] * 10), settings=settings)


def test_the_completions_stability_reads_the_completions_column_and_a_constant_one_has_none():
    logged = [row | {"completion_loss": 2.0} for row in rows([1.0, 2.0, 3.0, 4.0, 5.0])]
    assert loss_stability(logged, column="completion_loss").mean == 0.0
    assert loss_stability(logged).mean > 0
    varying = [row | {"completion_loss": 7 * row["loss"]} for row in logged]
    assert loss_stability(varying, column="completion_loss").mean == pytest.approx(loss_stability(varying).mean)


def test_updates_without_a_completion_have_no_stability_of_it():
    assert (
        loss_stability([row | {"completion_loss": None} for row in rows([1.0] * 5)], column="completion_loss") is None
    )


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.floats(0.1, 4))
def test_the_clipped_share_is_the_number_of_norms_above_the_limit(norms, limit):
    counted = len([norm for norm in norms if norm > limit])
    assert clipped_share(norms, limit=limit) * len(norms) == pytest.approx(counted)


def test_norms_that_are_not_there_or_not_finite_do_not_count():
    assert gradient_norms([{"grad_norm": 0.5}, {"grad_norm": None}, {"grad_norm": math.inf}, {}]) == [0.5]


@pytest.mark.slow  # trains a tiny model
def test_at_plw_0_the_loss_is_the_completions_where_an_update_is_divided_by_its_sum_of_weights(tmp_path):
    from training_runs import run  # loads torch and transformers

    tiny_model(tmp_path / "model")
    text = "".join(json.dumps(row) + "\n" for row in tiny_instances(44, seed=5))
    (tmp_path / "instances.jsonl").write_text(text)
    row = {"normalization": "sum_of_weights"}
    logged, _, record = run(tmp_path, tmp_path / "out", plw=0.0, row=row, normalization_unit="update")
    total = loss_stability(logged)
    assert total.mean > 0
    assert loss_stability(logged, column="completion_loss").mean == pytest.approx(total.mean, rel=1e-5)
    assert len(gradient_norms(logged)) == len(logged) == 6
    limit = record["training"]["max_grad_norm"]
    expected = np.mean([step["grad_norm"] > limit for step in logged])
    assert clipped_share(gradient_norms(logged), limit=limit) == expected

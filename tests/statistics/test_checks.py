"""The checks of the regression: against slow and separate computations, and on scores whose truth is known."""

import itertools
import json

import check_regression as program
import numpy as np
import pandas as pd
import pytest
from plw.errors import InputError
from plw.scores.bleu import corpus_bleu
from plw.scores.items import item_table, write_items
from plw.scores.table import aggregate
from plw.scores.transform import from_w_p
from plw.statistics.checks import check_regression, leave_one_out, permutation_test
from plw.statistics.r_calls import call_r
from plw.statistics.regression import regression_rows
from plw.statistics.resampling import critical_plw_bootstrap, item_matrices, paired_difference, resampled_aggregates
from plw.statistics.runs import complete_runs, parabola, relative_aggregate
from simulated_scores import TABLE_3_SHORT, score_table, sweep_scores

QUICK = {"leave_one_out": False, "item_model": False, "permutations": 199, "bootstrap": 100}


def short_scores(**changes) -> pd.DataFrame:
    return score_table(datasets=("short",), **changes)


def reduction(w_p: np.ndarray, ptlm: np.ndarray, values: np.ndarray) -> float:
    """How much the parabola reduces the residual sum of squares, by two explicit least squares fits."""
    dummies = (ptlm[:, None] == np.unique(ptlm)).astype(float)

    def rss(design: np.ndarray) -> float:
        return float(((values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2).sum())

    return rss(dummies) - rss(np.column_stack([dummies, w_p, w_p**2]))


def items_for(frame: pd.DataFrame, benchmarks, *, items: int = 50, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Item scores (0 or 1) of some benchmarks, and the scores with their means in place."""
    rng = np.random.default_rng(seed)
    rows, frame = [], frame.copy()
    for benchmark in benchmarks:
        hardness = rng.random(items)
        for index in frame.index[frame["benchmark"] == benchmark]:
            right = (hardness < frame.loc[index, "score"]).astype(float)
            rows += [(frame.loc[index, "run"], benchmark, item, score) for item, score in enumerate(right)]
            frame.loc[index, "score"] = right.mean()
    return item_table(rows).astype({"run": str, "benchmark": str}), frame


# ---- aggregate and permutation test


def test_the_vectorised_aggregate_is_that_of_figure_1():
    frame = short_scores()
    runs = complete_runs(frame)
    expected = aggregate(frame).set_index("run")["relative"].loc[runs.table["run"]]
    np.testing.assert_allclose(relative_aggregate(runs.scores), expected, rtol=1e-12)


def test_a_benchmark_without_spread_counts_one_half_in_the_aggregate():
    scores = np.array([[0.2, 0.7], [0.4, 0.7]])
    np.testing.assert_allclose(relative_aggregate(scores), [0.25, 0.75])


def test_the_statistic_is_the_reduction_of_the_residual_sum_of_squares():
    runs = complete_runs(short_scores())
    found = permutation_test(runs, permutations=9, seed=1)
    values = relative_aggregate(runs.scores)
    expected = reduction(runs.table["w_p"].to_numpy(), runs.table["ptlm"].to_numpy(), values)
    assert found["statistic"] == pytest.approx(expected)


def test_p_is_that_of_all_permutations_within_the_ptlms():
    frame = short_scores(plws=(0.0, 0.02463, 0.1, 1.0), benchmarks=5, noise=0.06)
    runs = complete_runs(frame)
    values = relative_aggregate(runs.scores)
    w_p, ptlm = runs.table["w_p"].to_numpy(), runs.table["ptlm"].to_numpy()
    observed = reduction(w_p, ptlm, values)
    reached = []
    for one, other in itertools.product(itertools.permutations(range(4)), repeat=2):
        reached.append(reduction(w_p, ptlm, values[[*one, *(4 + place for place in other)]]) >= observed - 1e-12)
    found = permutation_test(runs, permutations=20_000, seed=3)
    assert found["arrangements"] == len(reached) == 576
    assert found["p"] == pytest.approx(np.mean(reached), abs=4 * np.sqrt(0.25 / 20_000))


@pytest.mark.slow
def test_an_effect_gives_the_smallest_p_and_none_gives_evenly_spread_ones():
    strong = sweep_scores(seed=1, coefficients=TABLE_3_SHORT, noise=0.05)
    assert permutation_test(complete_runs(strong), permutations=199, seed=1)["p"] == 1 / 200
    p = [
        permutation_test(complete_runs(sweep_scores(seed=s, coefficients=None)), permutations=99, seed=s)["p"]
        for s in range(40)
    ]
    assert 0.35 < np.mean(p) < 0.65
    assert np.mean(np.array(p) < 0.2) < 0.4


@pytest.mark.slow
def test_luck_that_the_benchmarks_of_a_run_share_is_no_effect():
    p = [
        permutation_test(complete_runs(sweep_scores(seed=s, coefficients=None, shared=0.9)), permutations=99, seed=s)
        for s in range(40)
    ]
    assert np.mean([found["p"] <= 0.05 for found in p]) < 0.2


def test_seeds_are_blocks_of_their_own():
    frame = pd.concat([short_scores(), short_scores(seed=2).assign(seed=43, run=lambda f: f["run"] + "b")])
    assert len(np.unique(complete_runs(frame).blocks)) == 4


def test_too_few_weights_give_a_reason_and_no_p():
    found = permutation_test(complete_runs(short_scores(plws=(0.0, 1.0))), permutations=9, seed=1)
    assert found["p"] is None
    assert "three different PLWs" in found["reason"]


def test_runs_that_lack_benchmarks_are_left_out_and_named():
    frame = short_scores()
    runs = complete_runs(frame.drop(index=frame.index[0]))
    assert runs.left_out == [frame["run"].iloc[0]]
    assert len(runs.table) == 19


# ---- parabola and items


def test_the_parabola_is_the_least_squares_one():
    runs = complete_runs(short_scores())
    values = relative_aggregate(runs.scores)
    w_p = runs.table["w_p"].to_numpy()
    design = np.column_stack([runs.blocks == 0, runs.blocks == 1, w_p, w_p**2]).astype(float)
    expected = np.linalg.lstsq(design, values, rcond=None)[0][2:]
    found = parabola(runs, values[None, :])
    np.testing.assert_allclose([found["b1"][0], found["b2"][0]], expected, rtol=1e-9)
    assert found["vertex_w_p"][0] == pytest.approx(-expected[0] / (2 * expected[1]))


def test_on_sweeps_around_a_known_curve_the_critical_weight_is_within_a_twentieth():
    """A small version of benchmarks/bench_regression_calibration.py, which asks the same of the mixed model."""
    truth = from_w_p(TABLE_3_SHORT["w_p"] / (-2 * TABLE_3_SHORT["w_p2"]))
    hits = []
    for seed in range(30):
        runs = complete_runs(sweep_scores(seed=seed, coefficients=TABLE_3_SHORT, noise=0.05))
        found = parabola(runs, relative_aggregate(runs.scores)[None, :])
        hits.append(found["inside"][0] and abs(from_w_p(found["vertex_w_p"][0]) - truth) <= 0.05)
    assert np.mean(hits) >= 0.9


def test_without_a_maximum_inside_the_best_weight_is_the_better_border():
    runs = complete_runs(short_scores())
    w_p = runs.table["w_p"].to_numpy()
    curves = np.stack([w_p, -w_p, (w_p - 0.4) ** 2, -((w_p - 0.4) ** 2), w_p - 0.1 * w_p**2])
    found = parabola(runs, curves)
    np.testing.assert_allclose(found["best_w_p"], [1, 0, 1, 0.4, 1], atol=1e-9)
    assert found["inside"].tolist()[2:] == [False, True, False]


def test_items_are_resampled_alike_for_all_runs_and_their_mean_is_the_score():
    items, frame = items_for(short_scores(), ("b0", "b1"))
    runs = complete_runs(frame)
    matrices, fixed = item_matrices(runs, items)
    assert sorted(matrices) == ["b0", "b1"]
    assert fixed["b2"] == "no item scores"
    np.testing.assert_allclose(np.nanmean(matrices["b0"], axis=1), runs.scores[:, 0], atol=1e-12)
    # If two runs answer the same items rightly, no resample can part them: their difference is always zero.
    alike = matrices["b0"].copy()
    alike[1] = alike[0]
    drawn = resampled_aggregates(runs, {"b0": alike}, draws=50, seed=1)
    others = np.delete(runs.scores, 0, axis=1)
    apart = relative_aggregate(others)[1] - relative_aggregate(others)[0]
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], apart * 12 / 13, atol=1e-12)


def test_benchmarks_that_share_their_items_are_resampled_together_and_bleu_from_its_sentences():
    items, frame = items_for(short_scores(), ("b0", "b1"))
    rename = {"b0": "truthfulqa_mc2", "b1": "truthfulqa_gen", "b2": "wmt14_en_fr"}
    frame["benchmark"], items["benchmark"] = frame["benchmark"].replace(rename), items["benchmark"].replace(rename)
    rng = np.random.default_rng(1)
    rows = []
    for run in frame["run"].unique():
        right = rng.integers(0, 6, size=(12, 4)).cumsum(axis=1)[:, ::-1]
        rows += [(run, "wmt14_en_fr", item, np.nan, *right[item], *(right[item] + 8), 20, 18) for item in range(12)]
        score = float(corpus_bleu(np.array([row[4:] for row in rows[-12:]]).sum(axis=0)))
        frame.loc[(frame["run"] == run) & (frame["benchmark"] == "wmt14_en_fr"), "score"] = score
    runs = complete_runs(frame)
    matrices, fixed = item_matrices(runs, pd.concat([items, item_table(rows).astype({"run": str, "benchmark": str})]))
    assert matrices["wmt14_en_fr"].shape == (20, 12, 10) and "wmt14_en_fr" not in fixed
    alone = resampled_aggregates(runs, {"wmt14_en_fr": matrices["wmt14_en_fr"]}, draws=30, seed=1)
    assert alone.std(axis=0).min() > 0
    # The same answers on both tasks: what one task gains in a draw is what the other gains, never its opposite.
    same = matrices["truthfulqa_mc2"]
    pair = resampled_aggregates(runs, {"truthfulqa_mc2": same, "truthfulqa_gen": same}, draws=400, seed=1)
    apart = resampled_aggregates(runs, {"truthfulqa_mc2": same, "b4": same}, draws=400, seed=1)
    assert pair.var(axis=0).mean() > 1.3 * apart.var(axis=0).mean()


def test_items_that_do_not_give_the_score_are_not_resampled():
    items, frame = items_for(short_scores(), ("b0",))
    frame.loc[frame["benchmark"] == "b0", "score"] += 0.01
    _, fixed = item_matrices(complete_runs(frame), items)
    assert fixed["b0"] == "the items' means are not the scores"


def test_unscored_items_are_left_out_of_each_runs_own_mean():
    items, frame = items_for(short_scores(), ("b0",), items=20)
    first = frame["run"].iloc[0]
    items = items[~((items["run"] == first) & (items["item"] == 3))]
    frame.loc[0, "score"] = items.loc[items["run"] == first, "score"].mean()
    runs = complete_runs(frame)
    matrices, fixed = item_matrices(runs, items)
    assert "b0" not in fixed
    assert np.isfinite(resampled_aggregates(runs, matrices, draws=50, seed=1)).all()


def test_without_item_noise_the_bootstrap_stands_still_at_the_estimate():
    frame = sweep_scores(seed=4, coefficients=TABLE_3_SHORT, noise=0.02)
    runs = complete_runs(frame)
    constant = {"b0": np.repeat(runs.scores[:, :1], 8, axis=1)}
    found = critical_plw_bootstrap(runs, resampled_aggregates(runs, constant, draws=20, seed=1), alpha=0.05)
    plw = found["plw"]
    assert plw["low"] == pytest.approx(plw["estimate"]) == pytest.approx(plw["high"])
    assert plw["share_inside"] == found["share_downward"] == 1.0
    truth = from_w_p(TABLE_3_SHORT["w_p"] / (-2 * TABLE_3_SHORT["w_p2"]))
    assert plw["estimate"] == pytest.approx(truth, abs=0.05)


def test_no_interval_of_lambda_is_given_where_fewer_than_half_of_the_draws_have_a_maximum_inside():
    runs = complete_runs(short_scores())
    w_p = runs.table["w_p"].to_numpy()
    peak, rise = -((w_p - 0.4) ** 2), w_p
    for peaks, shown in ((6, True), (5, True), (4, False), (0, False)):
        found = critical_plw_bootstrap(runs, np.stack([peak] * peaks + [rise] * (10 - peaks)), alpha=0.05)["plw"]
        assert found["share_inside"] == peaks / 10
        assert (found["low"] is not None) == (found["high"] is not None) == (found["note"] is None) == shown
        if shown:
            assert found["low"] == pytest.approx(from_w_p(0.4))


def test_the_paired_difference_is_that_of_the_two_aggregates():
    items, frame = items_for(short_scores(), ("b0", "b3"))
    runs = complete_runs(frame)
    drawn = resampled_aggregates(runs, item_matrices(runs, items)[0], draws=200, seed=1)
    found = paired_difference(runs, drawn, [0.01, 0.0], alpha=0.05)
    means = aggregate(frame).set_index(["ptlm", "plw"])["relative"]
    for ptlm in ("weak", "strong"):
        entry = found["ptlms"][ptlm]
        assert entry["estimate"] == pytest.approx(means[ptlm, 0.01] - means[ptlm, 0.0])
        assert entry["low"] <= entry["median"] <= entry["high"]
    absent = paired_difference(runs, drawn, [0.3, 0.0], alpha=0.05)
    assert absent["ptlms"] == {}
    assert "weak" in absent["reason"]


# ---- leaving out benchmarks


@pytest.mark.r
@pytest.mark.slow
def test_a_benchmark_left_out_is_the_fit_to_the_others():
    frame = sweep_scores(seed=2, coefficients=TABLE_3_SHORT, benchmarks=4)
    rows = leave_one_out(frame, squeeze="smithson_verkuilen", poly="raw", alpha=0.05)
    assert [row.get("left_out") for row in rows] == [None, "b0", "b1", "b2", "b3"]
    for left_out, found in ((None, rows[0]), ("b2", rows[3])):
        part = frame[frame["benchmark"] != left_out]
        fit = call_r("fit_model", regression_rows(part), squeeze="smithson_verkuilen")
        assert found["converged"] == fit["converged"]
        if found["optimizer"] == fit["flags"]["optimizer"]:
            assert found["b1"] == pytest.approx(fit["coefficients"]["w_p"]["estimate"], rel=1e-6)
            assert found["vertex_w_p"] == pytest.approx(fit["critical"]["vertex"]["w_p"], rel=1e-6)


# ---- all checks, and the program


def test_without_items_there_is_a_reason_instead_of_a_bootstrap():
    result = check_regression(short_scores(), dataset="short", settings=QUICK)
    assert result["item_bootstrap"] is None
    off = dict.fromkeys(("leave_one_out", "item_model"), "switched off")
    assert result["reasons"] == {"item_bootstrap": "no table of item scores", **off}
    assert result["permutation"]["p"] <= 0.05


def test_an_unknown_setting_and_no_scores_are_refused():
    with pytest.raises(InputError, match="permutation"):
        check_regression(short_scores(), dataset="short", settings={"permutation": 3})
    with pytest.raises(InputError, match="'medium'"):
        check_regression(short_scores()[:0], dataset="medium")


def test_the_program_writes_all_checks(tmp_path):
    items, frame = items_for(short_scores(), ("b0", "b1", "b2"))
    frame.to_csv(tmp_path / "scores.csv", index=False)
    write_items(tmp_path / "items.parquet", items)
    program.main(
        ["--scores", str(tmp_path / "scores.csv"), "--items", str(tmp_path / "items.parquet"), "--dataset", "short",
         "--benchmarks", json.dumps([{"name": f"b{i}", "metric": "acc"} for i in range(13)]), "--seed", "5",
         "--settings", json.dumps(QUICK), "--out", str(tmp_path / "short.checks.json")]
    )  # fmt: skip
    result = json.loads((tmp_path / "short.checks.json").read_text())
    assert result["item_bootstrap"]["resampled"] == {"b0": 50, "b1": 50, "b2": 50}
    assert len(result["item_bootstrap"]["fixed"]) == 10
    assert set(result["paired_difference"]["ptlms"]) == {"weak", "strong"}
    assert result["permutation"]["seed"] == 5
    assert result["leave_one_out"] == []

"""The regression and its residual tests on data drawn from a model that is known: a small version of
benchmarks/bench_regression_calibration.py."""

import numpy as np
import pandas as pd
import pytest
from plw.statistics import r_calls
from plw.statistics.r_calls import call_r
from scipy.stats import binom
from simulated_scores import TABLE_3_SHORT, beta_data


@pytest.mark.r
@pytest.mark.slow
def test_intervals_cover_the_coefficients_of_table_3_that_the_data_were_drawn_with():
    seeds = range(16)
    truth = {**TABLE_3_SHORT, "vertex": -TABLE_3_SHORT["w_p"] / (2 * TABLE_3_SHORT["w_p2"])}
    hits = dict.fromkeys(("w_p", "w_p2", "vertex"), 0)
    estimates = []
    for seed in seeds:
        fit = call_r("fit_model", beta_data(seed=seed, coefficients=TABLE_3_SHORT))
        found = {**fit["coefficients"], "vertex": fit["critical"]["vertex"]}
        estimates.append(fit["coefficients"]["w_p"]["estimate"])
        for name in hits:
            hits[name] += found[name]["ci_low"] < truth[name] < found[name]["ci_high"]
        assert fit["test"]["wald"]["p"] < 0.05
    # Were the coverage 95 %, fewer hits than this would come up once in ten thousand times.
    fewest = binom.ppf(1e-4, len(seeds), 0.95)
    assert min(hits.values()) >= fewest, hits
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - TABLE_3_SHORT["w_p"]) < 4 * error


@pytest.mark.r
@pytest.mark.slow
def test_without_an_effect_about_one_test_in_twenty_rejects():
    """With 150 seeds (benchmarks/): Wald 10.7 ± 2.5 %, its F version 4.7 ± 1.7 %, likelihood ratio 6.7 ± 2.0 %."""
    seeds = range(16)
    null = {"intercept": -0.2, "w_p": 0.0, "w_p2": 0.0}
    rejected = {"wald": 0, "wald as F": 0, "likelihood ratio": 0}
    for seed in seeds:
        fit = call_r("fit_model", beta_data(seed=1000 + seed, coefficients=null))
        wald = fit["test"]["wald"]
        for name, p in zip(rejected, (wald["p"], wald["p_f"], fit["test"]["likelihood_ratio"]["p"]), strict=True):
            rejected[name] += p < 0.05
    # At a rate of 5 %, more rejections than this would come up once in ten thousand times.
    assert max(rejected.values()) <= binom.ppf(1 - 1e-4, len(seeds), 0.05), rejected


@pytest.mark.r
@pytest.mark.slow
def test_residual_tests_accept_data_from_the_model_and_reject_unequal_spread():
    def residuals(data: pd.DataFrame) -> dict:
        return call_r("analyse_scores", data, squeeze="none", sensitivity=False)["residuals"]

    good = residuals(beta_data(seed=5, coefficients=TABLE_3_SHORT))
    assert all(test["p_simulated"] > 0.005 for test in good["tests"].values()), good["tests"]
    loud = [beta_data(seed=5, coefficients=TABLE_3_SHORT, precision=precision) for precision in (200.0, 2.0)]
    mixed = loud[0].where(loud[0]["benchmark"].isin([f"b{i}" for i in range(7)]), loud[1])
    bad = residuals(mixed)["tests"]
    assert bad["levene_by_benchmark"]["p"] < 1e-4
    assert bad["levene_by_benchmark"]["p_simulated"] < 0.01
    assert not bad["levene_by_benchmark"]["passed"]


@pytest.mark.r
@pytest.mark.slow
def test_the_simulations_draw_random_effects_anew():
    """As DHARMa up to 0.4.6: the spread of a benchmark's simulated mean then includes its random slopes."""
    functions = r_calls.r_functions()
    data = beta_data(seed=5, coefficients=TABLE_3_SHORT)
    robjects = r_calls.start_r()
    robjects.r.assign("fitted_for_test", functions["prepare_data"](robjects.DataFrame(
        {name: robjects.FloatVector(column) if column.dtype == float else robjects.StrVector(list(column))
         for name, column in data.items()})))  # fmt: skip
    spread = robjects.r(
        "local({ d <- fitted_for_test; m <- glmmTMB::glmmTMB(score ~ poly(w_p, 2, raw = TRUE) +"
        " (0 + poly(w_p, 2, raw = TRUE) | benchmark) + (1 | ptlm), data = d,"
        " family = glmmTMB::beta_family());"
        " s <- as.matrix(simulate(m, nsim = 200, seed = 1)); one <- d$benchmark == 'b0';"
        " c(sd(colMeans(s[one, ])), sqrt(mean(apply(s[one, ], 1, var)) / sum(one))) })"
    )
    rm = robjects.r["rm"]
    rm("fitted_for_test")
    assert spread[0] > 2 * spread[1]  # far more than independent observations would give

"""The regression: equal to a plain Rscript fit, honest where it fails, right on data whose truth is known."""

import json
import subprocess
from pathlib import Path

import fit_glmm as program
import numpy as np
import pandas as pd
import pytest
import yaml
from plw.errors import InputError
from plw.scores.transform import POWER
from plw.statistics import r_calls
from plw.statistics.r_calls import call_r
from plw.statistics.regression import fit_dataset, regression_rows
from scipy.stats import norm
from simulated_scores import PLWS, TABLE_3_SHORT, beta_data, score_table, sweep_scores

QUICK = {"sensitivity": False, "simulations": 20}

# Independent of glmm.R: the paper's formula, written out once more.
PLAIN_R = r"""
d <- read.csv(commandArgs(TRUE)[1]); n <- nrow(d); d$y <- (d$score * (n - 1) + 0.5) / n
m <- glmmTMB::glmmTMB(y ~ poly(w_p, 2, raw = TRUE) + (0 + poly(w_p, 2, raw = TRUE) | benchmark) + (1 | ptlm),
                      data = d, family = glmmTMB::beta_family())
s <- summary(m)$coefficients$cond; invisible(loadNamespace("car"))
v <- c(s[, 1], s[, 2], car::Anova(m)[1, 3], car::Anova(m)[1, 1], sigma(m))
cat(sprintf("%.17g", v), sep = "\n")
"""


@pytest.fixture
def paper_table_3() -> dict:
    numbers = Path(__file__).resolve().parents[2] / "config" / "paper_numbers.yaml"
    return yaml.safe_load(numbers.read_text(encoding="utf-8"))["table_3"]


def short_scores(**changes) -> pd.DataFrame:
    return score_table(datasets=("short",), **changes)


def critical_plw(estimate: tuple[float, float, float], covariance: np.ndarray | None = None) -> dict:
    """The R function on given coefficients (intercept, w_p, w_p²)."""
    covariance = np.eye(3) * 1e-6 if covariance is None else covariance
    functions = r_calls.r_functions()
    robjects = r_calls.start_r()
    make = robjects.r(
        "function(b, v) list(estimate = setNames(b, c('intercept', 'w_p', 'w_p2')), covariance = matrix(v, 3))"
    )
    raw = make(robjects.FloatVector(estimate), robjects.FloatVector(covariance.ravel()))
    return json.loads(functions["to_json"](functions["critical_plw"](raw, 0.05))[0])


def numbers_in(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


# ---- equal to plain R


@pytest.mark.r
@pytest.mark.slow
def test_a_fit_is_glmmtmbs_own_to_the_last_bit_and_collects_no_garbage_first(tmp_path):
    (tmp_path / "plain.R").write_text("glmmTMB_without_collection <- function() glmmTMB::glmmTMB\n")
    rows = beta_data(seed=1, coefficients=TABLE_3_SHORT)
    collected = r_calls.start_r().r("function() sum(gc.time())")
    seconds, answers = [], []
    for files in (r_calls.R_FILES, (*r_calls.R_FILES, tmp_path / "plain.R")):
        before = collected()[0]
        answers.append(call_r("fit_model", rows, files=files))
        seconds.append(collected()[0] - before)
    assert answers[0] == answers[1] and answers[0]["converged"]
    assert seconds[0] < seconds[1]


@pytest.mark.r
@pytest.mark.slow
def test_coefficients_errors_and_p_equal_an_independent_rscript_fit(tmp_path):
    (tmp_path / "plain.R").write_text(PLAIN_R)
    for rows in (beta_data(seed=1, coefficients=TABLE_3_SHORT), regression_rows(short_scores())):
        rows.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
        command = ["Rscript", str(tmp_path / "plain.R"), str(tmp_path / "rows.csv")]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        fit = call_r("fit_model", rows, squeeze="smithson_verkuilen")
        assert fit["flags"]["optimizer"] == "nlminb"  # glmmTMB's default, which the plain fit uses
        names = ("intercept", "w_p", "w_p2")
        ours = [fit["coefficients"][name]["estimate"] for name in names]
        ours += [fit["coefficients"][name]["se"] for name in names]
        ours += [fit["test"]["wald"]["p"], fit["test"]["wald"]["chi_square"], fit["dispersion"]]
        np.testing.assert_allclose(ours, [float(line) for line in answer.stdout.split()], rtol=1e-6)


@pytest.mark.r
@pytest.mark.slow
def test_rpy2_and_rscript_give_the_same_numbers():
    frame = short_scores()
    one, other = (fit_dataset(frame, dataset="short", settings=QUICK, engine=engine) for engine in ("rpy2", "rscript"))
    assert len(numbers_in(one)) > 60
    np.testing.assert_allclose(numbers_in(other), numbers_in(one), rtol=1e-9, atol=1e-12)
    assert {**one, "engine": ""}.keys() == {**other, "engine": ""}.keys()


# ---- critical PLW


@pytest.mark.r
def test_the_printed_coefficients_give_the_printed_vertex_maximum_and_critical_plw(paper_table_3):
    for name, row in paper_table_3["rows"].items():
        found = critical_plw((row["intercept"], row["w_p"], row["w_p2"]))
        at_0, at_vertex, at_1 = paper_table_3["derived"]["score_scale"][name]
        assert found["predicted_score"]["at_w_p_0"] == pytest.approx(at_0, abs=5e-5)
        assert found["vertex"]["score"] == pytest.approx(at_vertex, abs=5e-5)
        assert found["predicted_score"]["at_w_p_1"] == pytest.approx(at_1, abs=5e-5)
        assert found["is_maximum"] and found["is_inside"]
        if name == "AlpacaDataShort":
            printed = paper_table_3["critical"]
            assert round(found["vertex"]["w_p"], 3) == printed["vertex_w_p"]
            assert round(found["vertex"]["linear_predictor"], 3) == printed["value"]
            assert round(found["plw"], 3) == printed["plw"]
        else:
            derived = paper_table_3["derived"]["vertex"][name]
            assert round(found["vertex"]["w_p"], 4) == derived["w_p"]
            assert round(found["plw"], 4) == derived["plw"]


@pytest.mark.r
def test_the_interval_of_the_vertex_equals_that_of_a_numerical_gradient():
    estimate = np.array([-1.043, 5.590, -4.284])
    root = np.array([[0.2, 0, 0], [-0.3, 0.4, 0], [0.2, -0.35, 0.3]])
    covariance = root @ root.T
    gradient = []
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-6
        up, down = estimate + step, estimate - step
        gradient.append((-up[1] / (2 * up[2]) + down[1] / (2 * down[2])) / 2e-6)
    error = np.sqrt(gradient @ covariance @ np.array(gradient))
    found = critical_plw(tuple(estimate), covariance)
    assert found["vertex"]["se"] == pytest.approx(error, rel=1e-6)
    low, high = (max(0.0, min(1.0, found["vertex"][name])) for name in ("ci_low", "ci_high"))
    assert found["plw_ci_low"] == pytest.approx(low ** (1 / POWER))
    assert found["plw_ci_high"] == pytest.approx(high ** (1 / POWER))


@pytest.mark.r
@pytest.mark.parametrize(("z_bend", "kind"), [(5.0, "interval"), (1.2, "two rays"), (0.3, "everything")])
def test_fiellers_set_is_all_places_where_the_slope_is_not_clear_of_zero(z_bend, kind):
    estimate = np.array([0.0, 1.0, -1.0])
    slope = {"interval": 0.2, "two rays": 0.2, "everything": 4.0}[kind]
    covariance = np.diag([0.01, slope**2, (1 / z_bend) ** 2])
    found = critical_plw(tuple(estimate), covariance)
    assert found["fieller"]["kind"] == kind
    inside = np.zeros(10_001, dtype=bool)
    grid = np.linspace(0, 1, len(inside))
    for part in found["fieller"]["inside"]:
        inside |= (grid >= part["low"]) & (grid <= part["high"])
    z = (1.0 - 2 * grid) / np.sqrt(slope**2 + 4 * grid**2 * covariance[2, 2])
    np.testing.assert_array_equal(inside, np.abs(z) <= norm.ppf(0.975))
    # The interval that is printed: the delta method's where the bend is clear, else the hull of the set.
    assert found["interval"] == ("delta" if kind == "interval" else "fieller")
    if kind != "interval":
        hull = np.array([grid[inside].min(), grid[inside].max()])
        np.testing.assert_allclose([found["plw_ci_low"], found["plw_ci_high"]], hull ** (1 / POWER), atol=1e-3)
        assert "not clear of zero" in found["note"]


@pytest.mark.r
@pytest.mark.parametrize(
    ("estimate", "note"),
    [((0.0, -1.0, 1.0), "opens upward"), ((0.0, 3.0, -1.0), "fit is best at w_p = 1"),
     ((0.0, -1.0, -1.0), "fit is best at w_p = 0")],
)  # fmt: skip
def test_without_a_maximum_inside_there_is_no_critical_plw_and_the_reason_is_told(estimate, note):
    found = critical_plw(estimate)
    assert found["plw"] is None
    assert found["plw_ci_low"] is None
    assert note in found["note"]


@pytest.mark.r
def test_an_interval_that_reaches_the_border_is_cut_there_and_says_so():
    found = critical_plw((0.0, 1.9, -1.0), np.diag([0.01, 0.01, 0.1]))
    assert found["plw_ci_high"] == 1.0
    assert "cut there" in found["note"]


# ---- models


@pytest.mark.r
def test_squeeze_rules_keep_to_their_formulas_and_leave_the_open_interval():
    functions, robjects = r_calls.r_functions(), r_calls.start_r()
    scores = np.array([0.0, 0.25, 0.5, 1.0])

    def squeeze(rule: str) -> np.ndarray:
        return np.array(functions["squeeze_scores"](robjects.FloatVector(scores), rule))

    np.testing.assert_allclose(squeeze("smithson_verkuilen"), (scores * 3 + 0.5) / 4)
    np.testing.assert_allclose(squeeze("clamp_0.01"), [0.01, 0.25, 0.5, 0.99])
    np.testing.assert_allclose(squeeze("pad_0.1"), (scores + 0.1) / 1.2)
    np.testing.assert_array_equal(squeeze("none"), scores)
    for wrong in ("clamp", "clamp_0.6", "pad_x", "winsor"):
        with pytest.raises(robjects.rinterface.embedded.RRuntimeError):
            squeeze(wrong)


@pytest.mark.r
@pytest.mark.slow
def test_with_a_random_intercept_the_basis_of_the_polynomial_makes_no_difference():
    data = beta_data(seed=3, coefficients=TABLE_3_SHORT)
    raw, orthogonal = (
        call_r("fit_model", data, structure="with_intercept", basis=basis) for basis in ("raw", "orthogonal")
    )
    assert orthogonal["loglik"] == pytest.approx(raw["loglik"], abs=1e-3)
    for name in ("intercept", "w_p", "w_p2"):
        assert orthogonal["coefficients"][name]["estimate"] == pytest.approx(
            raw["coefficients"][name]["estimate"], rel=2e-3, abs=2e-3
        )


@pytest.mark.r
def test_zeros_and_ones_without_a_squeeze_are_an_error_in_the_result_not_a_crash():
    rows = regression_rows(short_scores())
    fit = call_r("fit_model", rows, squeeze="none")
    assert not fit["converged"]
    assert "0 < y < 1" in fit["error"]
    assert "coefficients" not in fit


@pytest.mark.r
@pytest.mark.slow
def test_with_one_ptlm_its_term_is_left_out_and_that_is_told():
    result = fit_dataset(short_scores(ptlms=("weak",)), dataset="short", settings=QUICK)
    assert "ptlm" not in result["fit"]["formula"]
    assert result["fit"]["dropped_terms"] == ["(1 | ptlm) left out: there is only one ptlm"]
    assert not any(name.endswith("ptlm") for name in result["residuals"]["tests"])


@pytest.mark.r
@pytest.mark.slow
def test_several_seeds_become_a_random_effect():
    frame = short_scores(plws=(0.0, 0.1, 1.0), benchmarks=5)
    again = score_table(seed=2, datasets=("short",), plws=(0.0, 0.1, 1.0), benchmarks=5)
    frame = pd.concat([frame, again.assign(seed=43, run=again["run"].str.replace("s42", "s43"))])
    result = fit_dataset(frame, dataset="short", settings=QUICK)
    assert "(1 | seed)" in result["fit"]["formula"]
    assert result["design"]["seeds"] == 2


@pytest.mark.r
@pytest.mark.slow
def test_scores_that_say_nothing_give_a_flag_and_no_bare_p_value():
    frame = short_scores(plws=(0.0, 0.1, 1.0), benchmarks=3).assign(score=0.4)
    with pytest.warns(UserWarning, match="constant"):
        result = fit_dataset(frame, dataset="short", settings=QUICK)
    assert result["converged"] is False
    assert result["constant_benchmarks"] == ["b0", "b1", "b2"]
    fit = result["fit"]
    assert fit["flags"]["warnings"] or fit["flags"]["error"] or not fit["flags"]["pd_hessian"]
    assert {"converged", "attempts", "flags"} <= fit.keys()


@pytest.mark.r
@pytest.mark.slow
def test_a_benchmark_that_all_runs_score_the_same_on_is_in_no_fit_but_a_row_that_says_so():
    frame = short_scores(plws=(0.0, 0.1, 0.5, 1.0), benchmarks=6)
    frame.loc[frame["benchmark"] == "b2", "score"] = 0.7
    with pytest.warns(UserWarning, match="constant"):
        result = fit_dataset(frame, dataset="short", settings={"simulations": 20, "reduced_models": False})
    without = frame[frame["benchmark"] != "b2"]
    plain = fit_dataset(without, dataset="short", settings=QUICK)
    assert result["constant_benchmarks"] == ["b2"]
    assert (result["design"]["rows"], result["rows_fitted"], plain["rows_fitted"]) == (48, 40, 40)
    np.testing.assert_allclose(numbers_in(result["fit"]["coefficients"]), numbers_in(plain["fit"]["coefficients"]))
    row = next(row for row in result["sensitivity"] if row["name"] == "constant benchmarks in, at 0.5")
    assert row["coefficients"]["w_p"]["estimate"] != pytest.approx(plain["fit"]["coefficients"]["w_p"]["estimate"])
    assert not any(row["name"].startswith("constant") for row in
                   fit_dataset(without, dataset="short", settings={"simulations": 20})["sensitivity"])  # fmt: skip


@pytest.mark.r
@pytest.mark.slow
def test_an_optimizer_that_stops_below_a_singular_optimum_has_not_converged():
    """Here nlminb complains at a singular optimum and BFGS stops without complaint 0.0015 below it."""
    fit = call_r("fit_model", regression_rows(sweep_scores(seed=1, coefficients=None, benchmarks=6)),
                 squeeze="smithson_verkuilen")  # fmt: skip
    first, second = fit["attempts"]
    assert not first["converged"] and first["singular"]
    assert second["pd_hessian"] and second["finite_se"] and second["optimizer_code"] == 0
    assert 1e-4 < first["loglik"] - second["loglik"] < 0.01
    assert not second["converged"] and "below" in second["warnings"][0]
    assert not fit["converged"] and fit["singular"]


@pytest.mark.r
@pytest.mark.slow
def test_an_intercept_for_each_ptlm_and_benchmark_is_fitted_beside_the_papers_model():
    """Where ptlms stand differently on each benchmark, (1 | ptlm) leaves that in the noise; the other row does not."""
    result = fit_dataset(sweep_scores(seed=3, coefficients=TABLE_3_SHORT, ptlm_sd=0.4), dataset="short",
                         settings={"simulations": 20, "squeeze_alternatives": []})  # fmt: skip
    row = next(row for row in result["sensitivity"] if "ptlm:benchmark" in row["name"])
    assert "(1 | ptlm:benchmark)" in row["formula"] and "(1 | ptlm)" not in row["formula"]
    assert "(1 | ptlm)" in result["fit"]["formula"]
    assert row["loglik"] > result["fit"]["loglik"] + 10
    assert row["test"]["wald"]["p"] < result["fit"]["test"]["wald"]["p"]


# ---- designs and errors


def test_two_plws_are_too_few_for_a_parabola():
    with pytest.raises(InputError, match="three different PLWs"):
        fit_dataset(short_scores(plws=(0.0, 1.0)), dataset="short")


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="Too few rows"):
        fit_dataset(short_scores(plws=(0.0, 0.1, 1.0), benchmarks=1), dataset="short")


def test_no_scores_at_all_name_the_data_set():
    with pytest.raises(InputError, match="'medium'"):
        fit_dataset(short_scores().iloc[:0], dataset="medium")


def test_an_incomplete_design_is_refused_and_counted():
    with pytest.raises(InputError, match="259 of 260") as error:
        fit_dataset(short_scores().iloc[1:], dataset="short")
    assert "allow_partial" in str(error.value)


def test_a_benchmark_or_a_run_that_is_missing_altogether_is_refused_too():
    frame = short_scores()
    with pytest.raises(InputError, match="260 of 280") as error:
        fit_dataset(frame, dataset="short", benchmarks=[f"b{i}" for i in range(13)] + ["pandalm"])
    assert "no scores of pandalm" in str(error.value)
    with pytest.raises(InputError, match="260 of 390"):
        fit_dataset(frame, dataset="short", runs=30)


@pytest.mark.r
@pytest.mark.slow
def test_an_incomplete_design_that_is_allowed_says_how_many_rows_it_has():
    frame = short_scores(plws=(0.0, 0.1, 1.0), benchmarks=5).iloc[2:]
    result = fit_dataset(frame, dataset="short", settings=QUICK, allow_partial=True)
    assert result["design"]["rows"] == 28
    assert result["design"]["expected_rows"] == 30
    assert result["design"]["complete"] is False


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="squeese") as error:
        fit_dataset(short_scores(), dataset="short", settings={"squeese": "none"})
    assert "squeeze_alternatives" in str(error.value)


# ---- the program


@pytest.mark.r
@pytest.mark.slow
def test_the_program_writes_everything_about_the_fit(tmp_path):
    frame = score_table(plws=PLWS[::3], benchmarks=6)
    frame.to_csv(tmp_path / "scores.csv", index=False)
    program.main(
        ["--scores", str(tmp_path / "scores.csv"), "--dataset", "short", "--seed", "7",
         "--benchmarks", json.dumps([{"name": f"b{i}", "metric": "acc"} for i in range(6)]),
         "--settings", json.dumps({"simulations": 20, "alpha": 0.1}),
         "--out", str(tmp_path / "out" / "short.json")]
    )  # fmt: skip
    result = json.loads((tmp_path / "out" / "short.json").read_text())
    assert result["design"]["rows"] == 48
    assert result["settings"]["seed"] == 7
    assert result["settings"]["alpha"] == 0.1
    names = [row["name"] for row in result["sensitivity"]]
    assert names == [
        "squeeze clamp_0.01", "squeeze clamp_0.001", "orthogonal polynomials",
        "random intercept too, (1 + poly | benchmark)",
        "an intercept for each PTLM and benchmark, (1 | ptlm:benchmark)", "reduced: (1 | benchmark)",
        "reduced: (0 + w_p | benchmark)", "reduced: ptlm as a fixed factor",
    ]  # fmt: skip
    for fit in [result["fit"], *result["sensitivity"]]:
        assert isinstance(fit["converged"], bool)
        assert fit["flags"].keys() >= {"optimizer_code", "pd_hessian", "finite_se", "warnings"}
    assert result["versions"]["glmmTMB"]
    assert result["residuals"]["implementation"]

"""Claims where the evidence is thin, on the border, or silent: what is said, and what is not claimed."""

from dataclasses import replace

import numpy as np
import pytest
from claim_evidence import (
    BENCHMARKS,
    BLEU,
    CLAIMS,
    GROUP_1,
    HUMP,
    PLWS,
    RSD,
    SEVEN,
    W_P,
    WORLDS,
    as_in_the_paper,
    curve_over,
    fit,
    run_table,
    with_fit,
    with_measure,
    with_optimum,
    with_scores,
)
from plw.claims.evidence import Evidence
from plw.claims.findings import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Undecided
from plw.claims.judging import judge, measure
from plw.claims.reading import read_claims
from plw.claims.simulation.studies import simulate

CLAIM = {claim["id"]: claim for claim in read_claims(CLAIMS)}
SHORT = {"dataset": "short", "regularizer": "none"}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return as_in_the_paper()


def _small(evidence: Evidence) -> Evidence:
    return replace(evidence, ptlms=[{**entry, "parameters": 1e6} for entry in evidence.ptlms])


def _constant(evidence: Evidence, benchmarks) -> Evidence:
    return with_scores(evidence, lambda score, _: 0.25, dataset="short", benchmark=benchmarks)


def open_reason(name, evidence) -> str:
    with pytest.raises(Undecided) as undecided:
        measure(CLAIM[name], evidence)
    return undecided.value.reason


@pytest.fixture(scope="module")
def studies(evidence):
    return simulate(evidence, WORLDS, number=100, seed=1)


@pytest.mark.parametrize("name", ["C01", "C02", "C03", "C06", "C18"])
def test_a_fit_that_did_not_converge_decides_nothing(evidence, name):
    unconverged = with_fit(evidence, "AlpacaDataShort", p=0.001, b1=5.59, b2=-4.284, converged=False)
    assert "did not converge" in open_reason(name, unconverged)


@pytest.mark.slow
def test_tests_that_disagree_make_the_effect_inconclusive_and_are_named(evidence, studies):
    assert judge(CLAIM["C01"], evidence, studies).verdict == SUPPORTED
    for changes, said in (
        ({"checks": {"AlpacaDataShort": {"permutation": {"p": 0.6}}}}, "permutation"),
        ({"checks": {"AlpacaDataShort": {"seed_test": {"p": 0.2}}}}, "PLW × seed"),
        (
            {"checks": {"AlpacaDataShort": {"item_model": {"converged": True, "test": {"p": 0.3}}}}},
            "item-level model",
        ),
    ):
        finding = judge(CLAIM["C01"], replace(evidence, **changes), studies)
        assert finding.verdict == INCONCLUSIVE
        assert "tests disagree" in finding.reason and said in finding.reason
    other = with_fit(
        evidence, "AlpacaDataShort", p=0.001, b1=5.59, b2=-4.284, reduced={"(1|ptlm:benchmark)": (0.147, True)}
    )
    assert "ptlm:benchmark" in judge(CLAIM["C01"], other, studies).reason


@pytest.mark.slow
def test_no_effect_is_not_supported_where_a_test_rejects(evidence, studies):
    assert judge(CLAIM["C04"], evidence, studies).verdict == SUPPORTED
    finding = judge(CLAIM["C04"], with_fit(evidence, "AlpacaData", p=0.01, b1=1.0, b2=-1.0), studies)
    assert finding.verdict == INCONCLUSIVE and "AlpacaData" in finding.reason


@pytest.mark.slow
def test_a_sign_that_the_two_forms_of_the_model_do_not_share_is_unknown(evidence, studies):
    upward = with_fit(evidence, "AlpacaDataShort", p=0.001, b1=-0.3, b2=0.75)
    assert judge(CLAIM["C02"], upward, studies).verdict == INCONCLUSIVE


def test_near_the_printed_plw_is_asked_of_the_interval_and_not_of_the_point(evidence):
    rng = np.random.default_rng(2)
    hardly = curve_over(0.005 * W_P * (1.3 - W_P))
    wild = with_scores(
        evidence, lambda s, rows: hardly(s, rows) + 0.02 * rng.normal(size=len(rows)), **SHORT, benchmark=SEVEN
    )
    found = measure(CLAIM["C03"], wild)
    assert not found.holds


def test_without_a_maximum_inside_there_is_no_plw_to_compare_with_the_figure(evidence):
    assert "no maximum" in open_reason("C18", with_fit(evidence, "AlpacaDataShort", p=0.001, b1=5.0, b2=-1.0))


def test_a_best_plw_between_two_points_of_the_grid_is_where_the_line_between_them_is_high(evidence):
    for vertex in (0.41, 0.45, 0.49):  # between PLW 0.05 and 0.1, both of them high
        found = measure(CLAIM["C18"], with_fit(evidence, "AlpacaDataShort", p=0.001, b1=8 * vertex, b2=-4.0))
        assert found.holds, (vertex, found)


def test_warnings_are_those_of_the_default_optimizer_where_they_are_known(evidence):
    rescued = fit(p=0.2, b1=1.0, b2=-1.0, converged=True)
    rescued["fit"]["default_optimizer_converged"] = False
    found = measure(CLAIM["C05"], replace(evidence, regressions={**evidence.regressions, "AlpacaDataCleaned": rescued}))
    assert found.holds and found.numbers["not converged in the end AlpacaDataCleaned"] is False


def test_residual_tests_fail_by_bonferroni_and_passing_proves_nothing(evidence):
    found = evidence.regressions["AlpacaDataShort"]
    for tests, verdict in (
        ({**found["residuals"]["tests"], "outliers": {"p": 0.008}}, CONTRADICTED),  # 6 × 0.008 < 0.05
        ({**found["residuals"]["tests"], "outliers": {"p": 0.02}}, INCONCLUSIVE),
        ({**found["residuals"]["tests"], "outliers": {"p": None, "p_simulated": 0.06}}, INCONCLUSIVE),
        ({"outliers": {"p": 0.9}}, INCONCLUSIVE),
    ):
        changed = {**evidence.regressions, "AlpacaDataShort": {**found, "residuals": {"tests": tests}}}
        assert judge(CLAIM["C06"], replace(evidence, regressions=changed)).verdict == verdict


def test_a_constant_benchmark_is_left_out_and_named(evidence):
    found = measure(CLAIM["C07"], _constant(evidence, GROUP_1[:1]))
    assert found.holds
    assert "ARC Challenge left out because all runs score the same" in found.notes
    assert not any(name.startswith("ARC") for name in found.numbers)


@pytest.mark.parametrize("name", ["C07", "C08", "C09", "C24"])
def test_a_group_that_is_mostly_constant_is_no_evidence_either_way(evidence, name):
    flat = with_scores(evidence, lambda score, _: 0.25, benchmark=GROUP_1[:3])
    assert "score the same" in open_reason(name, flat)


@pytest.mark.parametrize("name", ["C12", "C17", "C23", "C30", "C36"])
def test_constant_benchmarks_do_not_change_where_the_others_lie(evidence, name):
    assert measure(CLAIM[name], _constant(evidence, GROUP_1[:1])).holds


def test_three_of_four_benchmarks_are_enough_for_the_inverted_u_and_two_are_not(evidence):
    for number, holds in ((1, True), (2, False)):
        changed = with_scores(evidence, curve_over(0.018 * W_P), **SHORT, benchmark=GROUP_1[:number])
        assert measure(CLAIM["C07"], changed).holds == holds


@pytest.mark.parametrize("rounding", [0.0, 2e-16, -2e-16], ids=["exact", "a hair down", "a hair up"])
def test_scores_that_are_equal_but_for_the_rounding_of_their_means_are_a_tie_and_no_decline(evidence, rounding):
    level = np.array(HUMP)
    level[-2:] = 0.016, 0.016 - rounding
    found = measure(CLAIM["C24"], with_scores(evidence, curve_over(level), **SHORT, benchmark=GROUP_1[:2]))
    assert found.estimate[0] == 0 and not found.holds


def test_optima_just_outside_the_range_are_outside(evidence):
    changed = with_scores(evidence, curve_over(np.roll(HUMP, 2)), **SHORT, benchmark=GROUP_1[:1])  # best at 0.2463
    found = measure(CLAIM["C08"], changed)
    assert not found.holds and found.estimate[0] == pytest.approx(0.656 - 0.5, abs=1e-3)


def test_a_tie_for_the_lowest_counts_in_part(evidence):
    tied = np.where(np.array(PLWS) <= 0.0005, 0.0, HUMP)
    found = measure(CLAIM["C12"], with_scores(evidence, curve_over(tied), **SHORT, benchmark=GROUP_1))
    assert found.estimate[0] == pytest.approx((4 * 0.5 + 3) / 7)


@pytest.mark.parametrize(("ratio", "holds"), [(1.61, True), (2.59, True), (1.59, False), (2.61, False)])
def test_the_halving_of_the_rsd_has_two_bounds(evidence, ratio, holds):
    curve = np.array(RSD)
    curve[PLWS.index(0.01)], curve[PLWS.index(0.1)] = ratio / 32, 1 / 32
    assert measure(CLAIM["C21"], with_measure(evidence, "rsd", curve, datasets=["short"])).holds == holds


def test_below_the_papers_scale_memorisation_need_only_be_level(evidence):
    low = with_measure(_small(evidence), "memorisation_bleu", BLEU - 60)
    assert measure(CLAIM["C26"], low).holds
    nothing = with_measure(_small(evidence), "memorisation_bleu", BLEU / 10)
    assert "hardly anything is memorised" in open_reason("C26", nothing)
    assert "nothing to lose" in open_reason("C27", nothing)
    sloping = BLEU - 60 + np.linspace(6, 0, len(BLEU))
    assert not measure(CLAIM["C26"], with_measure(low, "memorisation_bleu", sloping)).holds


def test_a_last_step_a_hair_upward_does_not_undo_a_fall(evidence):
    curve = np.array(BLEU)
    curve[-1] = curve[-2] + 0.1
    assert measure(CLAIM["C27"], with_measure(evidence, "memorisation_bleu", curve)).holds


def test_a_ptlm_of_unknown_size_is_not_taken_for_the_papers(evidence):
    unknown = [{key: value for key, value in entry.items() if key != "parameters"} for entry in evidence.ptlms]
    assert "Below the paper's scale" in measure(CLAIM["C26"], replace(evidence, ptlms=unknown)).words


@pytest.mark.parametrize("name", ["C33", "C34"])
def test_four_plws_are_measured_and_their_thinness_is_said(evidence, name):
    other = evidence.scores["dataset"].isin(["plain", "cleaned", "short"])
    thin = evidence.scores[other | evidence.scores["plw"].isin([0.0, 0.01, 0.1, 1.0])].reset_index(drop=True)
    found = measure(CLAIM[name], replace(evidence, scores=thin, runs=run_table(thin)))
    assert "4 PLWs where the paper has 10" in found.notes


def test_three_plws_cannot_carry_an_r_squared(evidence):
    thin = evidence.scores[evidence.scores["plw"].isin([0.0, 0.1, 1.0])].reset_index(drop=True)
    thin_evidence = replace(evidence, scores=thin, runs=run_table(thin))
    for name in ("C15", "C17", "C34"):
        assert open_reason(name, thin_evidence)


def test_a_plw_that_was_not_run_is_named(evidence):
    fewer = evidence.scores[evidence.scores["plw"] != 0.01].reset_index(drop=True)
    assert "PLW 0.01" in open_reason("C23", replace(evidence, scores=fewer, runs=run_table(fewer)))


def test_without_a_run_table_the_scores_are_the_plan(evidence):
    alone = replace(evidence, runs=None)
    assert all(measure(claim, alone).holds for name, claim in CLAIM.items() if name != "C40")


def test_an_optimum_in_a_flat_row_is_said_to_mean_little(evidence):
    for name, model in (("C35", "All"), ("C37", "Gen")):
        assert "means little" in measure(CLAIM[name], with_optimum(evidence, model, 0.5, starred=True)).notes


def test_optima_on_the_same_end_of_the_scale_are_no_evidence_on_their_order(evidence):
    tied = with_optimum(with_optimum(evidence, "Gen", 0.5, plw=1.0), "MC", 0.5, plw=1.0)
    assert measure(CLAIM["C37"], tied).holds
    for r_g in (1.0, 1.5):
        tied = with_optimum(with_optimum(tied, "Gen", r_g, plw=1.0), "MC", r_g, plw=1.0)
    assert "order cannot be seen" in open_reason("C37", tied)


def test_additive_models_say_nothing_beyond_their_data_sets(evidence):
    narrow = replace(evidence, gam={**evidence.gam, "levels": {"plain": 3.3, "cleaned": 7.9, "short": 2.6}})
    for name in ("C35", "C37"):
        assert "outside the data sets" in open_reason(name, narrow)


def test_an_additive_model_that_was_not_fitted_gives_its_reason(evidence):
    gam = {"fits": {"All": {"w_p": {"reason": "only 2 different ratios", "rows": []}}}, "levels": {}}
    assert "only 2 different ratios" in open_reason("C35", replace(evidence, gam=gam))


def test_other_tokenizers_and_parts_of_the_data_are_not_compared_with_table_1(evidence):
    own = {role: {**found, "tokenizer": {"path": "world/ptlms/strong"}} for role, found in evidence.statistics.items()}
    assert judge(CLAIM["C39"], replace(evidence, statistics=own)).verdict == INCONCLUSIVE
    part = {role: {**found, "rows": 420} for role, found in evidence.statistics.items()}
    assert judge(CLAIM["C39"], replace(evidence, statistics=part)).verdict == INCONCLUSIVE


def test_a_total_that_differs_while_the_means_agree_reproduces_table_1_and_says_so(evidence):
    found = evidence.statistics["DatabricksDollyShort"]
    near = {**evidence.statistics, "DatabricksDollyShort": {**found, "total_tokens": found["total_tokens"] + 3}}
    finding = judge(CLAIM["C39"], replace(evidence, statistics=near))
    assert finding.verdict == SUPPORTED
    assert "Totals of DatabricksDollyShort differ" in finding.reason


def test_ultra_feedback_short_without_the_papers_filter_is_not_held_against_table_1(evidence):
    found = evidence.statistics["UltraFeedbackShort"]
    unfiltered = {**found, "rows": 60713, "total_tokens": 20000000}
    finding = judge(
        CLAIM["C39"], replace(evidence, statistics={**evidence.statistics, "UltraFeedbackShort": unfiltered})
    )
    assert finding.verdict == SUPPORTED
    assert "Not here: UltraFeedbackShort" in finding.reason


def test_a_registry_without_a_group_leaves_its_claims_open(evidence):
    without = [entry for entry in BENCHMARKS if entry["group"] != "III"]
    assert "group III" in open_reason("C15", replace(evidence, benchmarks=without))

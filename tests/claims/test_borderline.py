"""Claims where the evidence is thin, on the border, or silent: what is said, and what is not claimed."""

from dataclasses import replace

import numpy as np
import pytest
from claim_evidence import (
    BENCHMARKS,
    BLEU,
    CLAIMS,
    CLIMB,
    GROUP_1,
    HUMP,
    PLWS,
    RSD,
    SEVEN,
    as_in_the_paper,
    curve_over,
    fit,
    item_scores,
    run_table,
    with_fit,
    with_measure,
    with_optimum,
    with_scores,
)
from plw.claims.bootstrap import resampled_scores
from plw.claims.evidence import Evidence
from plw.claims.findings import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from plw.claims.judging import judge, judge_all, read_claims

CLAIM = {claim["id"]: claim for claim in read_claims(CLAIMS)}
SHORT = {"dataset": "short", "regularizer": "none"}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return as_in_the_paper()


def _small(evidence: Evidence) -> Evidence:
    return replace(evidence, ptlms=[{**entry, "parameters": 1e6} for entry in evidence.ptlms])


def _constant(evidence: Evidence, benchmarks) -> Evidence:
    return with_scores(evidence, lambda score, _: 0.25, dataset="short", benchmark=benchmarks)


@pytest.mark.parametrize("name", ["C01", "C02", "C03", "C06", "C18"])
def test_a_fit_that_did_not_converge_decides_nothing(evidence, name):
    unconverged = with_fit(evidence, "AlpacaDataShort", p=0.001, b1=5.59, b2=-4.284, converged=False)
    finding = judge(CLAIM[name], unconverged)
    assert finding.verdict == INCONCLUSIVE
    assert "did not converge" in finding.reason


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ({"p": 0.05, "converged": True}, SUPPORTED),  # at alpha, not below
        ({"p": 0.049, "converged": True}, CONTRADICTED),
        ({"p": 0.049, "converged": False}, INCONCLUSIVE),
        ({"p": 0.5, "converged": False}, SUPPORTED),  # as the paper's
        ({"p": 0.5, "converged": False, "reduced": {"a": (0.01, True)}}, CONTRADICTED),
        ({"p": 0.5, "converged": False, "reduced": {"a": (0.01, False)}}, SUPPORTED),
        ({"p": 0.01, "converged": False, "reduced": {"a": (0.3, True)}}, SUPPORTED),
        ({"p": 0.5, "converged": True, "reduced": {"a": (0.01, True)}}, SUPPORTED),  # the full model decides
    ],
)
def test_h0_is_kept_by_the_fits_that_converged_and_by_reduced_ones_only_where_the_full_one_did_not(
    evidence, arguments, verdict
):
    assert judge(CLAIM["C04"], with_fit(evidence, "AlpacaData", b1=1.0, b2=-1.0, **arguments)).verdict == verdict


def test_a_parabola_that_opens_upward_has_no_critical_plw_even_with_its_vertex_inside(evidence):
    finding = judge(CLAIM["C03"], with_fit(evidence, "AlpacaDataShort", p=0.001, b1=-5.59, b2=4.284))
    assert finding.verdict == CONTRADICTED


def test_a_critical_plw_inside_but_far_from_the_papers_is_supported_and_said_to_be_far(evidence):
    finding = judge(CLAIM["C03"], with_fit(evidence, "AlpacaDataShort", p=0.001, b1=1.0, b2=-2.0))  # w_p 0.25, PLW 0.01
    assert finding.verdict == SUPPORTED
    assert "not close" in finding.partial


def test_without_a_maximum_inside_there_is_no_plw_to_compare_with_the_figure(evidence):
    finding = judge(CLAIM["C18"], with_fit(evidence, "AlpacaDataShort", p=0.001, b1=5.0, b2=-1.0))
    assert finding.verdict == INCONCLUSIVE


def test_warnings_are_those_of_the_default_optimizer_where_they_are_known(evidence):
    rescued = fit(p=0.2, b1=1.0, b2=-1.0, converged=True)
    rescued["fit"]["default_optimizer_converged"] = False
    finding = judge(CLAIM["C05"], replace(evidence, regressions={**evidence.regressions, "AlpacaDataCleaned": rescued}))
    assert finding.verdict == SUPPORTED
    assert "second optimizer" in finding.partial


def test_a_residual_test_at_its_level_fails_and_an_absent_one_leaves_the_claim_open(evidence):
    found = evidence.regressions["AlpacaDataShort"]
    for tests, verdict in (
        ({**found["residuals"]["tests"], "outliers": {"p": 0.05}}, CONTRADICTED),
        ({**found["residuals"]["tests"], "outliers": {"p": None, "p_simulated": 0.06}}, SUPPORTED),
        ({"outliers": {"p": 0.9}}, INCONCLUSIVE),
    ):
        changed = {**evidence.regressions, "AlpacaDataShort": {**found, "residuals": {"tests": tests}}}
        assert judge(CLAIM["C06"], replace(evidence, regressions=changed)).verdict == verdict


def test_a_constant_benchmark_is_left_out_and_named(evidence):
    finding = judge(CLAIM["C07"], _constant(evidence, GROUP_1[:1]))
    assert finding.verdict == SUPPORTED
    assert "ARC Challenge left out because all runs score the same" in finding.reason
    assert not any(name.startswith("ARC") for name in finding.numbers)


@pytest.mark.parametrize("name", ["C07", "C08", "C09", "C13", "C24"])
def test_a_group_that_is_mostly_constant_is_no_evidence_either_way(evidence, name):
    flat = with_scores(evidence, lambda score, _: 0.25, benchmark=GROUP_1[:3])
    finding = judge(CLAIM[name], flat)
    assert finding.verdict == INCONCLUSIVE
    assert "score the same" in finding.reason


@pytest.mark.parametrize("name", ["C12", "C17", "C23", "C30", "C36"])
def test_constant_benchmarks_do_not_change_the_verdict_on_the_others(evidence, name):
    assert judge(CLAIM[name], _constant(evidence, GROUP_1[:1])).verdict == SUPPORTED


def test_three_of_four_benchmarks_are_enough_for_the_inverted_u_and_two_are_not(evidence):
    for number, verdict in ((1, SUPPORTED), (2, CONTRADICTED)):
        changed = with_scores(evidence, curve_over(0.018 * CLIMB), **SHORT, benchmark=GROUP_1[:number])
        assert judge(CLAIM["C07"], changed).verdict == verdict


def test_an_optimum_shared_by_the_end_of_the_range_is_not_inside(evidence):
    level = np.where(np.array(PLWS) >= 0.1, 0.018, HUMP)  # a plateau up to PLW 1
    changed = with_scores(evidence, curve_over(level), **SHORT, benchmark=GROUP_1[:2])
    assert judge(CLAIM["C07"], changed).verdict == CONTRADICTED


def test_optima_just_outside_the_narrow_range_hold_the_wide_one_only(evidence):
    changed = with_scores(evidence, curve_over(np.roll(HUMP, 2)), **SHORT, benchmark=GROUP_1[:1])  # best at 0.2463
    finding = judge(CLAIM["C08"], changed)
    assert finding.verdict == CONTRADICTED
    assert finding.partial.startswith("All lie")


def test_a_tie_for_the_lowest_counts_in_part(evidence):
    tied = np.where(np.array(PLWS) <= 0.0005, 0.0, HUMP)
    finding = judge(CLAIM["C12"], with_scores(evidence, curve_over(tied), **SHORT, benchmark=GROUP_1))
    assert finding.numbers["share of cells"] == pytest.approx((4 * 0.5 + 3) / 7)


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(1.6, SUPPORTED), (2.6, SUPPORTED), (1.59, CONTRADICTED), (2.61, CONTRADICTED)]
)
def test_the_halving_of_the_rsd_has_two_bounds(evidence, ratio, verdict):
    curve = np.array(RSD)
    curve[PLWS.index(0.01)], curve[PLWS.index(0.1)] = ratio / 32, 1 / 32
    assert judge(CLAIM["C21"], with_measure(evidence, "rsd", curve, datasets=["short"])).verdict == verdict


def test_an_rsd_that_is_smallest_at_half_is_tolerated_and_said(evidence):
    curve = np.array(RSD)
    curve[-1] = 0.0245
    finding = judge(CLAIM["C20"], with_measure(evidence, "rsd", curve))
    assert finding.verdict == SUPPORTED
    assert "below PLW 1" in finding.partial


def test_below_the_papers_scale_points_are_not_asked_for_but_the_direction_is(evidence):
    few = with_scores(_small(evidence), curve_over(0.08 * CLIMB), **SHORT, benchmark=["alpaca_eval", "pandalm"])
    finding = judge(CLAIM["C13"], few)
    assert finding.verdict == SUPPORTED
    assert "Not all are in 12 to 28 points" in finding.partial
    less = with_scores(few, curve_over(0.03 * CLIMB), **SHORT, benchmark="pandalm")
    assert judge(CLAIM["C13"], less).verdict == CONTRADICTED


def test_below_the_papers_scale_gains_are_compared_with_those_of_long_generation(evidence):
    large = with_scores(_small(evidence), curve_over(3 * HUMP), **SHORT, benchmark="piqa")  # 5.4 against 20 points
    assert judge(CLAIM["C14"], large).verdict == SUPPORTED
    larger = with_scores(large, curve_over(4 * HUMP), **SHORT, benchmark="piqa")  # 7.2: a third of 20 is 6.7
    assert judge(CLAIM["C14"], larger).verdict == CONTRADICTED


def test_below_the_papers_scale_memorisation_need_only_be_level(evidence):
    low = with_measure(_small(evidence), "memorisation_bleu", BLEU - 60)
    assert judge(CLAIM["C26"], low).verdict == SUPPORTED
    nothing = with_measure(_small(evidence), "memorisation_bleu", BLEU / 10)
    assert judge(CLAIM["C26"], nothing).verdict == judge(CLAIM["C27"], nothing).verdict == INCONCLUSIVE
    sloping = BLEU - 60 + np.linspace(6, 0, len(BLEU))
    assert judge(CLAIM["C26"], with_measure(low, "memorisation_bleu", sloping)).verdict == CONTRADICTED


def test_a_ptlm_of_unknown_size_is_not_taken_for_the_papers(evidence):
    unknown = [{key: value for key, value in entry.items() if key != "parameters"} for entry in evidence.ptlms]
    assert "Below the paper's scale" in judge(CLAIM["C13"], replace(evidence, ptlms=unknown)).reason


@pytest.mark.parametrize("name", ["C33", "C34"])
def test_four_plws_are_judged_and_their_thinness_is_said(evidence, name):
    other = evidence.scores["dataset"].isin(["plain", "cleaned", "short"])
    thin = evidence.scores[other | evidence.scores["plw"].isin([0.0, 0.01, 0.1, 1.0])].reset_index(drop=True)
    finding = judge(CLAIM[name], replace(evidence, scores=thin, runs=run_table(thin)))
    assert finding.verdict in (SUPPORTED, CONTRADICTED)
    assert "4 PLWs where the paper has 10" in finding.reason


def test_three_plws_cannot_carry_a_test_of_a_parabola(evidence):
    thin = evidence.scores[evidence.scores["plw"].isin([0.0, 0.1, 1.0])].reset_index(drop=True)
    thin_evidence = replace(evidence, scores=thin, runs=run_table(thin))
    assert {judge(CLAIM[name], thin_evidence).verdict for name in ("C15", "C16", "C17", "C34")} == {INCONCLUSIVE}


def test_a_plw_that_was_not_run_is_named(evidence):
    fewer = evidence.scores[evidence.scores["plw"] != 0.01].reset_index(drop=True)
    finding = judge(CLAIM["C23"], replace(evidence, scores=fewer, runs=run_table(fewer)))
    assert finding.verdict == INCONCLUSIVE
    assert "PLW 0.01" in finding.reason


def test_without_a_run_table_the_scores_are_the_plan(evidence):
    findings = judge_all(list(CLAIM.values()), replace(evidence, runs=None))
    assert {name for name, finding in findings.items() if finding.verdict != SUPPORTED} == set()


def test_an_optimum_in_a_flat_row_is_said_to_mean_little(evidence):
    assert "means little" in judge(CLAIM["C35"], with_optimum(evidence, "All", 0.5, starred=True)).partial
    assert "means little" in judge(CLAIM["C37"], with_optimum(evidence, "Gen", 0.5, starred=True)).partial


def test_additive_models_say_nothing_beyond_their_data_sets(evidence):
    narrow = replace(evidence, gam={**evidence.gam, "levels": {"plain": 3.3, "cleaned": 7.9, "short": 2.6}})
    assert judge(CLAIM["C35"], narrow).verdict == INCONCLUSIVE
    assert judge(CLAIM["C37"], narrow).verdict == INCONCLUSIVE


def test_an_additive_model_that_was_not_fitted_gives_its_reason(evidence):
    gam = {"fits": {"All": {"w_p": {"reason": "only 2 different ratios", "rows": []}}}, "levels": {}}
    assert "only 2 different ratios" in judge(CLAIM["C35"], replace(evidence, gam=gam)).reason


def test_other_tokenizers_and_parts_of_the_data_are_not_compared_with_table_1(evidence):
    own = {role: {**found, "tokenizer": {"path": "world/ptlms/strong"}} for role, found in evidence.statistics.items()}
    assert judge(CLAIM["C39"], replace(evidence, statistics=own)).verdict == INCONCLUSIVE
    part = {role: {**found, "rows": 420} for role, found in evidence.statistics.items()}
    assert judge(CLAIM["C39"], replace(evidence, statistics=part)).verdict == INCONCLUSIVE


def test_a_total_that_differs_while_the_means_agree_reproduces_table_1_in_part(evidence):
    found = evidence.statistics["DatabricksDollyShort"]
    near = {**evidence.statistics, "DatabricksDollyShort": {**found, "total_tokens": found["total_tokens"] + 3}}
    finding = judge(CLAIM["C39"], replace(evidence, statistics=near))
    assert finding.verdict == SUPPORTED
    assert "Totals of DatabricksDollyShort differ" in finding.partial


def test_the_synthesis_waits_for_the_claims_that_it_builds_on(evidence):
    findings = judge_all(
        list(CLAIM.values()), replace(evidence, mechanism=evidence.mechanism[lambda f: f["measure"] == "rsd"])
    )
    assert findings["C25"].verdict == findings["C27"].verdict == INCONCLUSIVE
    assert findings["C40"].verdict == INCONCLUSIVE
    assert "C25 and C27" in findings["C40"].reason


BOOTSTRAPPED = [name for name, claim in CLAIM.items() if claim.get("bootstrap")]


def test_the_claims_about_differences_of_scores_are_resampled():
    assert {"C09", "C13", "C14", "C23", "C24", "C30"} <= set(BOOTSTRAPPED)


def test_many_items_that_agree_leave_the_verdict_and_say_so(evidence):
    items = item_scores(evidence, items=100, benchmarks=SEVEN, noise=0.0005)
    resampled = resampled_scores(replace(evidence, items=items), resamples=10, seed=1)
    for name in BOOTSTRAPPED:
        finding = judge(CLAIM[name], evidence, resampled=resampled)
        assert finding.verdict == SUPPORTED, finding
        assert "rule holds in 100% of 10 resamples" in finding.reason


def test_few_items_that_disagree_make_a_close_comparison_inconclusive(evidence):
    items = item_scores(evidence, items=30, benchmarks=SEVEN, noise=0.45)
    resampled = resampled_scores(replace(evidence, items=items), resamples=40, seed=1)
    finding = judge(CLAIM["C14"], evidence, resampled=resampled)
    assert finding.verdict == INCONCLUSIVE
    assert "ootstrap over items: rule holds in" in finding.reason
    assert "Point estimate: supported" in finding.reason


def test_resampling_contradicts_as_surely_as_it_supports(evidence):
    worse = with_scores(evidence, lambda score, _: score - 0.1, dataset="short", benchmark=GROUP_1)
    items = item_scores(worse, items=100, benchmarks=GROUP_1, noise=0.05)
    resampled = resampled_scores(replace(worse, items=items), resamples=10, seed=1)
    finding = judge(CLAIM["C09"], worse, resampled=resampled)
    assert finding.verdict == CONTRADICTED
    assert "rule holds in 0% of 10 resamples" in finding.reason


def test_resampled_scores_have_the_mean_and_spread_of_independent_item_draws(evidence):
    few = replace(
        evidence, scores=evidence.scores[evidence.scores["benchmark"] == "piqa"].iloc[:4].reset_index(drop=True)
    )
    items = item_scores(few, items=50, benchmarks=["piqa"])
    values = resampled_scores(replace(few, items=items), resamples=20000, seed=3)
    assert values.mean(axis=0) == pytest.approx(few.scores["score"].to_numpy(), abs=2e-3)
    for place, run in enumerate(few.scores["run"]):
        own = items[items["run"] == run]["score"].to_numpy()
        assert values[:, place].std() == pytest.approx(own.std() / np.sqrt(50), rel=0.05)


def test_benchmarks_without_items_keep_their_scores_in_every_resample(evidence):
    items = item_scores(evidence, items=10, benchmarks=["piqa"])
    values = resampled_scores(replace(evidence, items=items), resamples=5, seed=3)
    other = (evidence.scores["benchmark"] != "piqa").to_numpy()
    assert (values[:, other] == evidence.scores["score"].to_numpy()[other]).all()
    assert (values[:, ~other] != evidence.scores["score"].to_numpy()[~other]).any()


def test_resampled_scores_are_the_same_for_the_same_seed_and_absent_without_items(evidence):
    items = item_scores(evidence, items=10, benchmarks=["piqa"])
    first, again, other = (
        resampled_scores(replace(evidence, items=items), resamples=3, seed=seed) for seed in (3, 3, 4)
    )
    assert (first == again).all() and (first != other).any()
    assert resampled_scores(evidence, resamples=3, seed=3) is None


def test_a_claim_that_would_be_resampled_says_that_it_is_a_point_estimate_without_items(evidence):
    assert "there are no item scores" in judge(CLAIM["C23"], evidence).reason


def test_a_registry_without_a_group_leaves_its_claims_open(evidence):
    without = [entry for entry in BENCHMARKS if entry["group"] != "III"]
    finding = judge(CLAIM["C15"], replace(evidence, benchmarks=without))
    assert finding.verdict == INCONCLUSIVE
    assert "group III" in finding.reason

"""Every claim both ways: supported where the evidence is made to satisfy it, contradicted where it is made not to."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from claim_evidence import (
    BLEU,
    CLAIMS,
    CLIMB,
    DISTANCE,
    GROUP_1,
    GROUP_3,
    HUMP,
    NUMBERS,
    PLWS,
    RSD,
    SEVEN,
    TOKENS,
    W_P,
    ZIGZAG,
    as_in_the_paper,
    curve_over,
    printed_gam,
    printed_regressions,
    with_fit,
    with_measure,
    with_optimum,
    with_scores,
)
from plw.claims.evidence import Evidence
from plw.claims.findings import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Finding
from plw.claims.judging import RULES, judge, judge_all, read_claims, summary
from plw.claims.rules_regularizers import wins_everywhere

IDS = [f"C{number:02d}" for number in range(1, 41)]
CLAIM = {claim["id"]: claim for claim in read_claims(CLAIMS)}
SHORT = {"dataset": "short", "regularizer": "none"}
EVERY = [entry for entry in as_in_the_paper().scores["benchmark"].unique()]


def _at(values, plw, value):
    """`values` over the ten PLWs with another one at `plw`."""
    changed = np.array(values, dtype=float)
    changed[PLWS.index(plw)] = value
    return changed


def _worse_by(points):
    return lambda score, _: score - points


def _residual(evidence: Evidence) -> Evidence:
    found = evidence.regressions["AlpacaDataShort"]
    tests = {**found["residuals"]["tests"], "dispersion": {"p": 0.01}}
    changed = {**found, "residuals": {"tests": tests}}
    return replace(evidence, regressions={**evidence.regressions, "AlpacaDataShort": changed})


def _table_1(evidence: Evidence) -> Evidence:
    found = evidence.statistics["DatabricksDollyShort"]
    tokens = {**found["tokens"], "input": {"mean": found["tokens"]["input"]["mean"] + 1}}
    changed = {**found, "tokens": tokens, "total_tokens": found["total_tokens"] + 15011}
    return replace(evidence, statistics={**evidence.statistics, "DatabricksDollyShort": changed})


# What breaks each claim, and as little else as may be.
BROKEN = {
    "C01": lambda e: with_fit(e, "AlpacaDataShort", p=0.2, b1=5.59, b2=-4.284),
    "C02": lambda e: with_fit(e, "AlpacaDataShort", p=0.001, b1=-1.0, b2=2.0),
    "C03": lambda e: with_fit(e, "AlpacaDataShort", p=0.001, b1=5.0, b2=-1.0),
    "C04": lambda e: with_fit(e, "AlpacaData", p=0.01, b1=1.0, b2=-1.0),
    "C05": lambda e: with_fit(e, "AlpacaDataCleaned", p=0.2, b1=1.0, b2=-1.0, converged=True),
    "C06": _residual,
    "C07": lambda e: with_scores(e, curve_over(0.018 * CLIMB), **SHORT, benchmark=GROUP_1[:2]),
    "C08": lambda e: with_scores(e, curve_over(_at(HUMP, 0.5, 0.02)), **SHORT, benchmark=GROUP_1[:1]),
    "C09": lambda e: with_scores(e, _worse_by(0.05), dataset="short", benchmark=GROUP_1[3:]),
    "C10": lambda e: with_scores(e, curve_over(0.2 * CLIMB[::-1]), **SHORT, benchmark="pandalm"),
    "C11": lambda e: with_scores(e, curve_over(0.018 * CLIMB[::-1]), **SHORT, benchmark="truthfulqa_mc2"),
    "C12": lambda e: with_scores(e, _worse_by(-0.4), **SHORT, plw=0.0, benchmark=GROUP_1),
    "C13": lambda e: with_scores(e, curve_over(0.05 * CLIMB), **SHORT, benchmark="alpaca_eval"),
    "C14": lambda e: with_scores(e, curve_over(3 * HUMP), **SHORT, benchmark="piqa"),
    "C15": lambda e: with_scores(e, curve_over(0.1 * W_P * (1.4 - W_P)), **SHORT, benchmark=GROUP_3),
    "C16": lambda e: with_scores(
        e, curve_over(0.1 * W_P * (1.4 - W_P) + 1e-3 * ZIGZAG), dataset="plain", benchmark=SEVEN
    ),
    "C17": lambda e: with_scores(e, curve_over(0.1 * ZIGZAG), **SHORT, benchmark=EVERY),
    "C18": lambda e: with_fit(e, "AlpacaDataShort", p=0.001, b1=1.0, b2=-5.0),
    "C19": lambda e: with_measure(e, "rsd", _at(RSD, 0.0005, 0.05), datasets=["cleaned"]),
    "C20": lambda e: with_measure(e, "rsd", RSD[::-1], datasets=["plain"]),
    "C21": lambda e: with_measure(e, "rsd", _at(RSD, 0.1, 0.05), datasets=["short"]),
    "C22": lambda e: with_measure(e, "rsd", _at(RSD, 0.0, 0.02), datasets=["short"]),
    "C23": lambda e: with_scores(e, _worse_by(0.2), **SHORT, plw=0.01, ptlm="second", benchmark=EVERY),
    "C24": lambda e: with_scores(e, curve_over(0.018 * CLIMB), **SHORT, benchmark=GROUP_1[:1]),
    "C25": lambda e: with_measure(e, "weight_distance", _at(DISTANCE, 0.0, 0.9)),
    "C26": lambda e: with_measure(e, "memorisation_bleu", _at(BLEU, 0.01, 50.0)),
    "C27": lambda e: with_measure(e, "memorisation_bleu", _at(BLEU, 0.5, 70.0)),
    "C28": lambda e: with_measure(e, "generation_tokens", TOKENS[::-1]),
    "C29": lambda e: with_scores(e, curve_over(0.2 * ZIGZAG), **SHORT, benchmark="alpaca_eval"),
    "C30": lambda e: with_scores(e, _worse_by(-0.3), regularizer="dropout", ptlm="first", benchmark=SEVEN),
    "C31": lambda e: with_scores(e, _worse_by(0.15), regularizer="dropout", benchmark=SEVEN),
    "C32": lambda e: with_scores(e, _worse_by(-0.05), regularizer="label_smoothing", plw=1.0, benchmark=SEVEN),
    "C33": lambda e: with_scores(e, curve_over(0.1 * W_P * (2.5 - W_P)), dataset="dolly_short", benchmark=SEVEN),
    "C34": lambda e: with_scores(e, curve_over(0.1 - 0.1 * W_P + 0.02 * ZIGZAG), dataset="feedback", benchmark=SEVEN),
    "C35": lambda e: with_optimum(e, "MC", 3.0, starred=False),
    "C36": lambda e: with_scores(e, _worse_by(0.05), ptlm="second", benchmark=EVERY),
    "C37": lambda e: with_optimum(e, "Gen", 1.0, plw=0.1),
    "C38": lambda e: replace(e, loss={**e.loss, "PLW 0 against masked labels, loss": 0.1}),
    "C39": _table_1,
    "C40": lambda e: replace(e, findings={**e.findings, "C27": Finding(CONTRADICTED, "")}),
}

# A change of thresholds under which the paper's own evidence no longer satisfies the rule.
STRICTER = {
    "C01": {"alpha": 0.0001},
    "C06": {"level": 0.5},
    "C07": {"share": 1.01},
    "C08": {"range": [0.2, 0.3]},
    "C10": {"spearman": 1.01},
    "C11": {"best_from": 1.01},
    "C12": {"share": 1.01},
    "C13": {"points": [21, 28]},
    "C14": {"points": 1.7},
    "C15": {"alpha": 1.01},
    "C16": {"share": -0.01},
    "C17": {"lead": 0.9},
    "C18": {"within": 0.001},
    "C19": {"ratio": 1.8},
    "C20": {"spearman": -1.01},
    "C21": {"range": [2.2, 2.6]},
    "C22": {"range": [0.8, 1.1]},
    "C23": {"step": 0.9},
    "C24": {"share": 1.01},
    "C25": {"ratio": 1.6},
    "C26": {"bleu": [79, 90]},
    "C27": {"drop": 43.1},
    "C28": {"spearman": 1.0},
    "C29": {"share": 1.01},
    "C32": {"share": 1.01},
    "C35": {"range": [0.16, 0.5]},
    "C36": {"share": 1.01},
    "C38": {"tolerance": -1.0},
    "C40": {"spearman": 0.1},
}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return as_in_the_paper()


def test_the_list_the_rules_and_these_tests_cover_exactly_the_forty_claims():
    assert [claim["id"] for claim in read_claims(CLAIMS)] == IDS
    assert list(RULES) == IDS
    assert list(BROKEN) == IDS
    assert len(set(RULES.values())) == 40


def test_all_claims_are_supported_where_the_evidence_is_as_the_paper_tells_it(evidence):
    findings = judge_all(list(CLAIM.values()), evidence)
    assert {name: finding.reason for name, finding in findings.items() if finding.verdict != SUPPORTED} == {}
    assert summary(findings) == {SUPPORTED: 40, CONTRADICTED: 0, INCONCLUSIVE: 0}


@pytest.mark.parametrize("name", IDS)
def test_a_claim_is_contradicted_by_evidence_against_it(evidence, name):
    finding = judge(CLAIM[name], BROKEN[name](evidence))
    assert finding.verdict == CONTRADICTED, finding
    assert finding.reason
    assert finding.numbers


@pytest.mark.parametrize("name", IDS)
def test_a_claim_is_inconclusive_without_its_inputs(evidence, name):
    needs = CLAIM[name]["needs"]["inputs"]
    assert needs
    for needed in needs:
        empty = {"scores": evidence.scores.iloc[:0], "regressions": {}, "statistics": {}}.get(needed)
        finding = judge(CLAIM[name], replace(evidence, **{needed: empty}))
        assert finding.verdict == INCONCLUSIVE
        assert finding.reason


@pytest.mark.parametrize("name", [name for name in IDS if CLAIM[name]["needs"].get("datasets")])
def test_a_claim_is_inconclusive_without_one_of_its_data_sets_and_says_which(evidence, name):
    for role in CLAIM[name]["needs"]["datasets"]:
        others = [entry for entry in evidence.datasets if entry["stands_for"] != role]
        finding = judge(CLAIM[name], replace(evidence, datasets=others))
        assert finding.verdict == INCONCLUSIVE
        assert role in finding.reason


def _without_a_run(evidence: Evidence, claim: dict) -> tuple[Evidence, str]:
    """Evidence without the measurements of one run of the claim's last experiment, which is still planned."""
    named = {entry["stands_for"]: entry["name"] for entry in evidence.datasets}
    dataset = named[claim["needs"]["datasets"][0]]
    runs = evidence.runs
    part = runs[(runs["dataset"] == dataset) & (runs["experiments"] == claim["needs"]["experiments"][-1])]
    run = part["run"].iloc[3]
    return replace(
        evidence,
        scores=evidence.scores[evidence.scores["run"] != run].reset_index(drop=True),
        mechanism=evidence.mechanism[evidence.mechanism["run"] != run].reset_index(drop=True),
    ), run


@pytest.mark.parametrize("name", [name for name in IDS if CLAIM[name]["needs"].get("experiments")])
def test_a_claim_with_a_missing_run_is_inconclusive_and_names_the_run(evidence, name):
    partial, run = _without_a_run(evidence, CLAIM[name])
    finding = judge(CLAIM[name], partial)
    assert finding.verdict == INCONCLUSIVE, finding
    assert run in finding.reason


@pytest.mark.parametrize("name", [name for name in IDS if CLAIM[name]["needs"].get("experiments")])
def test_a_claim_about_an_experiment_that_was_not_run_is_inconclusive(evidence, name):
    experiment = CLAIM[name]["needs"]["experiments"][-1]
    runs = evidence.runs[evidence.runs["experiments"] != experiment]
    finding = judge(CLAIM[name], replace(evidence, runs=runs))
    assert finding.verdict == INCONCLUSIVE
    assert experiment in finding.reason


@pytest.mark.parametrize("name", list(STRICTER))
def test_thresholds_come_from_the_list_of_claims(evidence, name):
    stricter = {**CLAIM[name], "parameters": {**CLAIM[name]["parameters"], **STRICTER[name]}}
    assert judge(stricter, evidence).verdict == CONTRADICTED


@pytest.mark.parametrize("name", ["C01", "C02", "C03", "C04", "C05"])
def test_what_table_3_prints_supports_the_claims_that_it_decides(evidence, name):
    printed = replace(evidence, regressions=printed_regressions())
    assert judge(CLAIM[name], printed).verdict == SUPPORTED


def test_the_critical_plw_of_table_3_is_the_printed_one(evidence):
    finding = judge(CLAIM["C03"], replace(evidence, regressions=printed_regressions()))
    assert finding.numbers["vertex w_p"] == pytest.approx(NUMBERS["table_3"]["critical"]["vertex_w_p"], abs=5e-4)
    assert finding.numbers["critical PLW"] == pytest.approx(NUMBERS["table_3"]["critical"]["plw"], abs=5e-4)


@pytest.mark.parametrize("name", ["C35", "C37"])
def test_what_table_5_prints_supports_the_claims_that_it_decides(evidence, name):
    assert judge(CLAIM[name], replace(evidence, gam=printed_gam())).verdict == SUPPORTED


def test_what_table_4_prints_supports_that_fractional_plw_wins():
    rows = NUMBERS["table_4"]["rows"]
    relative = {ptlm: {name: cell["relative"] for name, cell in found.items()} for ptlm, found in rows.items()}
    assert wins_everywhere(relative).verdict == SUPPORTED


def test_by_table_4s_simple_aggregate_fractional_plw_would_not_win():
    rows = NUMBERS["table_4"]["rows"]
    simple = {ptlm: {name: cell["simple"] for name, cell in found.items()} for ptlm, found in rows.items()}
    assert wins_everywhere(simple).verdict == CONTRADICTED


def test_the_papers_own_contradictions_are_twelve_and_complete():
    found = yaml.safe_load((CLAIMS.parent / "contradictions.yaml").read_text(encoding="utf-8"))
    assert [item["id"] for item in found] == [f"I{number:02d}" for number in range(1, 13)]
    assert all(set(item) == {"id", "place", "text", "here"} and all(item.values()) for item in found)

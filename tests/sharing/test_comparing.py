"""Two studies beside each other: what is the same, what differs by luck, and what differs beyond it."""

import json

import numpy as np
import pandas as pd
import pytest
from checkout import ROOT
from plw.cli import parse_and_run
from plw.errors import InputError
from plw.sharing.comparing import compare
from plw.sharing.comparison_text import comparison_text
from plw.sharing.exporting import export
from plw.sharing.sides import Side, read_side
from simulated_scores import PLWS, score_table
from small_results import make_results, part_of, runs_of

pytestmark = pytest.mark.slow  # imports the training's libraries
STUDY = {"datasets": {"plain": {"stands_for": "AlpacaData"}, "short": {}}, "benchmarks": {}}


def side(*, seeds=(42, 43), moved=0.0, luck=0.01, draw=1, results=None, ptlms=("weak", "strong"), plws=PLWS) -> Side:
    """A study of simulated scores: a seed's luck is all its runs' on a benchmark; `moved` lifts one benchmark."""
    rng = np.random.default_rng(draw)
    plan = score_table(noise=0.0, ptlms=ptlms, plws=plws, benchmarks=5)
    parts = []
    for seed in seeds:
        shift = {f"b{index}": rng.normal(0, luck) for index in range(5)}
        part = plan.assign(seed=seed, run=plan["run"] + f"-{seed}")
        lifted = part["benchmark"].map(shift) + moved * (part["benchmark"] == "b2")
        parts.append(part.assign(score=part["score"] + lifted, stderr=0.0))
    scores = pd.concat(parts, ignore_index=True)
    roles = {name: entry.get("stands_for", name) for name, entry in STUDY["datasets"].items()}
    scores = scores.assign(role=scores["dataset"].map(roles))
    return Side("a study", ROOT, STUDY, scores, None, None, {}, results or {})


def test_a_study_differs_from_itself_in_nothing():
    found = compare(side(), side())
    assert len(found["benchmarks"]) == 10
    assert all(row["difference"] == 0 and row["differs"] is False for row in found["benchmarks"])
    assert found["designs"] == {"ptlms_pooled": False} and found["made"] == {}


def test_an_effect_larger_than_seeds_make_is_found_on_its_benchmark_alone():
    found = compare(side(seeds=(42, 43, 44, 45)), side(seeds=(46, 47, 48, 49), moved=0.15, draw=2))
    differing = {(row["role"], row["name"]) for row in found["benchmarks"] if row["differs"]}
    assert differing == {("AlpacaData", "b2"), ("short", "b2")}
    row = next(row for row in found["benchmarks"] if row["differs"])
    assert row["low"] < 0.15 < row["high"]
    assert found["designs"]["seeds"] == {"only_first": [42, 43, 44, 45], "only_second": [46, 47, 48, 49]}


def test_other_seeds_alone_seldom_differ():
    """Holm's family-wise rate is 5 %: of 40 pairs of studies that differ by luck alone at most 6 have a difference."""
    wrong = 0
    for draw in range(40):
        found = compare(side(draw=2 * draw, plws=(0.0, 1.0)), side(draw=2 * draw + 1, seeds=(50, 51), plws=(0.0, 1.0)))
        wrong += any(row["differs"] for row in found["benchmarks"])
    assert wrong <= 6  # of 40 at 5 % more than six come in 1 % of draws


def test_designs_that_differ_are_named_and_only_the_common_part_is_compared():
    first, second = side(), side(draw=3)
    kept = second.scores[(second.scores["plw"] < 0.3) & (second.scores["dataset"] == "short")]
    second = Side(**{**vars(second), "scores": kept})
    found = compare(first, second)
    assert found["designs"]["PLWs"] == {"only_first": [0.5, 1.0], "only_second": []}
    assert found["designs"]["data sets"]["only_first"] == ["AlpacaData"]
    assert {row["role"] for row in found["benchmarks"]} == {"short"}
    assert {row["cells"] for row in found["benchmarks"]} == {2 * 8}
    text = comparison_text(found)
    assert "PLWs only in A: 0.5, 1.0" in text and "Claims: not in both." in text


def test_studies_of_other_models_are_averaged_over_each_ones_own():
    found = compare(side(), side(ptlms=("other",), draw=4))
    assert found["designs"]["ptlms_pooled"] and len(found["benchmarks"]) == 10
    assert "no ptlm is in both" in comparison_text(found)


def claims(verdict: str, estimate: float, half: float) -> dict:
    claim = {"id": "C01", "text": "It bends.", "verdict": verdict, "estimate": estimate}
    return {"claims.json": {"claims": [{**claim, "interval": [estimate - half, estimate + half]}]}}


@pytest.mark.parametrize(("half", "said"), [(0.01, "beyond noise"), (0.5, "within noise")])
def test_a_claim_with_another_verdict_says_whether_its_estimates_differ_beyond_noise(half, said):
    one, two = side(results=claims("supported", 0.4, half)), side(results=claims("inconclusive", 0.3, half))
    (row,) = compare(one, two)["claims"]
    assert row["other_verdict"] and row["differs"] is (said == "beyond noise")
    line = comparison_text(compare(one, two)).splitlines()[-1]
    assert line.startswith("  C01: supported (0.4") and said in line


def test_coefficients_and_optimal_plws_differ_where_their_intervals_allow():
    def results(w_p: float, low: float, high: float) -> dict:
        coefficient = {"estimate": w_p, "se": 0.1, "ci_low": w_p - 0.2, "ci_high": w_p + 0.2}
        row = {"r_g": 1.0, "plw": (low + high) / 2, "low": low, "high": high}
        return {
            "short.json": {"dataset": "short", "fit": {"coefficients": {"w_p": coefficient, "w_p2": coefficient}}},
            "gam.json": {"covariate": "w_p", "fits": {"All": {"w_p": {"rows": [row]}}}},
        }

    found = compare(side(results=results(1.0, 0.0, 0.2)), side(results=results(2.0, 0.3, 0.5)))
    assert [row["differs"] for row in found["regressions"]] == [True, True]
    assert [row["differs"] for row in found["optima"]] == [True]
    found = compare(side(results=results(1.0, 0.0, 0.4)), side(results=results(1.1, 0.3, 0.5)))
    assert not any(row["differs"] for row in found["regressions"] + found["optima"])


def test_a_study_and_its_export_are_the_same_on_the_terminal_and_for_programs(tmp_path, capsys):
    results = make_results(tmp_path / "smol_cpu", runs_of(42, 43))
    export(part_of(results, 42, 43), tmp_path / "exported", root=ROOT)
    words = ["compare", str(results), str(tmp_path / "exported"), "--root", str(ROOT)]
    parse_and_run(words)
    text = capsys.readouterr().out
    assert "0 of 2 differ beyond noise" in text and "No other commit, machine or version" in text
    assert "seeds only in A" not in text
    parse_and_run([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in found["benchmarks"]} == {"piqa", "truthfulqa_mc2"}
    assert all("items, paired" in row["noise"] for row in found["benchmarks"])
    records = read_side(str(tmp_path / "exported"), ROOT).records
    assert records == read_side(str(results), ROOT).records
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="study"):
        read_side(str(tmp_path / "empty"), ROOT)

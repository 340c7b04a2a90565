"""What a study can and cannot show: each rule of docs/demo.md met, broken, and without material."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from plw.errors import InputError
from plw.report.showing import check_showing, showing_view
from report_samples import page

ROOT = Path(__file__).parents[2]
TARGETS = yaml.safe_load((ROOT / "config" / "showing.yaml").read_text())
PRINTED = {"AlpacaData": 3.27, "AlpacaDataCleaned": 7.83, "AlpacaDataShort": 0.08}
RULES = ["constant", "between", "spread", "stronger", "recited", "judged", "ratios"]
BENCHMARKS = list(TARGETS["floors"])


def main_scores(**changed) -> pd.DataFrame:
    """Scores of two data sets and two runs on all benchmarks: 0.65 and 0.75 with a standard error of 0.05."""
    rows = [
        {"ptlm": "weak", "dataset": dataset, "benchmark": name, "score": score, "stderr": 0.05}
        for name in BENCHMARKS
        for dataset in ("plain", "short")
        for score in changed.get(name, (0.65, 0.8))
    ]
    return pd.DataFrame(rows)


def before(weak: float, strong: float, *, worse: int = 0) -> pd.DataFrame:
    """Scores before fine-tuning; on the first `worse` benchmarks the strong ptlm is not better."""
    rows = []
    for index, name in enumerate(BENCHMARKS):
        rows.append({"ptlm": "weak", "benchmark": name, "score": weak})
        rows.append({"ptlm": "strong", "benchmark": name, "score": weak if index < worse else strong})
    return pd.DataFrame(rows)


def outcome(**changes) -> dict:
    """The rules by short names, of a study that meets them all unless changed."""
    given = {
        "scores": main_scores(),
        "targets": TARGETS,
        "memorised": pd.DataFrame({"ptlm": ["weak", "weak", "strong"], "value": [5.0, 41.0, 60.0]}),
        "before": before(0.5, 0.7),
        "ptlms": ["weak", "strong"],
        "judge": {"alpaca_eval": {"accuracy_both_orders": 0.8}, "pandalm": {"accuracy_both_orders": 0.75}},
        "ratios": {"AlpacaData": 3.1, "AlpacaDataCleaned": 7.2, "AlpacaDataShort": 0.085},
        "printed_ratios": PRINTED,
    }
    found = check_showing(**{**given, **changes})
    assert len(found["rules"]) == len(RULES)
    return dict(zip(RULES, found["rules"], strict=True))


def test_a_study_that_meets_every_rule_is_said_to():
    assert {name: rule["met"] for name, rule in outcome().items()} == dict.fromkeys(RULES, True)


@pytest.mark.parametrize(
    ("rule", "changes", "named"),
    [
        ("constant", {"scores": main_scores(winogrande=(0.7, 0.7))}, "winogrande"),
        ("between", {"scores": main_scores(piqa=(0.9, 1.0))}, "piqa (0.95)"),
        ("between", {"scores": main_scores(piqa=(0.55, 0.6))}, "piqa (0.57)"),
        ("between", {"scores": main_scores(wmt16_en_ro=(0.05, 0.1))}, "wmt16_en_ro (0.08)"),
        ("spread", {"scores": main_scores(**dict.fromkeys(BENCHMARKS[:4], (0.7, 0.71)))}, "arc_challenge"),
        ("stronger", {"before": before(0.5, 0.7, worse=4)}, "arc_challenge (0.5 and 0.5)"),
        ("recited", {"memorised": pd.DataFrame({"ptlm": ["weak", "strong"], "value": [39.0, 90.0]})}, ""),
        ("judged", {"judge": {"alpaca_eval": {"accuracy_both_orders": 0.74},
                              "pandalm": {"accuracy_both_orders": 0.9}}}, ""),
        ("ratios", {"ratios": {"AlpacaData": 2.7}}, ""),
    ],
)  # fmt: skip
def test_a_broken_rule_is_not_met_and_names_what_falls_short(rule, changes, named):
    found = outcome(**changes)
    assert found[rule]["met"] is False
    assert named in found[rule]["about"]
    assert [name for name in RULES if not found[name]["met"]] == [rule]


def test_three_of_thirteen_may_fall_short_where_ten_are_asked_for():
    found = outcome(scores=main_scores(**dict.fromkeys(BENCHMARKS[:3], (0.7, 0.71))), before=before(0.5, 0.7, worse=3))
    assert found["spread"]["met"] and found["spread"]["value"] == "10 of 13"
    assert found["stronger"]["met"] and found["stronger"]["value"] == "10 of 13"


def test_a_benchmark_that_is_constant_in_one_data_set_alone_is_constant():
    scores = main_scores()
    scores.loc[(scores["benchmark"] == "truthfulqa_gen") & (scores["dataset"] == "short"), "score"] = 0.0
    assert "truthfulqa_gen" in outcome(scores=scores)["constant"]["about"]


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("stronger", {"before": None}),
        ("recited", {"memorised": None}),
        ("judged", {"judge": None}),
        ("ratios", {"ratios": {}}),
    ],
)
def test_a_rule_without_material_is_not_judged_and_says_what_is_missing(rule, changes):
    found = outcome(**changes)[rule]
    assert found["met"] is None and found["about"]


def test_every_benchmark_of_the_registry_has_a_floor():
    registry = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text())
    assert set(TARGETS["floors"]) == set(registry)


def test_a_missing_target_is_refused():
    with pytest.raises(InputError, match="ceiling"):
        outcome(targets={name: value for name, value in TARGETS.items() if name != "ceiling"})


def test_the_report_shows_each_rule_with_target_value_and_outcome():
    found = check_showing(scores=main_scores(piqa=(0.9, 1.0)), targets=TARGETS)
    view = showing_view(json.loads(json.dumps(found)), {"piqa": "PIQA"})
    assert (view["met"], view["not_met"]) == (2, 1)
    shown = page(showing=found)
    for text in ("What this study can and cannot show", "not met", "piqa (0.95)", "cannot be said"):
        assert text in shown
    assert "What this study can and cannot show" not in page()

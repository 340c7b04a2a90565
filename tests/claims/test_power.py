"""What a design could decide, before anything trains."""

from pathlib import Path

import pytest
import yaml
from claim_evidence import CLAIMS, NUMBERS, WORLDS, as_in_the_paper
from plw.claims.power import items_of, planned_evidence, power_of, power_text
from plw.claims.reading import read_claims
from plw.cli import parse_and_run
from plw.errors import InputError
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]


def test_items_are_those_that_are_scored():
    assert items_of({"cost": {"items": 1838}, "limit": None}) == 1838
    assert items_of({"cost": {"items": 1838}, "limit": 40}) == 40


@pytest.mark.slow
def test_a_planned_study_has_rates_for_each_claim_and_more_at_full_scale_than_in_small():
    decided = {}
    for name in ("demo", "paper"):
        study = load_configuration({"study": name}, root=ROOT)
        evidence, noise = planned_evidence(study, list_runs(study), NUMBERS)
        found = {row.claim: row for row in power_of(read_claims(CLAIMS), evidence, noise, WORLDS)}
        assert found["C35"].rates is None and found["C35"].why == "not simulated"
        assert "C38" not in found, "a diagnostic is no claim about results"
        for row in found.values():
            if row.rates is not None:
                assert row.rates.false_supported < 0.05 and row.rates.false_contradicted < 0.05
        decided[name] = sum(row.rates is not None and row.rates.power >= 0.8 for row in found.values())
    assert decided["paper"] > decided["demo"]


@pytest.mark.slow
def test_a_finished_studys_own_noise_is_used_and_two_more_seeds_help():
    evidence = as_in_the_paper()
    claims = [claim for claim in read_claims(CLAIMS) if claim["id"] in ("C07", "C19", "C22", "C23")]
    found = power_of(claims, evidence, None, WORLDS)
    assert sum(row.rates.more_power for row in found) > sum(row.rates.power for row in found)


def test_the_command_prints_a_row_for_each_claim(capsys):
    parse_and_run(["power", "test", "--root", str(ROOT)])
    said = capsys.readouterr().out
    claims = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))["claims"]
    assert all(f"\n{claim['id']}" in said for claim in claims if claim["calibration"] != "diagnostic")
    assert "with two more seeds" in said


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(InputError, match="no checkout"):
        parse_and_run(["power", "test", "--root", str(tmp_path)])
    with pytest.raises(InputError, match="no finished study"):
        parse_and_run(["power", "test", "--root", str(ROOT), "--results", str(tmp_path)])


def test_the_text_says_where_the_noise_comes_from():
    assert "noise assumed" in power_text("s", [], None, measured=False)

"""The doctor's report."""

import pytest
from plw.cli import parse_and_run
from plw.study.doctor import PACKAGES, Finding, as_text, missing, python_findings, r_findings


def test_every_package_that_a_stage_needs_is_reported_with_its_version():
    found = {finding.name: finding.version for finding in python_findings()}
    assert set(PACKAGES) <= set(found)
    assert found["torch"].startswith("2.13.0")


def test_what_is_missing_is_named_with_its_remedy_and_what_is_optional_does_not_count():
    findings = [Finding("a", None, "x", "get a"), Finding("b", None, "y", optional=True), Finding("c", "1", "z")]
    assert [finding.name for finding in missing(findings)] == ["a"]
    text = as_text(findings)
    assert "MISSING" in text and "→ get a" in text and "not found" in text


def test_a_machine_without_r_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    lacking = {finding.name for finding in missing(r_findings())}
    assert {"R", "R: glmmTMB", "R: mgcv", "R: car"} == lacking


@pytest.mark.r
def test_the_command_succeeds_on_a_complete_machine(capsys):
    parse_and_run(["doctor"])
    assert "Everything that the default study needs is here." in capsys.readouterr().out

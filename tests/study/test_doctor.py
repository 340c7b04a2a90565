"""The doctor's report."""

import sys

import pytest
from plw.cli import parse_and_run
from plw.study.doctor import (
    PACKAGES,
    Finding,
    as_text,
    cuda_finding,
    missing,
    python_findings,
    r_findings,
    slurm_finding,
    space_finding,
    token_finding,
    vllm_finding,
)

SMI = "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4     |"


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


@pytest.mark.parametrize(("answers", "version", "said"), [
    ("echo slurm 24.05", "slurm 24.05", ""),
    ("exit 1", None, "SLURM_CONF=/dev/null"),
    (None, None, "login node"),
])  # fmt: skip
def test_slurms_programs_without_a_controller_are_told_from_a_cluster(tmp_path, monkeypatch, answers, version, said):
    for program in ("sbatch", "scontrol") if answers else ():
        (tmp_path / program).write_text(f"#!/bin/sh\n{answers}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = slurm_finding()
    assert found.version == version and said in found.remedy and (found.optional or version)


@pytest.mark.parametrize(("built", "fits"), [("12.4", True), ("12.8", True), ("11.8", True), ("13.0", False)])
def test_a_build_for_a_newer_cuda_than_the_drivers_is_told_before_a_job_fails(built, fits):
    finding = cuda_finding(SMI, built)
    assert bool(finding.version) == fits
    assert fits or (
        "CUDA 13.0" in finding.used_for and "TORCH_ARGS" in finding.remedy and finding in missing([finding])
    )


def test_a_cpu_build_beside_a_gpu_is_missing_and_without_one_it_is_fine():
    assert missing([cuda_finding(SMI, None)]) and "CPU build" in cuda_finding(SMI, None).used_for
    assert not missing([cuda_finding(None, None)]) and not missing([cuda_finding(None, "13.0")])


def test_the_tokens_place_is_told_and_the_token_never(tmp_path):
    assert token_finding({}, tmp_path).version is None
    file = tmp_path / ".cache/huggingface/token"
    file.parent.mkdir(parents=True)
    file.write_text("hf_secret")
    elsewhere = {"HF_HOME": str(tmp_path / "moved")}
    found = [token_finding({}, tmp_path), token_finding({"HF_TOKEN": "hf_secret"}, tmp_path / "nobody")]
    assert [finding.version for finding in found] == ["from file", "from environment"]
    assert token_finding(elsewhere, tmp_path).version is None
    assert "secret" not in as_text(found)


def test_space_is_that_of_a_folder_that_will_be_made_and_too_little_says_so(tmp_path):
    few = {"use": "results", "remedy": "free some"}
    assert space_finding("Disk", tmp_path / "a/b", least=1, **few).version.endswith("GB free")
    lacking = space_finding("Disk", tmp_path, least=1e18, **few)
    assert missing([lacking]) and "are needed: free some" in lacking.remedy


def test_vllm_is_looked_for_with_the_interpreter_that_is_named(tmp_path):
    asked = vllm_finding(None)
    assert asked.version is None and not missing([asked])
    assert missing([vllm_finding(str(tmp_path / "no/python"))])
    (tmp_path / "vllm.py").write_text("__version__ = '0.1'\nprint('loading')\n")
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    assert vllm_finding(str(program)).version == "0.1"


@pytest.mark.r
def test_the_command_succeeds_on_a_complete_machine(capsys):
    parse_and_run(["doctor"])
    assert "Everything that the default study needs is here." in capsys.readouterr().out

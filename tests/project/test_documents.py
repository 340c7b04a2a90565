"""What people read first: links, commands and paths in the documents lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, planned_jobs, project_files

DOCUMENTS = [name for name in project_files() if name.endswith(".md")]
PROGRAMS = [name for name in project_files() if re.fullmatch(r"(scripts/(?!plw)\w+|benchmarks)/\w+\.py", name)]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_documents_that_a_newcomer_expects_are_there():
    expected = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "docs/loss.md", "docs/cluster.md"}
    assert expected <= set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_to_a_file(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
    assert not [target for target in targets if not (ROOT / name).parent.joinpath(target).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_of_the_project_that_a_document_names_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "CHANGELOG.md":
        text = re.sub(r"`[^`]*`(?= is `)", "", text)  # what something was called before
    named = set(re.findall(r"`?\b((?:scripts|tests|workflow|config|envs|docs|benchmarks)/[\w./-]+\.\w+)", text))
    named = {path for path in named if not re.search(r"STAGE|TASK|_N\.", path)}  # the reader's own names
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_that_a_document_names_exists(name):
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("name", DOCUMENTS)
def test_targets_stand_before_the_configuration_in_documented_commands(name):
    """Snakemake takes every word after --config for a setting, up to the next option."""
    text = re.sub(r"#.*", "", (ROOT / name).read_text(encoding="utf-8"))
    for command in re.findall(r"snakemake [^\n`|]*--config +([^\n`|]*)", text):
        words = re.split(r" -", command)[0].split()
        assert all("=" in word for word in words), command


def test_make_without_a_target_lists_every_target_with_what_it_does():
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)[1].split())
    assert set(listed) == targets == phony


def test_the_index_from_paper_to_file_names_rules_and_formulas_that_exist():
    rows = re.findall(r"^\| (§|App|all|every)(.*)\|$", README.split("## Paper → file")[1], flags=re.MULTILINE)
    assert len(rows) >= 16
    for _, row in rows:
        _, _, rules, formulas = (cell.strip() for cell in row.split("|"))
        for rule in re.findall(r"`(\w+\.smk)`", rules):
            assert (ROOT / "workflow/rules" / rule).is_file(), rule
        room = None
        for place in re.findall(r"`([^`]+)`", formulas):
            if place.startswith("config/"):
                assert (ROOT / place).is_file(), place
                continue
            room = place.split("/")[0] if "/" in place else room
            assert list((ROOT / "scripts/plw").glob(f"{room}/{place.split('/')[-1]}")), place


def test_the_gallery_is_small_whole_and_says_which_commit_made_it():
    shown = re.findall(r"\]\((docs/gallery/[\w.]+\.png)\)", README)
    assert len(shown) == 4
    assert sum((ROOT / name).stat().st_size for name in shown) < 400_000
    assert {Path(name).name for name in shown} == {path.name for path in (ROOT / "docs/gallery").glob("*.png")}
    about = (ROOT / "docs/gallery/README.md").read_text(encoding="utf-8")
    (commit,) = re.findall(r"commit `([0-9a-f]{7,40})`", about)
    assert all(Path(name).name in about for name in shown)
    known = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True)
    shallow = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    assert known.returncode == 0 or shallow.stdout.strip() != "false"


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    assert newest == version


def test_pre_commit_runs_what_make_lint_runs():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [hook["entry"] for hook in repo["hooks"]] == ["make lint"]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)[1]
    for command in (
        "ruff check",
        "ruff format --check",
        "snakefmt --check",
        "snakemake --lint",
        "lint-imports",
        "mypy",
    ):
        assert command in recipe


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_starts_by_hand_from_the_root_and_says_how_it_is_used(program):
    done = subprocess.run(
        [sys.executable, "-m", "plw.preload", program, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "runs without" not in done.stderr, done.stderr
    assert "usage:" in done.stdout


# The Workflow Catalog's own checks (its scripts/generate-catalog.py): found, linted, formatted; and standardized usage.


def test_the_workflow_catalog_finds_the_workflow():
    assert (ROOT / "workflow/Snakefile").is_file()
    assert any(path.suffix == ".smk" for path in (ROOT / "workflow/rules").iterdir())
    assert "snakemake" in README.lower() and "workflow" in README.lower()


def test_the_workflow_catalog_takes_it_for_standardized():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= set(usage)
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert (ROOT / "config/README.md").is_file()


@pytest.mark.workflow
@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_both_ways_of_calling_lint_and_plan_the_same(snakefile):
    program = Path(sys.executable).parent / "snakemake"
    lint = subprocess.run([program, "--snakefile", snakefile, "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    plan = subprocess.run(
        [program, "--snakefile", snakefile, "--dry-run", "--forceall", "--config", "study=test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert plan.returncode == 0, plan.stderr
    jobs = planned_jobs(plan.stdout + plan.stderr)
    assert jobs["train_model"] == 15
    assert jobs["build_report"] == jobs["all" if snakefile == "Snakefile" else "whole_study"] == 1


def test_the_catalogs_formatter_has_nothing_to_say():
    program = Path(sys.executable).parent / "snakefmt"
    files = [ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    done = subprocess.run([program, "--check", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

"""The workflow's wiring, without running it: dry runs, lint, formats, messages."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, planned_jobs, project_files, snakemake

pytestmark = pytest.mark.workflow
TARGETS = ["figure_1", "figure_4", "table_1", "table_2", "table_3", "report", "scores"]


def dry_run(*arguments: str, folder: Path = ROOT):
    return snakemake("--dry-run", "--forceall", *arguments, folder=folder)


def test_the_default_study_plans_sixty_trainings_and_evaluations():
    done = dry_run()
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert jobs["train_model"] == jobs["evaluate_model"] == 60
    assert jobs["judge_outputs"] == 2 * 6
    assert jobs["fit_glmm"] == 3


def test_the_papers_main_experiment_is_planned_in_under_eight_seconds():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = dry_run("--config", "study=paper")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, because the wall clock of a test also measures whatever else the machine does.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert jobs["train_model"] == 60
    assert "make_world" not in jobs
    assert seconds < 8


@pytest.mark.parametrize("target", TARGETS)
def test_every_named_target_is_planned(target):
    done = dry_run("--config", "study=test", "--", target)
    assert done.returncode == 0, done.stderr


def test_a_figure_that_needs_no_run_plans_none():
    jobs = planned_jobs("".join([(done := dry_run("figure_4")).stdout, done.stderr]))
    assert set(jobs) == {"draw_figure_4", "figure_4", "total"}


def test_parsing_loads_no_heavy_library():
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import plw.configuration, plw.runs; "
        "print([name for name in ('torch', 'pandas', 'numpy', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_misspelt_study_gets_one_message_and_no_files():
    done = snakemake("--cores", "1", "--config", "study=dmeo")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "There is no such study file" in text
    assert "Traceback" not in text
    assert not (ROOT / "results/dmeo").exists()


def test_snakemake_lint_has_nothing_to_say():
    done = snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [["snakefmt", "--check", "Snakefile", "workflow"], ["ruff", "check", "."], ["ruff", "format", "--check", "."]],
)
def test_the_code_has_the_projects_format(command):
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_code_has_more_than_four_hundred_lines():
    code = [name for name in project_files() if name.endswith((".py", ".smk", ".R")) or name == "Snakefile"]
    assert len(code) > 50
    long = {name: n for name in code if (n := len((ROOT / name).read_text().splitlines())) > 400}
    assert not long


def test_every_program_is_used_by_a_rule_and_every_used_program_exists():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    used = set(re.findall(r"scripts/(\w+\.py)", rules))
    programs = {path.name for path in (ROOT / "scripts").glob("*.py")}
    assert used == programs


def test_every_rule_file_states_its_contract():
    files = [path for path in (ROOT / "workflow/rules").glob("*.smk")]
    assert len(files) >= 10
    for path in files:
        head = path.read_text().split('"""')[1]
        assert "REQUIRED INPUTS:" in head, path.name
        assert "OUTPUTS:" in head or "PROVIDES:" in head, path.name


def test_the_readmes_folder_map_equals_the_tree():
    text = (ROOT / "README.md").read_text()
    block = text.split("## Folder map")[1].split("```")[1]
    listed, stack = set(), []
    for line in block.splitlines():
        if not line.strip() or line.strip().startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        stack = [*stack[:depth], name.rstrip("/")]
        listed.add("/".join(stack))
    files = project_files()
    folders = {"/".join(name.split("/")[:i]) for name in files for i in range(1, name.count("/") + 1)}
    known = set(files) | folders
    assert listed <= known, f"in the map, not in the tree: {sorted(listed - known)}"
    top = {name.split("/")[0] for name in files}
    modules = {
        name
        for name in files
        if name.startswith(("scripts/", "workflow/rules/")) and name.endswith((".py", ".smk", ".R"))
    }
    modules = {name for name in modules if not name.endswith("__init__.py")}
    assert top | modules <= listed, f"in the tree, not in the map: {sorted((top | modules) - listed)}"


def test_no_path_of_a_machine_or_registry_host_is_in_the_project():
    pattern = re.compile(r"/(home|work|root|Users)/\w+|index-url\s+https?://")
    found = []
    for name in project_files():
        path = ROOT / name
        if path.is_symlink() or name == "tests/test_workflow.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert not found

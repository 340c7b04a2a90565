"""The workflow's wiring, without running it: dry runs, lint, formats, messages."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, planned_jobs, project_files, snakemake
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs

pytestmark = pytest.mark.workflow
ARTIFACTS = [
    *(f"figure_{n}" for n in range(1, 11)),
    *(f"table_{n}" for n in range(1, 7)),
    "table_losses",
    "figure_claims",
]
TARGETS = [*ARTIFACTS, "scores", "claims", "report"]


def dry_run(*arguments: str, folder: Path = ROOT):
    return snakemake("--dry-run", "--forceall", *arguments, folder=folder)


def test_the_default_study_plans_every_experiment_and_artifact():
    done = dry_run()
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert jobs["train_model"] == jobs["evaluate_model"] == jobs["measure_mechanism"] == 138
    assert jobs["fit_glmm"] == jobs["check_regression"] == 3
    assert {f"draw_{name}" if name.startswith("figure") else f"make_{name}" for name in ARTIFACTS} <= set(jobs)
    assert {"judge_claims", "build_report"} <= set(jobs)


def test_the_whole_paper_is_planned_in_under_eight_seconds_with_its_cost():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = snakemake("--dry-run", "--config", "study=paper", own_child=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, because the wall clock of a test also measures whatever else the machine does.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    jobs = planned_jobs(text)
    assert jobs["train_model"] >= 270
    assert "make_world" not in jobs
    assert 1 < seconds < 8  # Snakemake's imports alone take as long as the first
    for said in ("GPU hours", "Judgements", "Disk", "regularizers 48", "datasets 120", "ratios 40", "losses 30"):
        assert said in text


def test_no_command_names_every_run_of_a_study():
    """Linux takes 128 KiB in one argument, and a command is one; the most that is named are runs shown side by side."""
    done = dry_run("--printshellcmds", "--quiet", "host", "--config", "study=paper")
    commands = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Shell command: ")]
    assert len(commands) > 900
    assert max(command.count("/runs/") for command in commands) < 288 / 5
    assert max(map(len, commands)) < 8_000


def test_the_cost_is_printed_on_a_dry_run_only():
    assert "Judgements" not in (done := snakemake("--list-rules")).stdout + done.stderr


def write_scores(folder: Path, study: str = "paper") -> Path:
    """A score table for every run of a study's main experiment."""
    loaded = load_configuration({"study": study}, root=ROOT)
    lines = ["ptlm,dataset,plw,benchmark,score"]
    for run in list_runs(loaded):
        if "main" in run.experiments and run.regularizer == "none":
            lines += [
                f"{run.ptlm},{run.dataset},{run.plw},{name},{0.3 + 0.02 * index + 0.01 * (len(run.run) % 7):.4f}"
                for index, name in enumerate(loaded["evaluation"]["benchmarks"])
            ]
    path = folder / "my scores.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_score_table_alone_plans_statistics_and_artifacts_and_no_run(tmp_path):
    path = write_scores(tmp_path)
    done = dry_run("--config", "study=paper", f"scores={path}")
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert not {"train_model", "evaluate_model", "judge_outputs", "prepare_dataset", "measure_mechanism"} & set(jobs)
    assert {"take_scores", "fit_glmm", "fit_gam", "judge_claims", "make_table_3", "draw_figure_1"} <= set(jobs)
    assert not {"make_table_1", "draw_figure_2"} & set(jobs)


def test_a_score_table_that_is_not_there_gets_one_message():
    done = snakemake("--cores", "1", "--config", "scores=nowhere.csv")
    assert done.returncode != 0
    assert "The score table is not there" in done.stdout + done.stderr


def test_every_named_target_is_planned():
    done = dry_run("--config", "study=test", "--", *TARGETS)
    assert done.returncode == 0, done.stderr
    assert set(TARGETS) <= set(planned_jobs(done.stdout + done.stderr))


def test_a_figure_that_needs_no_run_plans_none():
    jobs = planned_jobs("".join([(done := dry_run("figure_4")).stdout, done.stderr]))
    assert set(jobs) == {"draw_figure_4", "figure_4", "total"}


def test_the_documented_study_with_an_own_model_and_own_data_is_planned(tmp_path):
    text = (ROOT / "config/README.md").read_text().split("# my_study.yaml")[1].split("```")[0]
    for name in ("models/mine", "data/faq.jsonl"):
        text = text.replace(name, str(tmp_path / name))
    (tmp_path / "models/mine").mkdir(parents=True)
    (tmp_path / "models/mine/config.json").write_text("{}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/faq.jsonl").write_text("{}\n")
    study = tmp_path / "my_study.yaml"
    study.write_text("#" + text)
    done = dry_run("--config", f"study={study}")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert jobs["train_model"] == 1 * 2 * 4
    assert {"draw_figure_1", "make_table_3", "judge_claims", "build_report"} <= set(jobs)
    assert not {"make_table_4", "draw_figure_3"} & set(jobs)


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
    [
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
)
def test_the_code_has_the_projects_format_and_types(command):
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_code_has_more_than_four_hundred_lines():
    code = [name for name in project_files() if name.endswith((".py", ".smk", ".R")) or name == "Snakefile"]
    assert len(code) > 50
    long = {name: n for name in code if (n := len((ROOT / name).read_text().splitlines())) > 400}
    assert not long


def test_every_rule_file_states_its_contract():
    files = [path for path in (ROOT / "workflow/rules").glob("*.smk")]
    assert len(files) >= 10
    for path in files:
        head = path.read_text().split('"""')[1]
        assert "REQUIRED INPUTS:" in head, path.name
        assert "OUTPUTS:" in head or "PROVIDES:" in head, path.name


def test_no_path_of_a_machine_or_registry_host_is_in_the_project():
    pattern = re.compile(r"/(home|work|root|Users)/\w+|index-url\s+https?://")
    found = []
    for name in project_files():
        path = ROOT / name
        if path.is_symlink() or name == "tests/workflow/test_workflow.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert not found

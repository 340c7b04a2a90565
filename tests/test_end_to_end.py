"""The test study from nothing to the report, in a copy of the project, and what runs again after a change."""

import csv
import json
import math
import re
import time
from pathlib import Path

import pytest
import yaml
from checkout import copy_project, planned_jobs, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.r]
STUDY = ("--config", "study=test")
RESULTS = Path("results/test")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A finished test study."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = snakemake("--cores", "all", *STUDY, folder=folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return folder


def dry_run(folder: Path, *arguments: str) -> dict[str, int]:
    done = snakemake("--dry-run", *STUDY, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return planned_jobs(done.stdout + done.stderr)


def rows(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_run_leaves_its_loss_curve_and_record(project):
    runs = rows(project / RESULTS / "runs.csv")
    assert len(runs) == 18
    for run in runs:
        folder = project / RESULTS / "runs" / run["run"]
        curve = rows(folder / "loss.csv")
        record = json.loads((folder / "run.json").read_text())
        assert [int(row["step"]) for row in curve] == list(range(1, record["updates"] + 1))
        assert all(math.isfinite(float(row["loss"])) for row in curve)
        assert record["plw"] == float(run["plw"])
        assert "divided by" in record["effective_loss"]
        assert list((folder / "model").glob("*.safetensors"))
        assert not (project / RESULTS / "checkpoints" / run["run"]).exists()


def test_runs_that_differ_in_plw_alone_end_with_different_weights(project):
    fingerprints = {
        json.loads(path.read_text())["model"] for path in (project / RESULTS / "runs").glob("*/evaluation.json")
    }
    assert len(fingerprints) == 18


def test_the_score_table_holds_each_run_and_benchmark_or_lists_it_as_missing(project):
    table = rows(project / RESULTS / "scores.csv")
    missing = json.loads((project / RESULTS / "missing.json").read_text())["missing"]
    cells = {(row["run"], row["benchmark"]) for row in table} | {(item["run"], item["benchmark"]) for item in missing}
    assert len(cells) == 18 * 13
    # The translation edit rate alone may exceed 1: a text can need more edits than it has words.
    assert all(0 <= float(row["score"]) <= 1 for row in table if row["metric"] != "ter")


def test_every_artifact_is_there_and_none_is_empty(project):
    names = [f"figures/figure_{n}.{kind}" for n in (1, 4) for kind in ("pdf", "png", "csv")]
    names += [f"tables/table_{n}.{kind}" for n in (1, 2, 3) for kind in ("csv", "md", "tex")]
    for name in names:
        assert (project / RESULTS / name).stat().st_size > 100, name


def test_the_report_is_one_page_that_asks_the_network_for_nothing(project):
    page = (project / RESULTS / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    for anchor in ("figure_1", "figure_4", "table_1", "table_2", "table_3"):
        assert f'id="{anchor}"' in page


def test_a_finished_study_has_nothing_to_do_and_says_so_in_ten_seconds(project):
    start = time.monotonic()
    done = snakemake("--cores", "all", *STUDY, folder=project)
    seconds = time.monotonic() - start
    assert "Nothing to be done" in done.stdout + done.stderr
    assert seconds < 10


def test_a_checkout_that_changes_only_times_runs_nothing(project):
    for path in (project / "scripts").rglob("*.py"):
        path.touch()
    assert dry_run(project) == {}


def test_an_edited_colour_remakes_the_figures_and_the_report_only(project):
    style = project / "scripts/plw/figure_style.py"
    text = style.read_text()
    colour = re.search(r'"#[0-9A-Fa-f]{6}"', text)[0]
    style.write_text(text.replace(colour, '"#123456"', 1))
    try:
        assert set(dry_run(project)) - {"all", "total"} == {"draw_figure_1", "draw_figure_4", "build_report"}
    finally:
        style.write_text(text)


def test_an_added_plw_trains_only_its_own_runs(project):
    path = project / "config/studies/test.yaml"
    text = path.read_text()
    study = yaml.safe_load(text)
    study["experiments"]["main"]["plw"].append(0.5)
    path.write_text(yaml.safe_dump(study))
    try:
        jobs = dry_run(project)
    finally:
        path.write_text(text)
    assert jobs["train_model"] == jobs["evaluate_model"] == 6
    assert not {"make_world", "pretrain_model", "prepare_dataset", "train_judge"} & set(jobs)


@pytest.mark.parametrize("target", ["figure_1", "figure_4", "table_1", "table_2", "table_3"])
def test_a_deleted_artifact_is_remade_without_training_or_measuring(project, target):
    for path in (project / RESULTS).glob(f"*/{target}.*"):
        path.unlink()
    jobs = dry_run(project, "--", target)
    assert jobs and not {"train_model", "evaluate_model", "judge_outputs", "fit_glmm"} & set(jobs)
    done = snakemake("--cores", "all", *STUDY, "--", target, folder=project)
    assert done.returncode == 0, done.stderr


def test_snakemakes_own_report_works_too(project):
    done = snakemake(*STUDY, "--report", "snakemake_report.zip", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "snakemake_report.zip").stat().st_size > 10_000

"""The test study from nothing to the report, in a copy of the project, and what runs again after a change."""

import csv
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import markupsafe
import pytest
import yaml
from checkout import planned_jobs, snakemake
from finished_study import RESULTS, STUDY

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]
FIGURES = [*(f"figure_{n}" for n in range(1, 11)), "figure_claims"]
TABLES = [*(f"table_{n}" for n in range(1, 7)), "table_losses"]
ARTIFACTS = [*FIGURES, *TABLES]
RUNS = 15  # of five experiments


@pytest.fixture(scope="module")
def project(finished_study) -> Path:
    """The project's folder with a finished test study."""
    return finished_study


def dry_run(folder: Path, *arguments: str) -> dict[str, int]:
    done = snakemake("--dry-run", *STUDY, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return planned_jobs(done.stdout + done.stderr)


def library(folder: Path) -> dict[str, str]:
    """The environment of a program that is started by hand in this checkout."""
    return {**os.environ, "PYTHONPATH": str(folder / "scripts")}


def rows(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_run_leaves_its_loss_curve_and_record(project):
    runs = rows(project / RESULTS / "runs.csv")
    assert len(runs) == RUNS
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


def test_a_data_set_is_encoded_once_for_all_trainings_that_read_it(project):
    trained = {run["dataset"] for run in rows(project / RESULTS / "runs.csv")}  # both ptlms have one tokenizer
    assert len(list((project / RESULTS / "encoded").glob("*.arrow"))) == len(trained) < RUNS


def test_runs_that_differ_in_one_factor_end_with_different_weights(project):
    fingerprints = {
        json.loads(path.read_text())["model"] for path in (project / RESULTS / "runs").glob("*/evaluation.json")
    }
    assert len(fingerprints) == RUNS


def test_the_score_table_holds_each_run_and_benchmark_or_lists_it_as_missing(project):
    table = rows(project / RESULTS / "scores.csv")
    missing = json.loads((project / RESULTS / "missing.json").read_text())["missing"]
    cells = {(row["run"], row["benchmark"]) for row in table} | {(item["run"], item["benchmark"]) for item in missing}
    planned = rows(project / RESULTS / "runs.csv")
    without_translation = {"regularizers", "datasets"}  # §6 leaves it out
    assert len(cells) == sum(7 if run["experiments"] in without_translation else 13 for run in planned)
    # The translation edit rate alone may exceed 1: a text can need more edits than it has words.
    assert all(0 <= float(row["score"]) <= 1 for row in table if row["metric"] != "ter")


def test_the_report_says_what_the_study_can_and_cannot_show(project):
    found = json.loads((project / RESULTS / "showing.json").read_text())
    page = (project / RESULTS / "report.html").read_text()
    scored = {row["benchmark"] for row in rows(project / RESULTS / "scores.csv")}  # its judge may answer nothing
    assert len(found["rules"]) == 7 and {row["benchmark"] for row in found["benchmarks"]} == scored
    assert all(str(markupsafe.escape(rule["rule"])) in page for rule in found["rules"])
    assert all(rule["met"] is not None for rule in found["rules"]), "a world's study has the material for each rule"


def test_every_artifact_is_there_and_none_is_empty(project):
    names = [f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "csv")]
    names += [f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex")]
    for name in names:
        assert (project / RESULTS / name).stat().st_size > 100, name


def test_the_report_is_one_page_that_asks_the_network_for_nothing(project):
    page = (project / RESULTS / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert len(page) < 2_500_000
    for anchor in [*FIGURES[:-1], *TABLES, "at-a-glance"]:
        assert f'id="{anchor}"' in page


def test_a_finished_study_has_nothing_to_do_and_says_so_in_ten_seconds_of_a_core(project):
    def taken():  # processor time of programs that have ended: other tests run beside this one
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = taken()
    done = snakemake("--cores", "all", *STUDY, folder=project, own_child=True)
    seconds = taken() - start
    assert "Nothing to be done" in done.stdout + done.stderr
    assert 1 < seconds < 10  # Snakemake's imports alone take as long as the first


def test_a_checkout_that_changes_only_times_runs_nothing(project):
    for path in (project / "scripts").rglob("*.py"):
        path.touch()
    assert dry_run(project) == {}


def test_an_edited_colour_remakes_the_figures_and_the_report_only(project):
    style = project / "scripts/plw/figures/style.py"
    text = style.read_text()
    colour = re.search(r'"#[0-9A-Fa-f]{6}"', text)[0]
    style.write_text(text.replace(colour, '"#123456"', 1))
    try:
        remade = set(dry_run(project)) - {"all", "total"}
        assert remade == {f"draw_{figure}" for figure in FIGURES} | {"build_report"}
    finally:
        style.write_text(text)


def test_another_description_rewrites_the_report_only(project):
    path = project / "config/studies/test.yaml"
    text = path.read_text()
    path.write_text(text.replace("description: ", "description: Once more. "))
    try:
        assert set(dry_run(project)) - {"all", "total"} == {"write_study", "build_report"}
    finally:
        path.write_text(text)


def test_an_added_plw_trains_only_its_own_runs(project, tmp_path):
    grown = shutil.copytree(project, tmp_path / "project", symlinks=True)
    path = grown / "config/studies/test.yaml"
    study = yaml.safe_load(path.read_text())
    study["experiments"]["main"]["plw"].append(0.5)
    path.write_text(yaml.safe_dump(study))
    jobs = dry_run(grown)
    assert jobs["train_model"] == jobs["evaluate_model"] == jobs["measure_mechanism"] == 2  # ptlms
    assert not {"make_world", "pretrain_model", "prepare_dataset", "train_judge"} & set(jobs)
    before = {path: path.stat().st_mtime_ns for path in (grown / RESULTS / "runs").rglob("*") if path.is_file()}
    tables = [str(RESULTS / name) for name in ("scores.csv", "mechanism.csv")]  # the rest: next tests
    done = snakemake("--cores", "all", *STUDY, "--", *tables, folder=grown)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len({row["run"] for row in rows(grown / RESULTS / "scores.csv")}) == RUNS + 2
    left = dry_run(grown)
    assert not {"train_model", "evaluate_model", "measure_mechanism", "judge_outputs", "collect_scores"} & set(left)


def verified(folder: Path) -> tuple[int, str]:
    """Exit status and words of `plw verify` in this checkout."""
    command = [sys.executable, "-c", "from plw.cli import main; main()", "verify", "test"]
    done = subprocess.run(command, cwd=folder, env=library(folder), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_finished_study_is_verified_and_what_was_tampered_with_is_named(project, tmp_path):
    status, text = verified(project)
    assert status == 0 and " 0 with faults" in text and "Not verified" not in text, text
    copied = shutil.copytree(project, tmp_path / "project", symlinks=True)
    first, second = sorted((copied / RESULTS / "runs").iterdir())[:2]
    for before, after in ((first, first.parent / "x"), (second, first), (first.parent / "x", second)):
        before.rename(after)
    scores, items = copied / RESULTS / "scores.csv", copied / RESULTS / "items.parquet"
    scores.write_text(scores.read_text().replace("0.5", "0.6", 1))
    items.write_bytes(items.read_bytes()[:-50])
    (copied / RESULTS / "notes.txt").write_text("mine")
    status, text = verified(copied)
    assert status == 1
    for kind, name in (
        *(("swapped", f"runs/{run.name}/") for run in (first, second)),
        *(("edited", "scores.csv"), ("truncated", "items.parquet"), ("foreign", "notes.txt")),
    ):
        assert re.search(rf"^{kind}: {RESULTS}/{name}", text, re.MULTILINE), text


def test_edited_code_of_an_expensive_stage_runs_nothing_and_is_told(project):
    path = project / "scripts/plw/training/loss.py"
    text = path.read_text()
    path.write_text(f"{text}\n\nANOTHER = 1\n")
    try:
        done = snakemake("--dry-run", *STUDY, folder=project)
        planned = set(planned_jobs(done.stdout + done.stderr)) - {"all", "total"}
        said, (_, named) = done.stdout + done.stderr, verified(project)
    finally:
        path.write_text(text)
    assert f"{RUNS} trainings were made by other code than now (version 1 not raised)." in said
    assert not {"train_model", "evaluate_model", "judge_outputs"} & planned
    assert "other code: results/test/runs/" in named


@pytest.fixture(scope="module")
def planned_alone(project) -> dict[str, dict[str, int]]:
    """The jobs that each artifact needs when it is asked for alone and all artifacts are deleted."""
    for path in [*(project / RESULTS / "figures").iterdir(), *(project / RESULTS / "tables").iterdir()]:
        path.unlink()
    with ThreadPoolExecutor(2) as pool:  # of processes: a dry run is one
        return dict(zip(ARTIFACTS, pool.map(lambda name: dry_run(project, "--", name), ARTIFACTS), strict=True))


@pytest.mark.parametrize("target", ARTIFACTS)
def test_a_deleted_artifact_asked_for_alone_needs_only_its_own_program(planned_alone, target):
    program = f"draw_{target}" if target.startswith("figure") else f"make_{target}"
    assert set(planned_alone[target]) - {"total", target} == {program}


def test_all_deleted_artifacts_are_remade_without_training_or_measuring(project, planned_alone):
    models = {path: path.stat().st_mtime for path in (project / RESULTS / "runs").glob("*/*.json")}
    done = snakemake("--cores", "all", *STUDY, "--", *ARTIFACTS, folder=project)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime for path in models} == models
    assert len(list((project / RESULTS / "figures").iterdir())) == 3 * len(FIGURES)
    assert len(list((project / RESULTS / "tables").iterdir())) == 3 * 7


def test_every_claim_has_a_verdict_and_an_inconclusive_one_its_reason(project):
    claims = json.loads((project / RESULTS / "claims.json").read_text())["claims"]
    assert [claim["id"] for claim in claims] == [f"C{n:02d}" for n in range(1, 41)]
    assert {claim["verdict"] for claim in claims} <= {"supported", "contradicted", "inconclusive"}
    assert all(claim["reason"] for claim in claims if claim["verdict"] == "inconclusive")


def test_the_mechanism_of_every_run_is_measured(project):
    table = rows(project / RESULTS / "mechanism.csv")
    runs = {row["run"] for row in rows(project / RESULTS / "runs.csv")}
    for measure in ("rsd", "weight_distance", "generation_tokens"):
        assert {row["run"] for row in table if row["measure"] == measure} == runs, measure
    memorised = {row["dataset"] for row in table if row["measure"] == "memorisation_bleu"}
    assert memorised == {"short"}


def test_a_wrong_score_table_gets_its_message_and_leaves_nothing(project):
    (project / "wrong.csv").write_text("ptlm,dataset,plw,benchmark,score\nweek,plain,0,piqa,0.5\n")
    done = snakemake("--cores", "1", "--config", "study=test", "scores=wrong.csv", "--", "scores", folder=project)
    assert done.returncode != 0
    assert 'did you mean "weak"?' in done.stdout + done.stderr
    assert not (project / "results/test_from_wrong/scores.csv").exists()


def test_snakemakes_own_report_works_too(project):
    done = snakemake(*STUDY, "--report", "snakemake_report.zip", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "snakemake_report.zip").stat().st_size > 10_000

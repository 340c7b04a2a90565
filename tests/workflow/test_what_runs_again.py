"""What only describes runs nothing; every file that decides is an input: seen on a study that is finished in name."""

import os
import shutil
import time

import pytest
import yaml
from checkout import copy_project
from named_results import finish_in_name, planned_again
from tiny import tiny_model

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
STUDY = ("--config", "study=own.yaml")
OWN = {  # one ptlm and one data set that somebody brings as folders; the rest is the world's
    "name": "own",
    "base": "test",
    "ptlms": {"weak": {"label": "Mine", "source": {"path": "brought/model"}}},
    "datasets": {"plain": {"source": {"path": "brought/rows"}}},
}
WEAK_RUNS = 3  # of the study `test` on its ptlm `weak`: three PLWs on one data set
SHOWING = ("draw_", "make_table_")  # figures and tables
WRITING = {"write_study", "build_report"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with that study, finished in name."""
    folder = copy_project(tmp_path_factory.mktemp("again"))
    tiny_model(folder / "brought/model")
    for name in ("a", "b"):
        (folder / "brought/rows").mkdir(exist_ok=True)
        (folder / f"brought/rows/{name}.jsonl").write_text("{}\n")
    (folder / "own.yaml").write_text(yaml.safe_dump(OWN))
    finish_in_name(folder, *STUDY)
    assert planned_again(folder, *STUDY) == {}
    return folder


@pytest.fixture
def study(project):
    """Writes the study with a change; afterwards it is as it was."""

    def change(**sections):
        values = {key: {**OWN.get(key, {}), **section} for key, section in sections.items()}
        (project / "own.yaml").write_text(yaml.safe_dump(OWN | values))
        return planned_again(project, *STUDY)

    yield change
    (project / "own.yaml").write_text(yaml.safe_dump(OWN))


def edit(path, content):
    """Other content, in the same place, with a later time; returns what undoes it."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content)
    os.utime(path, (time.time() + 5, time.time() + 5))

    def undo():
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    return undo


def test_another_label_of_a_data_set_or_a_ptlm_remakes_figures_tables_and_the_report(study):
    jobs = study(datasets={"short": {"label": "Brief"}, "plain": {**OWN["datasets"]["plain"], "label": "P"}})
    assert {"make_table_1", "draw_figure_1"} <= set(jobs)
    assert not {job for job in set(jobs) - WRITING if not job.startswith(SHOWING)}
    jobs = study(ptlms={"weak": {**OWN["ptlms"]["weak"], "label": "Yours"}})
    assert not {job for job in set(jobs) - WRITING if not job.startswith(SHOWING)}


def test_another_label_or_printed_version_of_a_benchmark_measures_and_fits_nothing_again(study):
    jobs = study(benchmarks={"piqa": {"label": "Physics", "version": 9}})
    assert not {job for job in set(jobs) - WRITING - {"judge_claims"} if not job.startswith(SHOWING)}


def test_another_role_of_a_data_set_fits_and_judges_anew_and_trains_nothing(study):
    jobs = study(datasets={"short": {"stands_for": "AlpacaDataTiny"}})
    assert {"judge_claims", "fit_gam"} <= set(jobs)
    assert not {"prepare_dataset", "train_model", "evaluate_model", "judge_outputs", "measure_mechanism"} & set(jobs)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_of_a_ptlms_folder_that_is_replaced_in_place_trains_its_runs_again(project, name):
    undo = edit(project / "brought/model" / name, b"other weights")
    try:
        jobs = planned_again(project, *STUDY)
    finally:
        undo()
    assert jobs["train_model"] == jobs["measure_mechanism"] == WEAK_RUNS
    assert "evaluate_model" in jobs and "pretrain_model" not in jobs


def test_rows_that_are_appended_in_a_folder_prepare_and_train_again(project):
    file = project / "brought/rows/b.jsonl"
    undo = edit(file, file.read_bytes() + b"{}\n")
    try:
        jobs = planned_again(project, *STUDY)
    finally:
        undo()
    assert jobs["prepare_dataset"] == 1
    assert "train_model" in jobs


def test_a_file_that_is_added_to_a_folder_prepares_and_trains_again(project):
    added = project / "brought/rows/c.jsonl"
    added.write_text("{}\n")
    try:
        jobs = planned_again(project, *STUDY)
    finally:
        added.unlink()
    assert jobs["prepare_dataset"] == 1 and "train_model" in jobs


@pytest.mark.parametrize(
    "name, rule, spared",
    [
        ("config/harness/piqa.yaml", "evaluate_model", "train_model"),
        ("config/judges/demo_alpaca_eval.txt", "judge_outputs", "evaluate_model"),
        ("results/own/world/benchmarks/truthfulqa.preamble.txt", "evaluate_model", "train_model"),
    ],
)
def test_an_edited_task_prompt_or_preamble_measures_again_and_trains_nothing(project, name, rule, spared):
    undo = edit(project / name, b"# another\n" + (project / name).read_bytes())
    try:
        jobs = planned_again(project, *STUDY)
    finally:
        undo()
    assert rule in jobs
    if "judges" not in name:  # the world's tokenizer is trained on the judge's prompt too
        assert spared not in jobs


def test_a_file_that_only_got_another_time_runs_nothing(project):
    paths = [project / "brought/model/model.safetensors", project / "config/harness/piqa.yaml"]
    times = [path.stat() for path in paths]
    for path in paths:
        os.utime(path, (time.time() + 5, time.time() + 5))
    try:
        assert planned_again(project, *STUDY) == {}
    finally:
        for path, before in zip(paths, times, strict=True):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_folders_patterns_lists_and_the_home_folder_are_the_same_to_the_rules(project, study, monkeypatch):
    """The same files by another spelling prepare the data set once more, and name the same inputs."""
    monkeypatch.setenv("HOME", str(project))
    for path in ("brought/rows/*.jsonl", ["brought/rows/a.jsonl", "brought/rows/b.jsonl"], "~/brought/rows"):
        jobs = study(datasets={"plain": {"source": {"path": path}}})
        assert jobs["prepare_dataset"] == 1, path
    shutil.move(project / "brought/model", project / "brought/moved")
    try:
        jobs = study(ptlms={"weak": {"label": "Mine", "source": {"path": "~/brought/moved"}}})
        assert jobs["train_model"] == WEAK_RUNS
    finally:
        shutil.move(project / "brought/moved", project / "brought/model")


@pytest.mark.parametrize("run, judged", [("strong-short-plw1", 2), ("strong-plain-plw0", 1)])
def test_what_is_finished_is_judged_and_shown_without_the_runs_that_are_left(project, run, judged):
    """Each batch that the run was in is judged again; PandaLM's judge compares with the second run, so it has none."""
    (gone,) = (project / "results/own/runs").glob(f"{run}-nonzero_count-none-*")
    evaluation = gone / "evaluation.json"
    left = evaluation.rename(gone / "left.json")
    try:
        whole = planned_again(project, "--forcerun", "collect_scores", *STUDY)
        jobs = planned_again(project, "--forcerun", "collect_scores", *STUDY, "finished_only=true")
    finally:
        left.rename(evaluation)
    assert whole["evaluate_model"] == 1
    assert not {"prepare_dataset", "train_model", "evaluate_model", "measure_mechanism"} & set(jobs)
    assert {"collect_scores", "build_report"} <= set(jobs) and jobs["judge_outputs"] == judged

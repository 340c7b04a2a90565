"""A packed study on a borrowed machine: within its time, without the harness, with the workflow's own digits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import evaluate_model
import pytest
import yaml
from benchmark_samples import write_benchmarks
from checkout import ROOT
from plw.errors import InputError
from plw.files import read_json, write_jsonl
from plw.mechanism import borrowed
from plw.mechanism.borrowed import run_packed
from plw.mechanism.packing import pack_study
from plw.mechanism.returned import take_results
from plw.study.configuration import load_configuration
from plw.study.parameters import evaluation_settings, measured_entries
from plw.study.runs import list_runs
from plw.training.loss_log import LossLog, read_loss
from tiny import tiny_instances, tiny_model

HARNESS = ROOT / "config" / "harness"
ABSENT = ("lm_eval", "datasets", "deepspeed", "snakemake", "alpaca_eval", "rpy2")  # on a machine that only has torch
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {ABSENT!r} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
DATASETS = ("alpaca_data_cleaned", "alpaca_data_short")


def small_study(folder: Path, **training) -> dict:
    """The study smol_40min with tiny models, rows and benchmarks in `folder`; four runs."""
    sources = write_benchmarks(folder / "bench", rows=5)
    splits = {"train": f"{folder}/bench/wino.train.jsonl", "validation": f"{folder}/bench/wino.jsonl"}
    winogrande = {"source": {"path": splits}, "fewshot_holdout": None, "limit": 4}
    names = ("arc_challenge", "piqa", "truthfulqa_mc2")
    text = {
        "base": "smol_40min",
        "ptlms": {"smollm2_135m": {"label": "tiny", "source": {"path": "resources/tiny"}}},
        "seeds": [42],
        "experiments": {
            "main": {"plw": {name: [0.0, 0.1] for name in DATASETS}},
            "losses": {"datasets": ["alpaca_data_short"], "plw": [0.1]},
        },
        "run_experiments": ["main"],
        "training": {
            **{"epochs": 1, "max_length": 160, "micro_batch": 2, "micro_batches_per_update": 2, "physical_batch": 4},
            **{"compute_dtype": "float32", "device": "cpu", "learning_rate": 5.0e-3},
            **training,
        },
        "evaluation": {"dtype": "float32", "batch_size": 4, "device": "cpu"},
        "benchmarks": {name: {"source": sources[name], "limit": 4} for name in names} | {"winogrande": winogrande},
        "mechanism": {"memorisation": {"prompts": 4, "max_new_tokens": 6}},
    }
    file = folder / "tiny40.yaml"
    file.write_text(yaml.safe_dump(text), encoding="utf-8")
    study = load_configuration({"study": str(file), "samples": str(folder)}, root=ROOT)
    for index, name in enumerate(DATASETS):
        write_jsonl(folder / f"results/tiny40/data/{name}/instances.jsonl", tiny_instances(10, seed=index))
    if not (folder / "resources/tiny").exists():
        tiny_model(folder / "resources/tiny")
    return study


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """(folder of the study, study, folder of inputs)."""
    folder = tmp_path_factory.mktemp("packed")
    study = small_study(folder)
    inputs = folder / "inputs"
    pack_study(study, list_runs(study), out=inputs, root=folder, gguf={}, harness_folder=HARNESS)
    return folder, study, inputs


def work_through(inputs: Path, folder: Path, seconds: float = 600) -> dict:
    return run_packed(inputs, folder / "back", folder / "work", seconds=seconds, threads=1, say=lambda _: None)


@pytest.fixture(scope="module")
def finished(packed, tmp_path_factory):
    """(progress, folder with back/ and work/) of the whole packed study in one call."""
    folder = tmp_path_factory.mktemp("finished")
    return work_through(packed[2], folder), folder


def losses(folder: Path) -> list[str]:
    """Loss curves without the column of seconds."""
    rows = (folder / "back/losses.csv").read_text().splitlines()
    place = rows[0].split(",").index("seconds")
    return [",".join(cell for index, cell in enumerate(row.split(",")) if index != place) for row in rows]


def test_the_inputs_name_their_checksums_and_everything_that_the_runs_need(packed):
    _, study, inputs = packed
    listed = read_json(inputs / "study.json")
    here = {str(file.relative_to(inputs)) for file in inputs.rglob("*") if file.is_file()} - {"study.json"}
    assert set(listed["files"]) == here
    assert [run["row"]["run"] for run in listed["runs"]] == [run.run for run in list_runs(study)]
    assert {run["mechanism"]["memorisation"] is None for run in listed["runs"]} == {True, False}  # of Short alone
    assert listed["training"]["normalization_unit"] == "microbatch" and listed["benchmarks"]["piqa"]["requests"] == 8


@pytest.mark.slow
def test_a_whole_packed_study_comes_back_in_few_files_and_becomes_the_workflows_own(packed, finished):
    folder, study, _ = packed
    progress, place = finished
    runs = list_runs(study)
    assert progress["done"] == [run.run for run in runs] and progress["left"] == [] and not progress["failed"]
    assert {file.name for file in (place / "back").iterdir()} == {
        "runs.jsonl", "losses.csv", "answers.jsonl.gz", "progress.json",
    }  # fmt: skip
    assert not list((place / "work/results/tiny40/runs").iterdir())  # models are deleted
    counts = take_results(study, runs, place / "back", root=folder, harness_folder=HARNESS, say=lambda _: None)
    assert counts == {"taken": 4, "kept": 0, "failed": 0, "left": 0}
    for run in runs:
        there = folder / "results/tiny40/runs" / run.run
        index, record = read_json(there / "evaluation.json"), read_json(there / "run.json")
        assert set(index["benchmarks"]) == set(study["evaluation"]["benchmarks"])
        assert index["benchmarks"]["piqa"]["metrics"]["acc_norm"]["n"] == 4
        assert record["plw"] == run.plw and len(read_loss(there / "loss.csv")) == record["updates"] == 3
        mechanism = read_json(there / "mechanism.json")
        assert mechanism["weight_distance"]["mean_over_tensors"] > 0
        assert (mechanism["memorisation"] is not None) == (run.dataset == "alpaca_data_short")
        assert float((folder / f"results/tiny40/times/train_model/{run.run}.tsv").read_text().split()[1]) > 0
    again = take_results(study, runs, place / "back", root=folder, harness_folder=HARNESS, say=lambda _: None)
    assert again == {"taken": 0, "kept": 4, "failed": 0, "left": 0}


@pytest.mark.slow
def test_processes_that_share_a_device_find_together_what_one_alone_finds(packed, finished, tmp_path):
    _, study, inputs = packed
    curves, answers, ran = set(), {}, []
    for share in ((1, 2), (2, 2)):
        place = tmp_path / str(share[0])
        progress = run_packed(
            inputs, place / "back", place / "work", seconds=600, share=share, threads=1, say=lambda _: None
        )
        assert progress["left"] == [] and len(progress["done"]) == 2
        ran += progress["done"]
        curves |= set(losses(place))
        answers |= borrowed.read_results(place / "back")[2]
    assert sorted(ran) == sorted(run.run for run in list_runs(study))
    assert curves == set(losses(finished[1]))
    assert answers == borrowed.read_results(finished[1] / "back")[2]


@pytest.mark.slow
def test_what_a_call_left_goes_on_in_the_next_one_to_the_same_digits(packed, finished, tmp_path, monkeypatch):
    """The first call stops inside a training, the second between two runs; the third has lost its working folder."""
    _, _, inputs = packed
    train = borrowed.train_run

    def train_out_of_time(**arguments):
        write = LossLog._write

        def write_and_stop(self, step, *values):
            write(self, step, *values)
            self.stop_requested = True

        with monkeypatch.context() as patch:
            patch.setattr(LossLog, "_write", write_and_stop)
            train(**arguments)

    monkeypatch.setattr(borrowed, "train_run", train_out_of_time)
    first = work_through(inputs, tmp_path)
    assert "Stopped by a signal after update 2 of 3" in first["stopped"] and first["done"] == []
    assert list((tmp_path / "work/results/tiny40/checkpoints").rglob("complete.json"))
    monkeypatch.setattr(borrowed, "train_run", train)

    def no_time_after_one(clock, stage, began):
        clock._longest["training"] = 1e6
        return 0.0

    with monkeypatch.context() as patch:
        patch.setattr(borrowed.Clock, "end", no_time_after_one)
        second = work_through(inputs, tmp_path)
    assert len(second["done"]) == 1 and "training takes up to 1000000 s" in second["stopped"]
    (tmp_path / "work").rename(tmp_path / "lost")
    third = work_through(inputs, tmp_path)
    assert third["left"] == [] and third["stopped"] is None
    whole = finished[1]
    assert losses(tmp_path) == losses(whole)
    assert (tmp_path / "back/answers.jsonl.gz").read_bytes() == (whole / "back/answers.jsonl.gz").read_bytes()
    records = [json.loads(line)["record"] for line in (tmp_path / "back/runs.jsonl").read_text().splitlines()]
    assert [record["resumed_from"] for record in records] == [2, 0, 0, 0]


@pytest.mark.slow
def test_a_machine_without_the_harness_and_the_workflow_is_enough_and_stops_at_its_limit(packed, finished, tmp_path):
    """As a program, with those libraries forbidden; the time ends before the first stage, then suffices."""
    _, _, inputs = packed
    (tmp_path / "sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'scripts'}"}
    program = [sys.executable, str(ROOT / "scripts/mechanism/run_packed.py"), "--inputs", str(inputs), "--threads", "1"]
    program += ["--results", str(tmp_path / "back"), "--work", str(tmp_path / "work"), "--minutes"]
    done = subprocess.run([*program, "0.0001"], env=environment, capture_output=True, text=True)
    assert done.returncode == 75, done.stderr[-3000:]
    assert "the time was over" in done.stdout and len(read_json(tmp_path / "back/progress.json")["left"]) == 4
    done = subprocess.run([*program, "9"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "4 of 4" in done.stdout and "Nothing is left to do." in done.stdout
    assert losses(tmp_path) == losses(finished[1])


def test_the_time_limit_is_a_signal_to_a_training_that_listens(monkeypatch):
    """SIGUSR1 comes again and again, because a training listens only once its loop begins; afterwards none comes."""
    heard = []
    clock = borrowed.Clock(0.0, [])
    with clock.stops_training():
        before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(time.monotonic()))
        end = time.monotonic() + 20
        while len(heard) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) >= 2


def test_a_damaged_input_and_results_of_other_inputs_are_refused(packed, tmp_path):
    _, _, inputs = packed
    copy = tmp_path / "inputs"
    shutil.copytree(inputs, copy)
    (copy / "data/alpaca_data_short.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="missing or damaged"):
        work_through(copy, tmp_path)
    stopped = work_through(inputs, tmp_path, seconds=0)
    assert len(stopped["left"]) == 4 and stopped["done"] == []
    listed = read_json(inputs / "study.json")
    listed["training"]["epochs"] = 2
    shutil.rmtree(copy)
    shutil.copytree(inputs, copy)
    (copy / "study.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match="belong to another study"):
        work_through(copy, tmp_path)


def test_results_of_other_settings_or_rows_are_not_taken(packed, tmp_path):
    folder, study, inputs = packed
    work_through(inputs, tmp_path, seconds=0)
    runs = list_runs(study)

    def take(**changes):
        return take_results(study | changes, runs, tmp_path / "back", root=folder, harness_folder=HARNESS)

    assert take() == {"taken": 0, "kept": 0, "failed": 0, "left": 4}
    with pytest.raises(InputError, match="another training settings"):
        take(training=study["training"] | {"epochs": 3})
    with pytest.raises(InputError, match="another study"):
        take(name="other")


def test_what_cannot_be_done_elsewhere_is_refused_when_it_is_packed(tmp_path):
    study = small_study(tmp_path, processes=2)
    options = {"out": tmp_path / "inputs", "root": tmp_path, "gguf": {}, "harness_folder": HARNESS}
    with pytest.raises(InputError, match="one process"):
        pack_study(study, list_runs(study), **options)
    study["training"]["processes"] = 1
    study["ptlms"]["smollm2_135m"]["source"] = {"hub": "o/n", "revision": "main"}
    with pytest.raises(InputError, match="Only a local model"):
        pack_study(study, list_runs(study), **options)


def test_answers_are_those_of_the_workflows_evaluation(packed, tmp_path):
    """The model at hand, measured by the program of evaluate_model, and asked as on the other machine."""
    folder, study, inputs = packed
    listed = read_json(inputs / "study.json")
    answers = borrowed.answer_requests(listed["runs"][0], listed, inputs, folder / "resources/tiny")
    flags = ["--model", str(folder / "resources/tiny"), "--run-dir", str(tmp_path), "--threads", "1"]
    flags += ["--benchmarks", json.dumps(measured_entries(study, study["evaluation"]["benchmarks"]))]
    evaluate_model.main([*flags, "--evaluation", evaluation_settings(study), "--index", str(tmp_path / "index.json")])
    for name, found in answers.items():
        items = read_json(tmp_path / f"benchmarks/{name}.json")["items"]
        expected = [value for item in items for value in item["log_likelihoods"]]
        assert [round(value, 6) for value, _ in found] == expected, name

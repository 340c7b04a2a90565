"""`plw new`: the study file that it writes is short, loads without complaint and plans runs."""

import json

import pytest
import torch
from checkout import ROOT
from plw.cli import parse_and_run
from plw.recommend.hardware import Hardware
from plw.study.configuration import load_configuration
from plw.study.design import pretrained_ptlms
from plw.study.planning.plan import plan_study
from plw.study.runs import list_runs
from tiny import tiny_model

CARD = Hardware("Some card", 2, 1e14, 1e12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    tiny_model(folder / "A model")
    rows = [{"messages": [{"role": "user", "content": f"Say {n}, and then what follows."},
                          {"role": "assistant", "content": f"It is {n}."}]} for n in range(40)]  # fmt: skip
    (folder / "FAQ-2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "quiz.jsonl").write_text(json.dumps({"question": "Q?", "choices": ["a", "b"], "answer": "a"}) + "\n")
    (folder / "short.jsonl").write_text(json.dumps({"question": "Q?", "answer": "a"}) + "\n")
    (folder / "task.yaml").write_text(
        "task: own\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: '{{choices}}'\n"
        "doc_to_target: 0\nmetric_list: [{metric: acc_norm, aggregation: mean, higher_is_better: true}]\n"
    )
    return folder


def call(folder, output, *flags):
    parse_and_run(["new", "--data", str(folder / "FAQ-2.jsonl"), "-o", str(output), "--root", str(ROOT), *flags])


def written(folder, output, *flags) -> dict:
    """The study, of a file of at most fifteen lines."""
    call(folder, output, *flags)
    assert len(output.read_text().splitlines()) <= 15
    return load_configuration({"study": str(output)}, root=ROOT)


def test_a_model_of_ones_own_with_benchmarks_and_a_judge(folder, tmp_path, capsys):
    model, quiz, short = (str(folder / name) for name in ("A model", "quiz.jsonl", "short.jsonl"))
    task = f"{folder / 'task.yaml'}={quiz}"
    output = tmp_path / "mine.yaml"
    study = written(folder, output, "--model", model, "--judge", model, "--gpu", "0", "--benchmark", quiz, short, task)
    said = capsys.readouterr().out
    assert study["evaluation"]["benchmarks"] == ["my_quiz", "my_short", "my_task", "alpaca_eval"]
    assert [study["benchmarks"][f"my_{name}"]["metric"] for name in ("quiz", "short", "task")] == [
        "acc",
        "f1",
        "acc_norm",
    ]
    assert study["datasets"]["my_faq_2"]["format"] == "messages" and study["training"]["device"] == "cpu"
    assert study["judges"]["alpaca_eval"]["source"] == {"path": model}
    runs = list_runs(study)
    assert [run.plw for run in runs][::2] == [0.0, 1.0] and 0 < runs[1].plw < 1 and not pretrained_ptlms(study, runs)
    assert f"snakemake --cores all --config study={output}" in said and "Hours (rates of" in said
    assert output.read_text().startswith("# 40 rows, format messages, R_g ")


def test_few_rows_are_trained_in_more_than_one_update_and_the_cost_is_of_this_machine(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("plw.recommend.new_study.hardware_here", lambda gpus: CARD)
    study = written(folder, tmp_path / "mine.yaml", "--model", str(folder / "A model"))
    training = study["training"]
    assert (training["processes"], training["device"], study["plan"]["gpu"]) == (2, "cuda", "Some card")
    assert training["micro_batches_per_update"] * training["micro_batch"] < 40 and training["last_window"] == "keep"
    plan = plan_study(study, list_runs(study), {}, ROOT)
    assert plan["lengths"] == {"estimated"} and plan["gpu_hours"]["training"].high > 0


@pytest.mark.parametrize(("faster", "dtype"), [(6.9, "bfloat16"), (1.2, "float32"), (0.3, "float32")])
def test_a_processor_computes_in_bfloat16_only_where_that_was_seen_to_be_much_faster(
    folder, tmp_path, monkeypatch, faster, dtype
):
    rates = {torch.float32: 1e11, torch.bfloat16: faster * 1e11}
    monkeypatch.setattr("plw.recommend.hardware._rates", lambda device, dtype: (rates[dtype], 1e10))
    study = written(folder, tmp_path / "mine.yaml", "--model", str(folder / "A model"), "--gpu", "0")
    assert (study["training"]["compute_dtype"], study["evaluation"]["dtype"]) == (dtype, dtype)
    assert study["plan"]["gpu_flops"] == rates[getattr(torch, dtype)]


def test_all_turns_of_conversations_are_trained_on_where_that_is_asked_for(folder, tmp_path):
    study = written(folder, tmp_path / "mine.yaml", "--model", "weak", "--turns", "all")
    assert study["datasets"]["my_faq_2"]["turns"] == "all"


def test_the_demos_ptlm_is_named_where_it_is_made_already(folder, tmp_path, capsys):
    study = written(folder, tmp_path / "mine.yaml", "--model", "weak", "--plw", "0", "0.1", "--benchmark", "piqa")
    assert study["evaluation"]["benchmarks"] == ["piqa"]
    there = (ROOT / "results/demo/world/ptlms/weak/model.safetensors").is_file()
    assert pretrained_ptlms(study, list_runs(study)) == ([] if there else ["weak"])
    assert ("has to be made first" in capsys.readouterr().out) == (not there)
    assert [run.plw for run in list_runs(study)] == [0.0, 0.1]


def test_a_model_of_the_hub_is_pinned_and_its_weights_are_told_by_its_files(folder, tmp_path, hub):
    model = folder / "A model"
    files = {file.name: file.read_bytes() for file in model.iterdir() if file.is_file()}
    repository = hub.add("org/some-model", files)
    study = written(folder, tmp_path / "mine.yaml", "--model", "org/some-model")
    entry = study["ptlms"]["my_some_model"]
    assert entry["source"] == {"hub": "org/some-model", "revision": repository.commit}
    assert entry["parameters"] == pytest.approx(len(files["model.safetensors"]) / 4, rel=0.01)


@pytest.mark.parametrize(("flags", "message"), [
    (["--model", "nowhere"], "no such model"),
    (["--model", "weak", "--plw", "2"], "between 0 and 1"),
    (["--model", "weak", "--benchmark", "nowhere.jsonl"], "no such file"),
    (["--model", "weak", "--benchmark", "task.yaml"], "ROWS.jsonl"),
])  # fmt: skip
def test_what_cannot_be_used_is_said_and_no_file_is_left(folder, tmp_path, flags, message):
    output = tmp_path / "mine.yaml"
    with pytest.raises(ValueError, match=message):
        call(folder, output, *flags)
    assert not output.exists()


def test_a_file_that_is_there_is_not_written_over(folder, tmp_path):
    output = tmp_path / "mine.yaml"
    output.write_text("base: demo\n")
    with pytest.raises(ValueError, match="there already"):
        call(folder, output, "--model", "weak")
    assert output.read_text() == "base: demo\n"

"""The evaluation of one model: one load, results kept by weights, settings and data."""

import json
import socket
from pathlib import Path

import evaluate_model as program
import plw.evaluation.measuring
import pytest
import torch
import yaml
from benchmark_samples import write_benchmarks
from lm_eval.api.task import ConfigurableTask
from plw.errors import InputError
from plw.evaluation.measuring import specification_hash
from plw.models.fingerprint import model_fingerprint
from tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))
EVALUATION = {"batch_size": 8, "shared_contexts": True, "device": "cpu"}
NAMES = ("piqa", "wmt14_en_fr", "alpaca_eval", "pandalm")


@pytest.fixture
def setting(tmp_path):
    tiny_model(tmp_path / "model")
    sources = write_benchmarks(tmp_path / "data", rows=4)
    changes = {"num_beams": 1, "repetition_penalty": 1.0}
    entries = {
        name: {"name": name, **REGISTRY[name], "source": sources[name], "max_new_tokens": 6}
        | (changes if name == "pandalm" else {})
        for name in NAMES
    }
    entries["piqa"]["max_new_tokens"] = None
    return tmp_path, entries


def run(
    folder: Path,
    entries: list[dict],
    evaluation: dict | None = None,
    model: str = "model",
    more: list[str] | None = None,
) -> dict:
    index = folder / "run" / "evaluation.json"
    flags = ["--model", str(folder / model), "--benchmarks", json.dumps(entries), "--threads", "1"]
    flags += ["--evaluation", json.dumps(evaluation or EVALUATION)]
    program.main([*flags, "--run-dir", str(folder / "run"), "--index", str(index), *(more or [])])
    return json.loads(index.read_text())


def written(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (folder / "run" / "benchmarks").iterdir()}


def test_all_frameworks_are_measured_without_network(setting, monkeypatch):
    folder, entries = setting
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("network"))
    index = run(folder, list(entries.values()))
    assert list(index["benchmarks"]) == list(NAMES)
    assert index["benchmarks"]["piqa"]["metrics"]["acc_norm"]["n"] == 4
    assert index["benchmarks"]["wmt14_en_fr"]["n"] == 4 + 6
    assert index["benchmarks"]["alpaca_eval"]["metrics"] == {}
    outputs = json.loads((folder / "run" / "benchmarks" / "pandalm.outputs.json").read_text())["outputs"]
    assert [set(output) for output in outputs] == [{"instruction", "input", "output", "tokens", "finished"}] * 4
    assert all(output["output"] == output["output"].strip() for output in outputs)


def test_a_benchmark_added_later_runs_alone_and_no_model_is_loaded_when_nothing_is_missing(setting, monkeypatch):
    folder, entries = setting
    run(folder, [entries["piqa"]])
    before = written(folder)
    index = run(folder, [entries["piqa"], entries["alpaca_eval"]])
    assert written(folder)["piqa.json"] == before["piqa.json"]
    assert set(index["benchmarks"]) == {"piqa", "alpaca_eval"}
    monkeypatch.setattr(plw.evaluation.measuring, "load_with_tokenizer", lambda *args, **kwargs: pytest.fail("loaded"))
    assert run(folder, [entries["piqa"], entries["alpaca_eval"]]) == index


def test_models_of_a_sweep_share_their_requests_and_score_what_they_score_alone(setting, monkeypatch):
    folder, entries = setting
    chosen = [entries["piqa"], entries["wmt14_en_fr"]]
    alone = run(folder, chosen)
    tiny_model(folder / "other", seed=7)
    other = run(folder, chosen, model="other")
    shared = ["--requests", str(folder / "requests")]
    for file in (folder / "run" / "benchmarks").iterdir():
        file.unlink()
    for model, expected in (("model", alone), ("other", other)):
        found = run(folder, chosen, model=model, more=shared)
        assert len(list((folder / "requests").iterdir())) == len(chosen)
        for name in ("piqa", "wmt14_en_fr"):
            assert found["benchmarks"][name]["metrics"] == expected["benchmarks"][name]["metrics"]
        monkeypatch.setattr(ConfigurableTask, "fewshot_context", lambda *a, **k: pytest.fail("a prompt is built"))


@pytest.mark.parametrize("change", ["weights", "settings", "data", "damaged"])
def test_what_changes_a_result_makes_it_anew(change, setting):
    folder, entries = setting
    entry, evaluation = entries["piqa"], dict(EVALUATION)
    first = run(folder, [entry])["benchmarks"]["piqa"]
    before = written(folder)
    if change == "weights":
        tiny_model(folder / "model", seed=7)
    elif change == "settings":
        evaluation["batch_size"] = 4
    elif change == "data":
        path = Path(entry["source"]["path"])
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    else:
        (folder / "run" / "benchmarks" / "piqa.json").write_text('{"metrics": {')
    second = run(folder, [entry], evaluation)["benchmarks"]["piqa"]
    assert written(folder)["piqa.json"] != before["piqa.json"]
    assert (second["specification"] == first["specification"]) == (change in ("weights", "damaged"))


def test_a_new_label_or_group_changes_no_specification(setting):
    _, entries = setting
    settings = plw.evaluation.measuring.DEFAULTS
    hashes = [
        specification_hash({**entries["piqa"], **change}, settings, ROOT / "config" / "harness")
        for change in ({}, {"label": "other", "group": "III"}, {"limit": 2})
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_fingerprint_follows_the_weights_and_a_hub_model_its_revision(setting):
    folder, _ = setting
    source = {"path": str(folder / "model")}
    first = model_fingerprint(source)
    assert model_fingerprint(source) == first
    tiny_model(folder / "model", seed=3)
    assert model_fingerprint(source) != first
    assert model_fingerprint({"hub": "org/name", "revision": "abc"}) == "org/name@abc"
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no safetensors weights"):
        model_fingerprint({"path": str(folder / "empty")})


def test_wrong_settings_and_an_absent_gpu_are_named(setting):
    folder, entries = setting
    with pytest.raises(InputError, match="Unknown evaluation setting"):
        run(folder, [entries["piqa"]], {"batchsize": 3})
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="A GPU is asked for and none is visible"):
            run(folder, [entries["piqa"]], {"device": "cuda"})

"""The distance that a training takes from its float32 weights, where the saved model would tell a rounded one."""

import json
import subprocess
from dataclasses import replace

import measure_mechanism
import pytest
import torch
from plw.files import read_json
from plw.mechanism.weight_distance import weight_distance
from plw.models.loading import load_model
from plw.training.distance import distance_of_parts
from plw.training.zero import weight_parts
from safetensors.torch import load_file, save_file
from training_runs import command, preloaded, run

TINY = {"learning_rate": 1e-6, "adam_eps": 1e-8}  # changes far below bfloat16's steps


def parts_and_names(model):
    return weight_parts(model), [name for name, _ in model.named_parameters()]


def moved_model(world, change=1e-5):
    """The starting model with every weight moved by `change`, up or down, as far as float32 can tell."""
    model = load_model({"path": str(world / "model")})
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += change * (2 * torch.randint(2, parameter.shape, generator=generator) - 1)
    return model


def test_a_change_that_bfloat16_cannot_hold_is_measured_as_it_is(world, tmp_path):
    model, ptlm = moved_model(world), {"path": str(world / "model")}
    found = distance_of_parts(*parts_and_names(model), ptlm)
    assert found.mean_over_elements == pytest.approx(1e-5, rel=1e-3)
    assert found.mean_over_tensors == pytest.approx(1e-5 * found.elements / found.tensors, rel=1e-3)
    assert found.dtypes == {"model": ["F32"], "ptlm": ["F32"]}
    model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    assert weight_distance({"path": str(tmp_path / "half")}, ptlm).mean_over_elements > 2e-5  # what the files say


def test_in_float32_it_is_the_distance_of_the_files_to_the_last_digit(world, tmp_path):
    model, ptlm = moved_model(world, 0.01), {"path": str(world / "model")}
    model.save_pretrained(tmp_path / "whole")
    assert distance_of_parts(*parts_and_names(model), ptlm).mean_over_tensors == pytest.approx(
        weight_distance({"path": str(tmp_path / "whole")}, ptlm).mean_over_tensors, rel=1e-14
    )


def test_stretches_that_begin_and_end_within_rows_add_up_to_the_whole(world, monkeypatch):
    monkeypatch.setattr("plw.training.distance.SLICE_ELEMENTS", 100)
    model, ptlm = moved_model(world, 0.01), {"path": str(world / "model")}
    parts, names = parts_and_names(model)
    whole = distance_of_parts(parts, names, ptlm)

    class Stretch(type(parts[0])):
        def weights(self):
            return super().weights()[self.start : self.start + self.count]

    cut = []
    for part in parts:
        stretch = Stretch(part.name, part.parameter, 0, part.count)
        middle = part.count // 3 + 1
        cut += [replace(stretch, count=middle), replace(stretch, start=middle, count=part.count - middle)]
    found = distance_of_parts(cut, names, ptlm)
    assert found.elements == whole.elements
    assert found.mean_over_tensors == pytest.approx(whole.mean_over_tensors, rel=1e-6)


def test_other_names_leave_the_measure_to_the_files_and_say_so(world, tmp_path, capsys):
    weights = load_file(world / "model" / "model.safetensors")
    weights["other"] = weights.pop("model.norm.weight")
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((world / "model" / "config.json").read_bytes())
    assert distance_of_parts(*parts_and_names(moved_model(world)), {"path": str(tmp_path)}) is None
    assert "model.norm.weight" in capsys.readouterr().err


@pytest.fixture(scope="module")
def saved_whole(world, tmp_path_factory):
    """Distance of a training that saves float32, from its files."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(world, folder, **TINY)[2]["weight_distance"] is None
    return weight_distance({"path": str(folder / "model")}, {"path": str(world / "model")})


def test_a_run_that_saves_bfloat16_records_the_distance_of_its_float32_weights(world, tmp_path, saved_whole):
    recorded = run(world, tmp_path, save_dtype="bfloat16", **TINY)[2]["weight_distance"]
    assert recorded["mean_over_tensors"] == pytest.approx(saved_whole.mean_over_tensors, rel=1e-6)
    assert recorded["elements"] == saved_whole.elements and recorded["added_rows"] == saved_whole.added_rows == 1
    ptlm = {"path": str(world / "model")}
    assert (
        weight_distance({"path": str(tmp_path / "model")}, ptlm).mean_over_tensors > 10 * saved_whole.mean_over_tensors
    )
    measure_mechanism.main(
        ["--run", "r", "--model", str(tmp_path / "model"), "--ptlm", json.dumps(ptlm),
         "--instances", str(world / "instances.jsonl"), "--settings", '{"weight_distance": true}',
         "--out", str(tmp_path / "mechanism.json")]
    )  # fmt: skip
    assert read_json(tmp_path / "mechanism.json")["weight_distance"] == recorded


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "ranks"), [(None, 2), (2, 2), (3, 2), (3, 1)])
def test_all_ranks_measure_each_its_own_part(world, tmp_path, saved_whole, stage, ranks):
    options = {"zero_stage": stage, "save_dtype": "bfloat16", "launcher": preloaded(ranks)} | TINY
    subprocess.run(command(world, tmp_path, **options), check=True)
    recorded = read_json(tmp_path / "run.json")["weight_distance"]
    assert recorded["mean_over_tensors"] == pytest.approx(saved_whole.mean_over_tensors, rel=1e-3)
    assert (recorded["elements"], recorded["tensors"]) == (saved_whole.elements, saved_whole.tensors)
    assert recorded["added_rows"] == 1

"""What a model folder brings, in training: broken ones leave nothing behind, and no setting of theirs counts."""

import json

import pytest
import torch
from odd_models import BROKEN, OVERRIDDEN, broken_model, overridden_model
from plw.errors import InputError
from plw.models.loading import overridden_settings
from training_runs import run

DROPPED = "attention_dropout"


def folder_with(world, folder):
    folder.mkdir()
    (folder / "instances.jsonl").write_text((world / "instances.jsonl").read_text())
    return folder


@pytest.fixture(scope="module")
def plain(world, tmp_path_factory):
    return run(world, tmp_path_factory.mktemp("plain"), plw=0.1)


def test_the_record_of_an_ordinary_model_says_that_nothing_was_overridden(plain):
    assert plain[2]["overridden"] == {}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_trains_nothing_and_leaves_nothing(world, tmp_path, name):
    mine, out = folder_with(world, tmp_path / "world"), tmp_path / "out"
    broken_model(mine / "model", name)
    with pytest.raises(InputError, match=BROKEN[name][1]):
        run(mine, out)
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {"lock"}  # of the folder of checkpoints


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_only_the_studys_settings_decide_a_training_and_the_record_tells_them(world, tmp_path, name, plain):
    mine = folder_with(world, tmp_path / "world")
    overridden_model(mine / "model", name)
    losses, weights, record = run(mine, tmp_path / "out")
    assert [row["loss"] for row in losses] == [row["loss"] for row in plain[0]]
    assert torch.equal(weights, plain[1])
    assert record["overridden"] == OVERRIDDEN[name][1]
    assert record["rows"] == plain[2]["rows"]
    assert overridden_settings({"path": str(tmp_path / "out" / "model")}) == {}
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert config[DROPPED] == 0.0

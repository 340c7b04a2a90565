"""A tiny model and its data, which the tests of training share."""

import json

import pytest
from tiny import tiny_instances, tiny_model
from training_runs import ROWS


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    tiny_model(folder / "model")
    rows = tiny_instances(ROWS, seed=5)
    rows[4]["instruction"] = " ".join(["stone"] * 200)  # its completion is cut off
    (folder / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder

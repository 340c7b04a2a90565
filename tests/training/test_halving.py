"""Out-of-memory in training: batches are halved, and the training is that of one that began with smaller ones."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from little_memory import limit
from plw.errors import InputError
from plw.training import run as running
from plw.training.fine_tuning import ROWS_FILE, rows_that_fitted
from plw.training.forward.halving import cut
from plw.training.loss import IGNORED
from training_runs import SCRIPTS, command, preloaded, results, run

REGULARIZED = {
    "none": {},
    "dropout": {"regularizer": "dropout", "strength": 0.1},
    "minkowski": {"regularizer": "minkowski", "strength": 0.1},
}


@pytest.fixture
def on_small_device(monkeypatch):
    """Makes every model that is loaded from now on run out of memory with more than so many rows."""
    load = running.load_model
    return lambda **options: monkeypatch.setattr(running, "load_model", lambda source: limit(load(source), **options))


@pytest.fixture(scope="module")
def began_small(world, tmp_path_factory):
    """Trainings with two sequences at once from the start, by regularizer; each is made when it is asked for."""
    made = {}

    def ask(name):
        if name not in made:
            made[name] = run(world, tmp_path_factory.mktemp(name), physical_batch=2, row=REGULARIZED[name])
        return made[name]

    return ask


def assert_same(found, expected):
    for column in ("loss", "grad_norm", "learning_rate", "prompt_loss", "completion_loss", "tokens", "denominator"):
        assert [row[column] for row in found[0]] == pytest.approx([row[column] for row in expected[0]], rel=1e-6)
    assert torch.allclose(found[1], expected[1], atol=1e-6)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("name", REGULARIZED)
def test_a_batch_that_is_too_large_is_halved_until_it_fits(
    world, tmp_path, on_small_device, began_small, name, backward, capfd
):
    on_small_device(rows=2, backward=backward)
    found = run(world, tmp_path, row=REGULARIZED[name])
    assert_same(found, began_small(name))
    assert found[2]["out_of_memory"] == [{"update": 1, "rows": 4}, {"update": 1, "rows": 2}]
    assert "Out of memory at update 1 with 8 sequences at once: it goes on with 4." in capfd.readouterr().err


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_nothing_is_counted_twice_where_an_update_fails_in_its_middle(
    world, tmp_path, on_small_device, began_small, backward
):
    on_small_device(rows=3, backward=backward, fits=3)  # two of the first update fit, one of the second
    found = run(world, tmp_path, physical_batch=4)
    assert_same(found, began_small("none"))
    assert found[2]["out_of_memory"] == [{"update": 2, "rows": 2}]


def test_a_training_that_fits_says_so(began_small):
    assert began_small("none")[2]["out_of_memory"] == []


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_a_single_row_that_does_not_fit_ends_the_training_with_what_to_do(world, tmp_path, on_small_device, backward):
    on_small_device(rows=0, backward=backward)
    with pytest.raises(InputError, match="single sequence") as error:
        run(world, tmp_path)
    assert "gradient_checkpointing" in error.value.hint and "zero_stage" in error.value.hint
    assert not (tmp_path / "run.json").exists()


def test_other_errors_are_not_taken_for_a_lack_of_memory(world, tmp_path, monkeypatch):
    load = running.load_model

    def broken(source):
        model = load(source)
        model.get_input_embeddings().register_forward_hook(lambda *_: 1 / 0)
        return model

    monkeypatch.setattr(running, "load_model", broken)
    with pytest.raises(ZeroDivisionError):
        run(world, tmp_path)


def test_a_batch_of_what_the_memory_holds_trains_the_same_and_is_recorded(world, tmp_path, began_small):
    found = run(world, tmp_path, physical_batch="auto")
    assert_same(found, began_small("none"))
    assert found[2]["training"]["physical_batch"] == 2, "on a processor at most a logical micro-batch"


def test_parts_hold_every_row_once_and_end_with_their_longest():
    lengths = [9, 7, 7, 4, 2]
    batch = {
        "input_ids": torch.arange(5)[:, None].expand(5, 9),
        "targets": torch.stack([torch.where(torch.arange(9) < length - 1, 1, IGNORED) for length in lengths]),
        "scales": torch.ones(5, 9),
        "is_prompt": torch.zeros(5, 9, dtype=torch.bool),
        "rows": torch.arange(5),
        "update": 3,
    }
    for rows, expected in ((5, [[0, 1, 2, 3, 4]]), (3, [[0, 1, 2], [3, 4]]), (1, [[0], [1], [2], [3], [4]])):
        found = cut(batch, rows, 5 // rows + bool(5 % rows))
        assert [part["rows"].tolist() for part in found] == expected
        assert [part["input_ids"][:, 0].tolist() for part in found] == expected
        assert [part["input_ids"].shape[1] for part in found] == [lengths[chosen[0]] for chosen in expected]
        assert {part["update"] for part in found} == {3}


def test_a_later_call_begins_with_what_fitted(tmp_path):
    assert rows_that_fitted(tmp_path, 8) == 8
    (tmp_path / ROWS_FILE).write_text(json.dumps({"update": 1, "rows": 3}))
    assert rows_that_fitted(tmp_path, 8) == 3 and rows_that_fitted(tmp_path, 2) == 2


def small_device(world, out, *, ranks, options, **training):
    """The training as a program whose rank 0 alone has little memory."""
    words = command(world, out, launcher=preloaded(ranks), **training)
    words[words.index(str(SCRIPTS / "training/train_model.py"))] = str(Path(__file__).parents[1] / "little_memory.py")
    paths = [str(SCRIPTS), str(SCRIPTS / "training"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "LITTLE_MEMORY": json.dumps({"rank": 0, **options}),
    }
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [None, 0, 1, 2])
def test_two_ranks_of_which_one_has_little_memory_stay_in_step(world, tmp_path, began_small, stage):
    done = small_device(world, tmp_path, ranks=2, options={"rows": 2}, physical_batch=4, zero_stage=stage)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path)
    assert found[2]["processes"] == 2 and found[2]["out_of_memory"] == [{"update": 1, "rows": 2}]
    assert_same(found, began_small("none"))


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "ranks", "options"), [
    (3, 2, {"rows": 2}),
    (2, 2, {"rows": 2, "backward": True}),
    (2, 1, {"rows": 2, "backward": True}),
    (None, 2, {"rows": 2, "backward": True}),
])  # fmt: skip
def test_where_ranks_cannot_agree_the_same_call_goes_on_with_less_at_once(
    world, tmp_path, began_small, stage, ranks, options
):
    settings = {"ranks": ranks, "options": options, "physical_batch": 4, "zero_stage": stage}
    done = small_device(world, tmp_path, **settings)
    assert done.returncode != 0 and "start it again" in done.stderr, done.stderr
    done = small_device(world, tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    assert_same(results(tmp_path), began_small("none"))

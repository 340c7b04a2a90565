"""The trainer, against a plain loop that knows nothing of accumulation, ranks and padding."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.models.loading import fit_embeddings, load_model
from plw.training.batching import plan_updates
from plw.training.loss_log import COLUMNS, read_loss
from plw.training.run import train_run
from plw.training.trainer import TrainingDiverged
from tiny import tiny_instances, tiny_model
from transformers import get_cosine_schedule_with_warmup

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TRAINING = {
    "epochs": 1,
    "learning_rate": 5e-3,
    "adam_eps": 1e-3,  # large, so that Adam does not hide the scale of gradients nor blow up rounding
    "warmup_ratio": 0.3,
    "compute_dtype": "float32",
    "micro_batch": 2,
    "micro_batches_per_update": 4,
    "physical_batch": 8,
    "max_length": 160,
    "device": "cpu",
}
ROWS = 19  # two updates of eight and a short window of three


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    tiny_model(folder / "model")
    rows = tiny_instances(ROWS, seed=5)
    rows[4]["instruction"] = " ".join(["stone"] * 200)  # its completion is cut off
    (folder / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run(world, out, *, plw=0.1, row=None, **training):
    """Train in this process; returns loss.csv, the final weights and run.json."""
    train_run(
        row={"run": "r", "plw": plw, "seed": 42} | (row or {}),
        training=TRAINING | training,
        source={"path": str(world / "model")},
        instances_file=world / "instances.jsonl",
        model_folder=out / "model",
        loss_file=out / "loss.csv",
        record_file=out / "run.json",
        checkpoints=out / "checkpoints",
        threads=1,
    )
    return results(out)


def results(out):
    model = load_model({"path": str(out / "model")})
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return read_loss(out / "loss.csv"), weights, json.loads((out / "run.json").read_text())


def command(world, out, *, plw=0.1, launcher=(sys.executable,), **training):
    """The same run as a program of its own."""
    return [
        *launcher,
        str(SCRIPTS / "training/train_model.py"),
        *("--run", json.dumps({"run": "r", "plw": plw, "seed": 42})),
        *("--training", json.dumps(TRAINING | training)),
        *("--ptlm", json.dumps({"path": str(world / "model")})),
        *("--instances", str(world / "instances.jsonl")),
        *("--model-dir", str(out / "model")),
        *("--loss", str(out / "loss.csv")),
        *("--run-json", str(out / "run.json")),
        *("--checkpoints", str(out / "checkpoints")),
        *("--threads", "1"),
    ]


def torchrun(processes):
    return (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "--")


def preloaded(processes):
    """Launcher of as many ranks, each forked from the process that has the libraries loaded: saves seconds a rank."""
    plain = (sys.executable, "-m", "plw.preload")
    return (*torchrun(processes)[:-1], "--module", "--", "plw.preload") if processes > 1 else plain


def reference(world, *, plw, normalization="nonzero_count", unit="microbatch", smoothing=0.0):
    """The same training written as plainly as possible: one sequence at a time, no padding, sums by hand."""
    source = {"path": str(world / "model")}
    tokenizer = load_tokenizer(source)
    prepare_tokenizer(tokenizer)
    model = load_model(source)
    fit_embeddings(model, tokenizer)
    rows = [json.loads(line) for line in (world / "instances.jsonl").read_text().splitlines()]
    examples = encode_examples(tokenizer, rows, TRAINING["max_length"])
    size = TRAINING["micro_batch"]
    updates = plan_updates(len(rows), epochs=1, seed=42, update_size=size * 4, last_window="keep")
    optimizer = torch.optim.AdamW(model.parameters(), lr=TRAINING["learning_rate"], eps=1e-3, weight_decay=0.0)
    warmup = math.ceil(TRAINING["warmup_ratio"] * len(updates))
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, len(updates))
    log = []
    for update in updates:
        groups = [update[i : i + size] for i in range(0, len(update), size)]
        tops, bottoms = [], []
        for group in groups:
            top, bottom = 0.0, 0.0
            for example in (examples[row] for row in group):
                ids = torch.tensor([example.input_ids])
                log_p = torch.log_softmax(model(input_ids=ids).logits[0, :-1], dim=-1)
                losses = -log_p.gather(1, ids[0, 1:, None])[:, 0] * (1 - smoothing) - smoothing * log_p.mean(1)
                place = torch.arange(1, ids.shape[1])
                weights = torch.where(place < example.prompt_length, plw, 1.0)
                top = top + (weights * losses).sum()
                bottom += float(weights.sum() if normalization == "sum_of_weights" else (weights != 0).sum())
            tops.append(top)
            bottoms.append(bottom)
        if unit == "update":
            loss = sum(tops) / sum(bottoms)
        else:
            loss = sum(top / bottom for top, bottom in zip(tops, bottoms, strict=True) if bottom) / len(groups)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        log.append((loss.item(), norm.item(), optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return log, torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def assert_equal_training(found, expected, *, rtol=1e-5):
    """Losses, gradient norms (before clipping), learning rates and final weights."""
    (rows, weights, _), (log, reference_weights) = found, expected
    assert [row["loss"] for row in rows] == pytest.approx([loss for loss, _, _ in log], rel=rtol)
    assert [row["grad_norm"] for row in rows] == pytest.approx([norm for _, norm, _ in log], rel=10 * rtol)
    assert [row["learning_rate"] for row in rows] == pytest.approx([rate for _, _, rate in log], rel=1e-9)
    assert torch.allclose(weights, reference_weights, atol=rtol)


@pytest.mark.parametrize(("plw", "physical_batch"), [(0.0, 3), (0.1, 1), (0.1, 16), (1.0, 8)])
def test_any_accumulation_gives_the_training_of_a_plain_loop(world, tmp_path, plw, physical_batch):
    found = run(world, tmp_path, plw=plw, physical_batch=physical_batch)
    assert_equal_training(found, reference(world, plw=plw))
    assert len(found[0]) == 3 and found[2]["accumulation_steps"] == -(-8 // physical_batch)


@pytest.mark.parametrize("unit", ["microbatch", "update"])
@pytest.mark.parametrize("normalization", ["sum_of_weights", "nonzero_count"])
def test_every_normalisation_reaches_the_optimiser(world, tmp_path, normalization, unit):
    found = run(world, tmp_path, row={"normalization": normalization}, normalization_unit=unit, physical_batch=3)
    assert_equal_training(found, reference(world, plw=0.1, normalization=normalization, unit=unit))


def test_label_smoothing_is_part_of_each_tokens_loss(world, tmp_path):
    found = run(world, tmp_path, row={"regularizer": "label_smoothing", "strength": 0.1}, physical_batch=3)
    assert_equal_training(found, reference(world, plw=0.1, smoothing=0.1))


def test_measuring_the_masked_prompt_changes_nothing(world, tmp_path):
    with_it = run(world, tmp_path / "a", plw=0.0)
    without = run(world, tmp_path / "b", plw=0.0, monitor_prompt_loss=False)
    assert torch.equal(with_it[1], without[1])
    assert all(row["prompt_loss"] > 0 for row in with_it[0])
    assert all(row["prompt_loss"] is None for row in without[0])


def test_gradient_checkpointing_changes_nothing(world, tmp_path):
    plain = run(world, tmp_path / "a")
    checkpointed = run(world, tmp_path / "b", gradient_checkpointing=True)
    assert torch.allclose(plain[1], checkpointed[1], atol=1e-6)


@pytest.mark.slow
def test_bfloat16_computes_with_float32_weights(world, tmp_path):
    exact, half = run(world, tmp_path / "a"), run(world, tmp_path / "b", compute_dtype="bfloat16")
    assert half[1].dtype == torch.float32
    assert [row["loss"] for row in half[0]] == pytest.approx([row["loss"] for row in exact[0]], rel=1e-2)
    assert [row["grad_norm"] for row in half[0]] == pytest.approx([row["grad_norm"] for row in exact[0]], rel=0.05)
    moved = half[1] - run(world, tmp_path / "c", compute_dtype="bfloat16", learning_rate=1e-12)[1]
    wanted = exact[1] - run(world, tmp_path / "d", learning_rate=1e-12)[1]
    assert torch.nn.functional.cosine_similarity(moved, wanted, dim=0) > 0.98


@pytest.mark.slow
def test_bfloat16_trains_the_output_layer_while_the_prompt_is_only_watched(world, tmp_path):
    """Autocast keeps a weight's first cast; one made without gradient would freeze the output layer."""
    start = run(world, tmp_path / "a", plw=0.0, compute_dtype="bfloat16", learning_rate=1e-12)
    end = run(world, tmp_path / "b", plw=0.0, compute_dtype="bfloat16")
    size = load_model({"path": str(tmp_path / "b" / "model")}).get_output_embeddings().weight.numel()
    assert (end[1] - start[1])[-size:].abs().max() > 1e-4


def test_the_saved_dtype_is_the_one_asked_for(world, tmp_path):
    exact = run(world, tmp_path / "a")
    run(world, tmp_path / "b", save_dtype="bfloat16")
    from transformers import AutoModelForCausalLM

    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "b" / "model")
    assert saved.dtype == torch.bfloat16
    weights = torch.cat([parameter.detach().flatten() for parameter in saved.parameters()])
    assert torch.equal(weights, exact[1].bfloat16())


def test_warm_up_counts_its_updates_upwards(world, tmp_path):
    """transformers 5 has no warmup_ratio; ceil(0.3 × 3) = 1 update is at rate 0 before the peak."""
    rows, _, _ = run(world, tmp_path)
    peak = TRAINING["learning_rate"]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.0, peak, peak / 2])


def test_the_log_is_the_objective_with_its_denominator_and_parts(world, tmp_path):
    rows, _, record = run(world, tmp_path, plw=1.0)
    with open(tmp_path / "loss.csv", newline="") as stream:
        text = list(csv.reader(stream))
    assert tuple(text[0]) == COLUMNS and [line[0] for line in text[1:]] == ["1", "2", "3"]
    assert all(repr(float(line[1])) == line[1] for line in text[1:])
    assert sum(row["tokens"] for row in rows) == record["tokens"]
    assert record["updates"] == 3 and record["rows"]["completion_lost"] == 1
    (update,) = [row for row in run(world, tmp_path / "u", plw=1.0, normalization_unit="update")[0][:1]]
    parts = {name: update[f"{name}_loss"] for name in ("prompt", "completion")}
    share = (update["loss"] - parts["prompt"]) / (parts["completion"] - parts["prompt"])
    assert 0 < share < 1  # at PLW 1 the loss is the mean of both parts, weighted by their tokens


def test_the_record_says_what_ran(world, tmp_path):
    _, _, record = run(world, tmp_path, row={"dataset": "short", "ptlm": "weak"})
    assert record["run"] == "r" and record["dataset"] == "short" and record["seed"] == 42
    assert "0.1 for prompt tokens" in record["effective_loss"]
    assert record["versions"]["torch"] == torch.__version__
    assert record["training"]["micro_batch"] == 2 and record["device"]["type"] == "cpu"
    assert not (tmp_path / "checkpoints").exists()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["use_cache"] is True  # the Trainer had switched it off, which would slow generation down


@pytest.mark.parametrize(("policy", "kept"), [("keep", ROWS), ("drop", ROWS - 1)])
def test_rows_without_a_completion_are_kept_or_dropped_and_named(world, tmp_path, policy, kept):
    _, _, record = run(world, tmp_path, on_lost_completion=policy)
    assert record["rows"]["kept"] == kept and record["lost_completion_rows"] == [4]


def test_rows_without_a_completion_can_be_an_error(world, tmp_path):
    with pytest.raises(InputError, match="no completion token"):
        run(world, tmp_path, on_lost_completion="error")


def test_an_all_masked_micro_batch_is_counted_and_harmless(world, tmp_path):
    rows, _, record = run(world, tmp_path, plw=0.0, micro_batch=1, micro_batches_per_update=8)
    assert record["empty_units"] == 1
    assert all(math.isfinite(row["loss"]) for row in rows)


@pytest.mark.parametrize("regularizer", ["weight_decay", "dropout", "minkowski"])
def test_each_regulariser_changes_the_training(world, tmp_path, regularizer):
    plain = run(world, tmp_path / "a")
    other = run(world, tmp_path / "b", row={"regularizer": regularizer, "strength": 0.1}, physical_batch=3)
    assert not torch.allclose(plain[1], other[1], atol=1e-6)
    assert torch.isfinite(other[1]).all()


def test_the_minkowski_penalty_is_in_the_gradient_once_per_update(world, tmp_path):
    strong = {"regularizer": "minkowski", "strength": 0.5}
    found = [run(world, tmp_path / str(size), row=strong, physical_batch=size) for size in (1, 8)]
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)
    assert [row["loss"] for row in found[0][0]] == pytest.approx([row["loss"] for row in found[1][0]], rel=1e-5)


@pytest.mark.parametrize("learning_rate", [1e30])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_rows(world, tmp_path, learning_rate):
    with pytest.raises(TrainingDiverged, match=r"(?s)not finite at update \d.*source_row.*learning rate"):
        run(world, tmp_path, learning_rate=learning_rate, max_grad_norm=0.0)
    assert not (tmp_path / "model").exists() and not (tmp_path / "loss.csv").exists()


def test_a_plw_outside_its_range_stops_before_anything_is_loaded(world, tmp_path):
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        run(world, tmp_path, plw=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("physical_batch", [3])
def test_two_ranks_without_deepspeed_give_the_training_of_a_plain_loop(world, tmp_path, physical_batch):
    subprocess.run(command(world, tmp_path, launcher=preloaded(2), physical_batch=physical_batch), check=True)
    found = results(tmp_path)
    assert found[2]["processes"] == 2
    assert_equal_training(found, reference(world, plw=0.1))

"""The trainer, against a plain loop that knows nothing of accumulation, ranks and padding."""

import csv
import json
import math
import subprocess

import pytest
import torch
from plw.data.encoded import read_examples
from plw.data.tokenization import EncodedExample
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError, InputErrors
from plw.models.loading import load_model
from plw.training.collator import PromptLossCollator
from plw.training.fine_tuning import make_plan
from plw.training.loss_log import COLUMNS
from plw.training.settings import read_settings
from plw.training.trainer import TrainingDiverged
from training_runs import (
    ROWS,
    TRAINING,
    assert_equal_training,
    command,
    preloaded,
    reference,
    results,
    run,
)


@pytest.mark.parametrize(("plw", "physical_batch"), [(0.0, 3), (0.1, 1), (0.1, 16), (1.0, 8)])
def test_any_accumulation_gives_the_training_of_a_plain_loop(world, tmp_path, plw, physical_batch):
    found = run(world, tmp_path, plw=plw, physical_batch=physical_batch)
    assert_equal_training(found, reference(world, plw=plw))
    assert len(found[0]) == 3 and found[2]["accumulation_steps"] == -(-8 // physical_batch)


@pytest.mark.parametrize("plw", [0.0, 0.1])
def test_batches_by_a_budget_of_tokens_give_the_training_of_a_plain_loop(world, tmp_path, plw):
    found = run(world, tmp_path, plw=plw, tokens_per_batch=300)
    assert_equal_training(found, reference(world, plw=plw))
    record = found[2]
    assert record["accumulation_steps"] > 1 and record["training"]["tokens_per_batch"] == 300
    rate = record["matrix_rate"]
    assert 0 < rate["share_computed"] < rate["share_of_tokens"] and rate["share_computed"] < 1


@pytest.mark.parametrize("unit", ["microbatch", "update"])
@pytest.mark.parametrize("normalization", ["sum_of_weights", "nonzero_count"])
def test_every_normalisation_reaches_the_optimiser(world, tmp_path, normalization, unit):
    found = run(world, tmp_path, row={"normalization": normalization}, normalization_unit=unit, physical_batch=3)
    assert_equal_training(found, reference(world, plw=0.1, normalization=normalization, unit=unit))


def test_label_smoothing_is_part_of_each_tokens_loss(world, tmp_path):
    found = run(world, tmp_path, row={"regularizer": "label_smoothing", "strength": 0.1}, physical_batch=3)
    assert_equal_training(found, reference(world, plw=0.1, smoothing=0.1))


@pytest.mark.parametrize(("normalization", "plw"), [("nonzero_count", 0.1), ("sum_of_weights", 0.2)])
def test_weighted_completions_equal_a_plain_loop_and_the_record_says_so(world, tmp_path, normalization, plw):
    changed = {"normalization": normalization, "completion_loss_weight": 0.4}
    found = run(world, tmp_path, plw=plw, **changed)
    assert_equal_training(found, reference(world, plw=plw, normalization=normalization, completion=0.4))
    record = found[2]
    assert (
        record["training"]["completion_loss_weight"] == 0.4 and "0.4 for completion tokens" in record["effective_loss"]
    )


@pytest.mark.parametrize(("template", "plw"), [(0.0, 0.1), (0.5, 0.0)])
def test_a_weight_of_the_templates_own_equals_a_plain_loop_and_the_record_says_so(world, tmp_path, template, plw):
    found = run(world, tmp_path, plw=plw, template_loss_weight=template, physical_batch=3)
    assert_equal_training(found, reference(world, plw=plw, template=template))
    assert found[2]["training"]["template_loss_weight"] == template
    assert f"{template} for template and special tokens" in found[2]["effective_loss"]


def test_a_template_weight_equal_to_the_plw_is_the_loss_of_the_paper(world):
    tokenizer = load_tokenizer({"path": str(world / "model")})
    prepare_tokenizer(tokenizer)
    examples = read_examples(world / "instances.jsonl", tokenizer, 160, template=True)
    named = {"plw": 0.1, "seed": 1, "pad_token_id": tokenizer.pad_token_id}
    plans = [make_plan(examples, read_settings(TRAINING | changes), **named)
             for changes in ({}, {"template_loss_weight": 0.1}, {"template_loss_weight": 0.0})]  # fmt: skip
    scales = [plan.scales(0)[1] for plan in plans]
    assert torch.equal(scales[0], scales[1]) and not torch.equal(scales[0], scales[2])
    assert len({plan.digest() for plan in plans}) == 3
    features = [
        {"input_ids": it.input_ids, "prompt_length": it.prompt_length, "template": it.template} for it in examples
    ]
    batch = [features[row] for row in plans[2].updates[0]]
    collator = PromptLossCollator(tokenizer.pad_token_id, plw=0.1, template_loss_weight=0.0, micro_batch=2)
    assert torch.allclose(collator(batch)["token_scales"].double(), scales[2], atol=1e-9)
    with pytest.raises(InputError, match="template"):
        collator([{"input_ids": [1, 2], "prompt_length": 1}])


def test_a_completion_weight_of_one_leaves_no_trace_and_another_is_another_training():
    plain, one = read_settings({}), read_settings({"completion_loss_weight": 1})
    assert plain.for_json() == one.for_json() and "completion_loss_weight" not in plain.for_json()
    other = read_settings({"completion_loss_weight": 0.5})
    assert read_settings(other.for_json()) == other
    examples = [EncodedExample([1, 2, 3], 1, False, False, True)] * 4
    digests = [
        make_plan(examples, settings, plw=0.1, seed=1, pad_token_id=0).digest() for settings in (plain, one, other)
    ]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(InputErrors, match="completion_loss_weight"):
        read_settings({"completion_loss_weight": 0})


def test_measuring_the_masked_prompt_changes_nothing(world, tmp_path):
    with_it = run(world, tmp_path / "a", plw=0.0, monitor_prompt_loss=True)
    without = run(world, tmp_path / "b", plw=0.0, monitor_prompt_loss=False)
    sampled = run(world, tmp_path / "c", plw=0.0, monitor_prompt_loss=2)
    usual = run(world, tmp_path / "d", plw=0.0)
    # Not to the last digit: the last layer multiplies other rows together where nobody watches the prompt.
    for found in (without, sampled, usual):
        torch.testing.assert_close(with_it[1], found[1], rtol=1e-5, atol=1e-7)
    assert all(row["prompt_loss"] > 0 for row in with_it[0])
    measured = [row["prompt_loss"] for row in sampled[0]]
    assert measured == [pytest.approx(with_it[0][0]["prompt_loss"]), None, pytest.approx(with_it[0][2]["prompt_loss"])]
    assert all(row["prompt_loss"] is None for row in without[0])
    assert [row["prompt_loss"] for row in usual[0]] == [measured[0], None, None]  # the first of ten


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


@pytest.mark.parametrize("policy", ["keep", "drop"])
def test_rows_that_are_kept_for_a_sweep_train_to_the_last_digit_as_those_a_run_reads(world, tmp_path, policy):
    settings = {"on_lost_completion": policy, "template_loss_weight": 0.5}
    expected = run(world, tmp_path / "alone", **settings)
    for name in ("first", "second"):
        found = run(world, tmp_path / name, encoded=tmp_path / "encoded", **settings)
        assert torch.equal(found[1], expected[1])
        assert [row["loss"] for row in found[0]] == [row["loss"] for row in expected[0]]
        assert found[2]["rows"] == expected[2]["rows"]
        assert found[2]["lost_completion_rows"] == expected[2]["lost_completion_rows"]
    assert len(list((tmp_path / "encoded").glob("*.arrow"))) == 1


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


@pytest.mark.parametrize("learning_rate", [1e18])
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

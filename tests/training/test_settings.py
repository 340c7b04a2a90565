"""The training block of a study."""

import subprocess
import sys
from pathlib import Path

import pytest
from plw.data.encoded import read_examples
from plw.errors import InputError, InputErrors
from plw.files import write_jsonl
from plw.training.settings import TrainingSettings, apply_regularizer, read_settings
from tiny import tiny_tokenizer

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def test_the_defaults_are_alpacas_recommended_command():
    settings = TrainingSettings()
    assert (settings.epochs, settings.learning_rate, settings.warmup_ratio) == (3, 2e-5, 0.03)
    assert settings.micro_batch * settings.micro_batches_per_update == 128
    assert (settings.weight_decay, settings.max_grad_norm, settings.max_length) == (0.0, 1.0, 512)
    assert (settings.normalization, settings.normalization_unit) == ("nonzero_count", "microbatch")


def test_settings_survive_json():
    settings = read_settings({"adam_betas": [0.9, 0.95], "zero_stage": 2, "epochs": 0.5})
    assert read_settings(settings.for_json()) == settings


def test_all_problems_are_told_together_with_the_nearest_key():
    with pytest.raises(InputErrors) as caught:
        read_settings({"learning_rat": 1, "micro_batch": 0, "zero_stage": 7, "physical_batch": 1.5, "epochs": "3"})
    text = str(caught.value)
    assert len(caught.value.errors) == 5 and "Did you mean `learning_rate`?" in text
    assert "training.zero_stage" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("adam_betas", [0.9]),
        ("adam_betas", [0.9, 1.0]),
        ("gradient_checkpointing", 1),
        ("checkpoint_steps", 0),
        ("max_grad_norm", -1),
        ("zero_stage", True),
        ("normalization", "mean"),
        ("compute_dtype", "float16"),
        ("warmup_ratio", True),
    ],
)
def test_values_out_of_range_are_refused(key, value):
    with pytest.raises(InputErrors, match=key):
        read_settings({key: value})


def test_what_speaks_to_the_scheduler_is_passed_over():
    assert read_settings({"threads": 8, "runtime_min": 480, "mem_mb": 1}) == TrainingSettings()


@pytest.mark.parametrize(
    ("regularizer", "key"),
    [
        ("weight_decay", "weight_decay"),
        ("dropout", "attention_dropout"),
        ("label_smoothing", "label_smoothing"),
        ("minkowski", "minkowski"),
    ],
)
def test_a_regulariser_sets_its_own_key_only(regularizer, key):
    changed = apply_regularizer(TrainingSettings(), regularizer, 0.1).for_json()
    assert {name for name, value in changed.items() if value != TrainingSettings().for_json()[name]} == {key}
    assert apply_regularizer(TrainingSettings(), "none", None) == TrainingSettings()


@pytest.mark.parametrize(
    ("name", "strength"),
    [("l2", 0.1), ("dropout", 1.0), ("label_smoothing", 1.5), ("minkowski", None), ("dropout", -1)],
)
def test_an_unknown_regulariser_or_strength_is_refused(name, strength):
    with pytest.raises(InputError):
        apply_regularizer(TrainingSettings(), name, strength)


def test_the_module_is_light():
    code = "import sys, plw.training.settings; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_special_tokens_text_becomes_what_the_settings_say(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path)
    row = {"instruction": "name </s>", "input": "", "output": "a <s> b", "source_row": 0, "inverted": False}
    write_jsonl(tmp_path / "instances.jsonl", [row])
    found = {}
    for choice in ("keep", "escape"):
        settings = read_settings({"special_tokens": choice})
        (example,) = read_examples(
            tmp_path / "instances.jsonl", tokenizer, settings.max_length, special_tokens=settings.special_tokens
        )
        found[choice] = sum(token in (1, 2) for token in example.input_ids)
    assert found == {"keep": 4, "escape": 2}, "begin and end of sequence, and what the text holds"
    assert TrainingSettings().special_tokens == "keep"

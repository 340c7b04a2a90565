"""The memory of a training before it runs: the model's sizes, the law, what a device holds, what is refused."""

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from plw.errors import InputErrors
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.fit import (
    Fit,
    check_fits,
    gpu_memory,
    longest_row,
    memory_text,
    most_rows,
    ptlm_shape,
    training_fits,
)
from plw.study.planning.memory import (
    ERROR,
    GATHERED_AT_ONCE,
    MOST_GATHERED,
    ModelShape,
    Training,
    layer_bytes,
    shape_of,
    training_demand,
    training_of,
)
from plw.study.planning.plan import plan_study, plan_text
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]
PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]
SEVEN = ModelShape(4096, 32, 32, 32, 128, 11008, 32000)  # LLaMA 7B
GB = 1e9


@pytest.fixture(scope="module")
def studies() -> dict[str, dict]:
    return {name: load_configuration({"study": name}, root=ROOT) for name in ("paper", "smol", "demo")}


@pytest.mark.parametrize("name", ["paper", "smol"])
def test_the_shapes_of_published_models_have_their_number_of_weights(studies, name):
    for entry in studies[name]["ptlms"].values():
        assert shape_of(entry["shape"]).weights == pytest.approx(entry["parameters"], rel=1e-3)


def test_the_shape_of_a_model_that_the_world_will_make_is_that_of_its_entry(studies):
    shape = ptlm_shape(studies["demo"], "strong")
    assert (shape.hidden, shape.layers, shape.heads, shape.tied) == (96, 3, 4, True)


def test_one_more_layer_of_llama_7b_took_of_an_h200_what_the_law_says():
    """The peak of the allocator for three layers less that for one, halved (benchmarks/gpu/memory.py)."""
    record = json.loads((ROOT / "benchmarks/measured/nvidia_h200.json").read_text())["parts"]["memory"]["values"]
    rows, tokens = map(int, record["sequences × tokens"].split(" × "))
    training = Training(rows, tokens, steps=1, compute_dtype="bfloat16")
    one, three = (training_demand(replace(SEVEN, layers=layers), training) for layers in (1, 3))
    assert one.at == three.at == "loss", "activations are part of what was measured"
    assert (three.peak - one.peak) / 2 == pytest.approx(record["bytes at the peak"], rel=0.01)


def test_a_config_json_that_is_there_decides(studies, tmp_path):
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config | {"head_dim": 8}, "model_type": "x"}))
    study = copy.deepcopy(studies["paper"])
    study["ptlms"]["llama_1_7b"]["source"] = {"path": str(tmp_path)}
    assert ptlm_shape(study, "llama_1_7b") == ModelShape(64, 2, 4, 4, 8, 256, 100)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"hidden_size": "wide"}', '{"hidden_size": 64}'])
def test_a_config_json_without_sizes_leaves_the_shape_unknown(studies, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    study = copy.deepcopy(studies["demo"])
    study["ptlms"]["weak"] = {"label": "W", "source": {"path": str(tmp_path)}}
    assert ptlm_shape(study, "weak") is None
    fits = training_fits(study, list_runs(study), PRINTED)
    assert [fit.ptlm for fit in fits] == ["strong"], "what is not known is not invented"


def test_a_weight_takes_sixteen_bytes_and_zero_divides_them():
    """Weights, gradients and moments in float32; of LLaMA 7B some 108 GB."""
    held = training_demand(SEVEN, Training(1, 8)).held
    assert held.weights + held.gradients + held.moments == 16 * SEVEN.weights
    for stage, whole in ((1, 2), (2, 1), (3, 0)):
        held = [training_demand(SEVEN, Training(1, 8, zero_stage=stage, ranks=ranks)).held for ranks in (4, 8)]
        assert held[1].moments == held[0].moments / 2
        parts = [one.weights + one.gradients + one.moments - 4 * whole * SEVEN.weights for one in held]
        gathered = 4 * (MOST_GATHERED + GATHERED_AT_ONCE) if stage == 3 else 0
        assert parts[1] - gathered == pytest.approx((parts[0] - gathered) / 2)


def test_a_layers_activations_are_those_of_korthikanti_for_a_llama_layer():
    """4 norms' tensors in float32, inputs of seven maps, q, k, v, the attention's output and the feed-forward part."""
    h, i = SEVEN.hidden, SEVEN.intermediate
    assert layer_bytes(SEVEN, 4) == 4 * (6 * h + 4 * h + 4 * i) + 4 * (32 + 2)
    assert layer_bytes(SEVEN, 2) == 16 * h + 2 * (5 * h + 4 * h + 4 * i) + 4 * (32 + 2)


def test_what_is_said_to_save_memory_saves_it():
    rng = random.Random(1)
    for _ in range(200):
        plain = Training(rng.randint(1, 16), rng.choice([64, 512]), steps=rng.randint(1, 4), ranks=4, zero_stage=2,
                         compute_dtype=rng.choice(["float32", "bfloat16"]))  # fmt: skip
        peak = training_demand(SEVEN, plain).peak
        change = vars(plain)
        assert training_demand(SEVEN, Training(**change | {"checkpointing": True})).peak <= peak
        assert training_demand(SEVEN, Training(**change | {"offload": "cpu"})).peak < peak
        assert training_demand(SEVEN, Training(**change | {"ranks": 8})).peak < peak
        assert training_demand(SEVEN, Training(**change | {"rows": plain.rows + 1})).peak >= peak
        assert training_demand(SEVEN, Training(**change | {"frozen_copy": True})).peak > peak


def test_as_many_rows_are_chosen_as_the_law_says_fit(studies):
    rng = random.Random(2)
    training = studies["paper"]["training"]
    for _ in range(50):
        memory = rng.uniform(40, 400) * GB
        rows = most_rows(SEVEN, training, 512, on_host=False, memory=memory)
        peaks = [
            training_demand(SEVEN, training_of(training, rows=count, tokens=512, on_host=False)).peak * (1 + ERROR)
            for count in (rows, rows + 1)
        ]
        assert rows == 1 or peaks[0] <= memory
        assert rows == 32 or peaks[1] > memory, "32 rows of an update are each rank's"
    assert most_rows(SEVEN, training, 512, on_host=True, memory=None) == training["micro_batch"]


def test_the_memory_of_a_card_is_in_its_name_on_its_data_sheet_or_in_the_study():
    assert gpu_memory({"gpu": "A100 80GB"}) == 80 * GB
    assert gpu_memory({"gpu": "NVIDIA L40S"}) == 48 * GB
    assert gpu_memory({"gpu": "L4"}) == 24 * GB
    assert gpu_memory({"gpu": "A100 80GB", "gpu_memory": 4.0e10}) == 40 * GB
    assert gpu_memory({"gpu": "some card"}) is None and gpu_memory({}) is None


def test_no_row_is_longer_than_the_cut(studies):
    training = studies["paper"]["training"]
    assert longest_row(None, training) == 512
    fits = training_fits(studies["paper"], list_runs(studies["paper"]), PRINTED)
    assert {fit.tokens for fit in fits} == {512}


def test_the_paper_fits_its_cards_and_a_small_card_is_refused_with_what_to_do(studies):
    study = copy.deepcopy(studies["paper"])
    check_fits(training_fits(study, list_runs(study), PRINTED))
    study["plan"]["gpu"] = "T4"
    with pytest.raises(InputErrors) as caught:
        check_fits(training_fits(study, list_runs(study), PRINTED))
    assert len(caught.value.errors) == len(study["ptlms"])
    for error in caught.value.errors:
        assert "of 16.0 GB" in error.value and "plan.gpu" in error.where
        for way in ("zero_stage", "processes", "offload", "gradient_checkpointing"):
            assert way in error.hint


def test_offloading_and_checkpointing_bring_a_model_onto_a_smaller_card(studies):
    study = copy.deepcopy(studies["paper"])
    study["plan"]["gpu"] = "L4"
    study["training"] |= {"offload": "cpu", "gradient_checkpointing": True}
    check_fits(training_fits(study, list_runs(study), PRINTED))


def test_the_plan_says_what_each_training_takes_beside_what_there_is(studies):
    plan = plan_study(studies["paper"], list_runs(studies["paper"]), PRINTED)
    text = plan_text(plan, studies["paper"])
    for name in studies["paper"]["ptlms"]:
        line = next(line for line in text.splitlines() if line.startswith(f"Memory of a training of {name}: "))
        assert "of the 80.0 GB of A100 80GB with 4 × 512 tokens at once" in line and "moments" in line


def test_a_batch_that_is_too_large_is_said_to_be_halved():
    demand = training_demand(SEVEN, Training(4, 512))
    fit = Fit("big", 4, 512, demand, 90 * GB, 70 * GB, 80 * GB, "A100 80GB")
    assert fit.fits and "will be halved until it fits" in memory_text([fit])[0]
    assert "does not fit" in memory_text([Fit("big", 4, 512, demand, 190 * GB, 170 * GB, 80 * GB, "A100 80GB")])[0]


def test_auto_is_planned_as_what_is_chosen(studies):
    study = copy.deepcopy(studies["paper"])
    study["training"]["physical_batch"] = "auto"
    fits = training_fits(study, list_runs(study), PRINTED)
    assert all(1 <= fit.rows <= 32 and fit.taken * (1 + ERROR) <= fit.memory for fit in fits)
    plan_study(study, list_runs(study), PRINTED)

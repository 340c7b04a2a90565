"""Distance of two models' weights, against a computation on the loaded models, and its use of memory."""

import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.mechanism.weight_distance import weight_distance
from plw.models.loading import fit_embeddings, load_model, save_model
from safetensors.torch import load_file, save_file
from tiny import tiny_model

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def ptlm(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("ptlm"))


@pytest.fixture(scope="module")
def tuned(ptlm, tmp_path_factory):
    """The ptlm with moved weights and one token more."""
    return moved_copy(ptlm, tmp_path_factory.mktemp("tuned") / "model")


def moved_copy(ptlm: Path, folder: Path, *, tie: bool = False, dtype=torch.float32) -> Path:
    source = {"path": str(ptlm)}
    model, tokenizer = load_model(source), load_tokenizer(source)
    prepare_tokenizer(tokenizer)
    fit_embeddings(model, tokenizer)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
    if tie:
        model.config.tie_word_embeddings = True
        model.tie_weights()
    save_model(folder, model.to(dtype), tokenizer)
    return folder


def naive(tuned: Path, ptlm: Path) -> tuple[float, float, int, int]:
    """Both models loaded at once; rows that the ptlm lacks are cut off."""
    new, old = (dict(load_model({"path": str(folder)}).named_parameters()) for folder in (tuned, ptlm))
    moved = [(new[name][: len(old[name])] - old[name]).abs().double() for name in old]
    elements = sum(map(torch.numel, moved))
    total = sum(part.sum().item() for part in moved)
    return total / len(moved), total / elements, len(moved), elements


def measured(tuned: Path | str, ptlm: Path | str):
    return weight_distance({"path": str(tuned)}, {"path": str(ptlm)})


def test_the_distance_is_that_of_the_loaded_models_without_the_added_row(tuned, ptlm):
    result = measured(tuned, ptlm)
    tensors, elements, count, size = naive(tuned, ptlm)
    assert result.mean_over_tensors == pytest.approx(tensors, rel=1e-6)
    assert result.mean_over_elements == pytest.approx(elements, rel=1e-6)
    assert (result.tensors, result.elements, result.added_rows) == (count, size, 1)


def test_a_model_has_no_distance_to_itself(ptlm):
    assert measured(ptlm, ptlm).mean_over_tensors == 0


def test_slices_of_a_few_rows_give_the_same(tuned, ptlm, monkeypatch):
    whole = measured(tuned, ptlm)
    monkeypatch.setattr("plw.training.distance.SLICE_ELEMENTS", 100)
    assert measured(tuned, ptlm).mean_over_tensors == pytest.approx(whole.mean_over_tensors, rel=1e-6)


def test_sharded_weights_give_the_same(tuned, ptlm, tmp_path):
    load_model({"path": str(ptlm)}).save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").is_file()
    assert measured(tuned, tmp_path / "shards") == measured(tuned, ptlm)


def test_half_precision_is_compared_in_single_precision_and_named(ptlm, tmp_path):
    half = moved_copy(ptlm, tmp_path / "half", dtype=torch.bfloat16)
    result = measured(half, ptlm)
    assert result.mean_over_tensors == pytest.approx(naive(half, ptlm)[0], rel=1e-6)
    assert result.dtypes == {"model": ["BF16"], "ptlm": ["F32"]}


def test_tied_weights_count_once_even_where_they_are_stored_twice(ptlm, tmp_path):
    for name in ("one", "two"):
        moved_copy(ptlm, tmp_path / name, tie=True)
    once = measured(tmp_path / "one", tmp_path / "two")
    file = tmp_path / "two" / "model.safetensors"
    weights = load_file(file)
    assert "lm_head.weight" not in weights
    save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 5}, file)
    assert measured(tmp_path / "one", tmp_path / "two") == once
    assert once.tensors == len(weights)


def test_angles_of_rotary_embeddings_in_old_checkpoints_are_no_weights(tuned, ptlm, tmp_path):
    copy_with(ptlm, tmp_path, {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    assert measured(tuned, tmp_path) == measured(tuned, ptlm)


def copy_with(folder: Path, target: Path, weights: dict) -> None:
    save_file(load_file(folder / "model.safetensors") | weights, target / "model.safetensors")
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())


def test_a_tensor_that_one_side_lacks_is_named(tuned, ptlm, tmp_path):
    copy_with(ptlm, tmp_path, {"model.extra.weight": torch.ones(4)})
    with pytest.raises(InputError, match=r"model\.extra\.weight"):
        measured(tuned, tmp_path)
    with pytest.raises(InputError, match=r"model\.extra\.weight"):
        measured(tmp_path, ptlm)


def test_a_tensor_of_another_shape_is_named(ptlm, tmp_path):
    copy_with(ptlm, tmp_path, {"model.norm.weight": torch.ones(40)})
    with pytest.raises(InputError, match=r"model\.norm\.weight"):
        measured(tmp_path, ptlm)


def test_a_folder_without_weights_says_so(ptlm, tmp_path):
    with pytest.raises(InputError, match="no safetensors"):
        measured(tmp_path, ptlm)


def test_a_ptlm_on_the_hub_is_found_in_the_local_cache(tuned, ptlm, tmp_path, monkeypatch):
    commit = "0123456789" * 4
    snapshot = tmp_path / "models--group--model" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in ptlm.iterdir():
        (snapshot / file.name).symlink_to(file)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    found = weight_distance({"path": str(tuned)}, {"hub": "group/model", "revision": commit})
    assert found == measured(tuned, ptlm)
    with pytest.raises(InputError, match="not here"):
        weight_distance({"path": str(tuned)}, {"hub": "group/other", "revision": commit})


MEASURE_MEMORY = """
import json, sys
from pathlib import Path
from plw.mechanism.weight_distance import weight_distance

def now(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

weight_distance({"path": sys.argv[2]}, {"path": sys.argv[2]})  # a small one first, which loads all the code
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = now("VmRSS")
weight_distance({"path": sys.argv[1]}, {"path": sys.argv[1]})
print(now("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read from /proc")
def test_comparing_two_models_needs_the_memory_of_two_tensors(ptlm, tmp_path):
    tensor_mb = 120  # large beside the tens of MB that the allocator keeps of freed slices
    weights = {f"layer{i}.weight": torch.ones(15 * 2**10, 2**11) for i in range(3)}
    save_file(weights, tmp_path / "model.safetensors")
    finished = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, str(tmp_path), str(ptlm)],
        env={"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (tmp_path / "model.safetensors").unlink()
    assert json.loads(finished.stdout) < 2.5 * tensor_mb  # two tensors and slices; one model alone has three

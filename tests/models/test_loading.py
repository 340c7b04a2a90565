"""Loading, extending and saving models."""

import os
import stat

import pytest
import torch
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.models.loading import fit_embeddings, load_model, save_model
from tiny import tiny_model


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return {"path": str(tiny_model(tmp_path_factory.mktemp("model")))}


def test_master_weights_are_float32_even_if_the_checkpoint_is_not(source, tmp_path):
    save_model(tmp_path / "half", load_model(source).bfloat16(), load_tokenizer(source))
    assert load_model({"path": str(tmp_path / "half")}).dtype == torch.float32


def test_new_embedding_rows_are_the_mean_of_the_old(source):
    model, tokenizer = load_model(source), load_tokenizer(source)
    old_in = model.get_input_embeddings().weight.detach().clone()
    old_out = model.get_output_embeddings().weight.detach().clone()
    prepare_tokenizer(tokenizer)
    assert fit_embeddings(model, tokenizer) == 1
    for old, new in (
        (old_in, model.get_input_embeddings().weight),
        (old_out, model.get_output_embeddings().weight),
    ):
        assert torch.equal(new[:-1], old)
        assert torch.allclose(new[-1], old.mean(dim=0), atol=1e-7)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert fit_embeddings(model, tokenizer) == 0


def test_a_saved_model_is_safetensors_and_loads_to_the_same_weights(source, tmp_path):
    model, tokenizer = load_model(source), load_tokenizer(source)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale").touch()
    save_model(tmp_path / "model", model, tokenizer)
    again = load_model({"path": str(tmp_path / "model")})
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert sorted(os.listdir(tmp_path)) == ["model"] and not (tmp_path / "model" / "stale").exists()
    assert not list((tmp_path / "model").glob("*.bin"))
    assert stat.S_IMODE((tmp_path / "model" / "model.safetensors").stat().st_mode) == 0o644


def test_weights_of_another_dtype_are_declared_in_the_configuration(source, tmp_path):
    model = load_model(source)
    half = {name: parameter.detach().bfloat16() for name, parameter in model.named_parameters()}
    save_model(tmp_path / "model", model, load_tokenizer(source), state_dict=half, dtype="bfloat16")
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"path": "no/such/folder"}, "folder does not exist"),
        ({"hub": "nobody/nothing", "revision": "1" * 40}, "No network"),
        ({}, "needs `path` or `hub`"),
    ],
)
def test_a_source_that_cannot_be_loaded_says_why(source, words, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=words):
        load_model(source)


def test_a_gated_model_says_where_to_ask(hub):
    hub.add("org/name", {"config.json": "{}", "tokenizer.json": "{}"}, commit="1" * 40, gated=True)
    with pytest.raises(InputError, match=r"Accept the licence at https?://\S+/org/name.*HF_TOKEN"):
        load_tokenizer({"hub": "org/name", "revision": "1" * 40})


def test_a_port_that_looks_like_a_status_is_no_refusal(monkeypatch):
    def refuse(*_, **__):
        raise OSError("We couldn't connect to 'http://127.0.0.1:40115' to load the files.")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", refuse)
    with pytest.raises(InputError, match="No network: fetch it"):
        load_tokenizer({"hub": "o/model", "revision": "main"})

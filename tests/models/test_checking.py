"""Model folders that are no models, and those whose settings must not count."""

import pytest
import torch
from odd_models import BROKEN, OVERRIDDEN, broken_model, edit, overridden_model
from plw.data.token_counts import token_counter
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.models.checking import check_vocabulary
from plw.models.generation import candidate_prompts, generate_texts
from plw.models.loading import load_model, load_with_tokenizer, overridden_settings, save_model
from plw.models.settings import without_dropout
from plw.study.pretrained import read_header
from safetensors.torch import load, save_file
from tiny import SCALED, tiny_instances, tiny_model, tiny_scaled_model
from transformers import AutoModelForCausalLM, GPT2Config

ROWS = tiny_instances(5, seed=7)
WRITES = [name for name in OVERRIDDEN if name != "no end-of-sequence"]  # a model that only writes must have one


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_refused_by_name(name, tmp_path):
    folder = broken_model(tmp_path / "model", name)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match=BROKEN[name][1]):
        load_with_tokenizer({"path": str(folder)})
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_model_that_only_writes_needs_an_end_of_sequence(tmp_path):
    folder = overridden_model(tmp_path / "model", "no end-of-sequence")
    with pytest.raises(InputError, match=r"no end-of-sequence(?s:.*)tokenizer_config\.json: eos_token"):
        load_with_tokenizer({"path": str(folder)})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What an ordinary folder reads and writes."""
    return read_and_written(tiny_model(tmp_path_factory.mktemp("plain") / "model"))


def read_and_written(folder):
    source = {"path": str(folder)}
    tokenizer = load_tokenizer(source, max_length=64)
    prepare_tokenizer(tokenizer)
    trained = encode_examples(tokenizer, ROWS, 64)
    counts = token_counter(source)([row["output"] for row in ROWS] + [""])
    if tokenizer.overridden.get("tokenizer_config.json", {}).get("eos_token"):
        return trained, counts
    model, tokenizer = load_with_tokenizer(source)
    prompts = candidate_prompts(ROWS)
    greedy = generate_texts(model, tokenizer, prompts, max_new_tokens=8, batch_size=3)
    beams = generate_texts(model, tokenizer, prompts[:2], max_new_tokens=8, batch_size=2, num_beams=2)
    return trained, counts, greedy, beams, [tokenizer.decode([36, 223, 16, 223, 14, 40])]


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_only_the_studys_settings_decide_what_is_read_and_written(name, tmp_path, plain):
    found = read_and_written(overridden_model(tmp_path / "model", name))
    assert found == plain[: len(found)]


@pytest.mark.parametrize("name", WRITES)
def test_what_was_overridden_is_told_with_both_values(name, tmp_path):
    source = {"path": str(overridden_model(tmp_path / "model", name))}
    expected = {
        file: {key: told for key, told in changes.items() if key not in ("model_max_length",)}
        for file, changes in OVERRIDDEN[name][1].items()
        if file != "config.json"  # dropout: nothing that only writes has any
    }
    assert overridden_settings(source) == {file: changes for file, changes in expected.items() if changes}


def test_of_an_ordinary_folder_nothing_is_overridden_and_nothing_is_saved_otherwise(tmp_path):
    folder = tiny_model(tmp_path / "model")
    source = {"path": str(folder)}
    assert overridden_settings(source) == {}
    model, tokenizer = load_with_tokenizer(source)
    assert model.overridden == tokenizer.overridden == {}
    save_model(tmp_path / "again", model, load_tokenizer(source, max_length=512))
    for name in ("generation_config.json", "config.json", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_was_overridden_is_saved_as_it_was_used(name, tmp_path, plain):
    source = {"path": str(overridden_model(tmp_path / "model", name))}
    tokenizer = load_tokenizer(source, max_length=64)
    prepare_tokenizer(tokenizer)
    model = load_model(source)
    if len(tokenizer) > 384:
        model.resize_token_embeddings(len(tokenizer))
    save_model(tmp_path / "saved", model, tokenizer)
    told = overridden_settings({"path": str(tmp_path / "saved")})
    told.get("generation_config.json", {}).pop("eos_token_id", None)  # decided with the tokenizer, as training does
    assert {file: changes for file, changes in told.items() if changes} == {}


def test_tied_weights_rotary_angles_and_masks_are_no_faults(tmp_path):
    folder = tiny_model(tmp_path / "model")
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    load_model({"path": str(folder)})
    tensors.pop("lm_head.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder, "config.json", tie_word_embeddings=True)
    model = load_model({"path": str(folder)})
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("name", SCALED)
def test_whole_models_of_several_architectures_are_no_fault(name, tmp_path):
    load_with_tokenizer({"path": str(tiny_scaled_model(tmp_path / "model", name))})


def test_shards_are_whole_together(tmp_path):
    folder = tiny_model(tmp_path / "model")
    whole = load_model({"path": str(folder)})
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="50KB")
    again = load_model({"path": str(folder)})
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_header_of_any_length_is_no_web_page(tmp_path):
    """The first byte of a safetensors file is that of its header's length: 0x3C is `<`, 0x80 begins a pickle."""
    folder = tiny_model(tmp_path / "model")
    tensors = load((folder / "model.safetensors").read_bytes())
    raw = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    for wanted in (0x3C, 0x80, 0x20):
        more = (wanted - length) % 256
        made = (length + more).to_bytes(8, "little") + raw[8 : 8 + length] + b" " * more + raw[8 + length :]
        (tmp_path / "one.safetensors").write_bytes(made)
        assert made[0] == wanted and len(read_header(tmp_path / "one.safetensors")) == len(tensors)


def test_dropout_of_every_name_is_switched_off():
    config = GPT2Config(resid_pdrop=0.1, embd_pdrop=0.2, attn_pdrop=0.3, n_layer=1)
    told = without_dropout(config)
    assert {"resid_pdrop", "embd_pdrop", "attn_pdrop"} <= told.keys()
    assert told["attn_pdrop"] == [0.3, 0.0]
    model = AutoModelForCausalLM.from_config(config)
    assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))


def test_ids_that_were_added_here_get_rows_and_others_do_not(tmp_path):
    source = {"path": str(tiny_model(tmp_path / "model"))}
    model, tokenizer = load_model(source), load_tokenizer(source)
    added = prepare_tokenizer(tokenizer)
    check_vocabulary(model, tokenizer, source, added=added)
    tokenizer.add_tokens(["<more>"])
    with pytest.raises(InputError, match="no embedding"):
        check_vocabulary(model, tokenizer, source, added=added)

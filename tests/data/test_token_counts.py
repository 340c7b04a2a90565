"""Token counts: no special tokens, an empty text has none, clear errors."""

import io
import json
import shutil

import pytest
import sentencepiece
from hub_models import folder_files
from plw.data.token_counts import CHUNK_TEXTS, FAST, SENTENCEPIECE, token_counter
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.study.fetching import Need, fetch_sources
from plw.study.hub import switched_off
from tiny import corpus, tiny_tokenizer

COMMIT = "c" * 40
TEXTS = ["the  cat", "", "a", "def f():\n    return  1\n"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return folder


def test_special_tokens_are_not_counted_and_an_empty_text_has_none(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    count = token_counter({"path": str(folder)})
    texts = ["the cat", "", "a"]
    assert count(texts) == [len(tokenizer.tokenize(text)) for text in texts]
    assert count([""]) == [0]
    assert len(tokenizer("the cat")["input_ids"]) == count(["the cat"])[0] + 1  # <s>


def test_many_texts_are_counted_in_order(folder):
    count = token_counter({"path": str(folder)})
    texts = ["the cat", "a"] * (CHUNK_TEXTS // 2 + 3)
    assert count(texts) == count(["the cat", "a"]) * (CHUNK_TEXTS // 2 + 3)
    assert count([]) == []


@pytest.mark.parametrize("name", ["missing", "missing.model", "empty"])
def test_a_place_without_a_tokenizer_is_an_input_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--tokenizer"):
        token_counter({"path": str(tmp_path / name)}, where="--tokenizer")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A folder in the layout of LLaMA 1 and 2: a SentencePiece model, and what makes a fast tokenizer of it."""
    folder = tmp_path_factory.mktemp("llama")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        vocab_size=360,
        model_type="bpe",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **special}))
    return folder


def pieces(folder) -> list[int]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return [len(ids) for ids in processor.encode(TEXTS, num_threads=1)]


def test_a_folder_with_a_sentencepiece_model_counts_with_it_and_any_other_with_the_fast_tokenizer(folder, llama):
    count = token_counter({"path": str(llama)})
    assert (count.counted_with, count(TEXTS)) == (SENTENCEPIECE, pieces(llama))
    assert count([""]) == [0]
    assert token_counter({"path": str(folder)}).counted_with == FAST
    assert token_counter({"path": str(llama / "tokenizer.model")})(TEXTS) == count(TEXTS)


def test_a_file_of_ranked_pieces_as_llama_3s_is_no_sentencepiece_model(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    count = token_counter({"path": str(copy)})
    assert (count.counted_with, count(TEXTS)) == (FAST, token_counter({"path": str(folder)})(TEXTS))


def test_a_damaged_sentencepiece_model_is_an_input_error_and_not_another_count(llama, tmp_path):
    copy = shutil.copytree(llama, tmp_path / "copy")
    (copy / "tokenizer.model").write_bytes((llama / "tokenizer.model").read_bytes()[:-500] + b"\xff" * 100)
    with pytest.raises(InputError, match="no SentencePiece model"):
        token_counter({"path": str(copy)}, where="--tokenizer")


@pytest.mark.parametrize("name", ["llama", "fast"])
def test_a_repositorys_sentencepiece_model_is_fetched_with_it_and_counts(hub, folder, llama, name):
    source = {"hub": f"o/{name}", "revision": COMMIT}
    made = llama if name == "llama" else folder
    hub.add(source["hub"], {"config.json": b'{"model_type": "llama"}', **folder_files(made)}, commit=COMMIT)
    record = fetch_sources([Need("ptlms.x.source", "tokenizer", "x", source)], say=lambda line: None)
    names = [file["name"] for file in record[0]["files"]]
    assert ("tokenizer.model" in names) == (name == "llama")
    with switched_off():
        count = token_counter(source)
    assert count.counted_with == (SENTENCEPIECE if name == "llama" else FAST)
    assert count(TEXTS) == token_counter({"path": str(made)})(TEXTS)


def test_what_is_neither_here_nor_to_be_asked_for_is_no_reason_to_count_otherwise(hub):
    with switched_off(), pytest.raises(InputError, match="not fetched"):
        token_counter({"hub": "o/nowhere", "revision": COMMIT}, where="--tokenizer")


def test_the_fast_tokenizer_counts_as_many_tokens_as_its_own_call_gives(folder):
    texts = [*TEXTS, "", "a </s> in the text", "  two  spaces  ", "\u00e4\u4e2d\U0001f600"]
    tokenizer = load_tokenizer({"path": str(folder)})
    expected = [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]
    assert token_counter({"path": str(folder)})(texts) == expected

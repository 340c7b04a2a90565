"""Token counts: no special tokens, an empty text has none, clear errors."""

import pytest
from plw.data.token_counts import CHUNK_TEXTS, token_counter
from plw.errors import InputError
from tiny import tiny_tokenizer


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

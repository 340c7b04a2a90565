"""Token ids and masks, against an independent reading of Alpaca's published procedure."""

import json

import pytest
import sentencepiece
from checkout import ROOT
from plw.data.tokenization import count_problems, encode_example, encode_examples, holds_special, special_texts
from plw.data.tokenizers import prepare_tokenizer
from tiny import corpus, tiny_instances, tiny_tokenizer
from transformers import AutoTokenizer, ByT5Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def alpaca_by_description(tokenizer, row, max_length):
    """Protocol sheet 1.3 word by word, one text at a time and without the library's truncation."""
    head = "Below is an instruction that describes a task"
    if row["input"] == "":
        source = f"{head}. Write a response that appropriately completes the request.\n\n"
        source += f"### Instruction:\n{row['instruction']}\n\n### Response:"
    else:
        source = f"{head}, paired with an input that provides further context. "
        source += "Write a response that appropriately completes the request.\n\n"
        source += f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:"
    target = row["output"] + tokenizer.eos_token
    source_ids = tokenizer.encode(source)[:max_length]
    ids = tokenizer.encode(source + target)[:max_length]
    labels = [-100 if place < len(source_ids) else token for place, token in enumerate(ids)]
    return ids, labels


@pytest.mark.parametrize("max_length", [60, 90, 512])
def test_ids_and_mask_equal_alpacas_procedure(tokenizer, max_length):
    rows = [*tiny_instances(40), {"instruction": "say", "input": " ", "output": ""}]
    for row, example in zip(rows, encode_examples(tokenizer, rows, max_length), strict=True):
        ids, labels = alpaca_by_description(tokenizer, row, max_length)
        masked = [-100] * example.prompt_length + example.input_ids[example.prompt_length :]
        assert (example.input_ids, masked) == (ids, labels)
        assert example.completion_lost == all(label == -100 for label in labels)


def test_begin_and_end_of_sequence_are_there_once(tokenizer):
    example = encode_example(tokenizer, "name a tree", "", "oak", 512)
    assert example.input_ids[0] == tokenizer.bos_token_id
    assert example.input_ids[-1] == tokenizer.eos_token_id
    assert example.input_ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(example.input_ids[example.prompt_length : -1]) == "oak"


def test_truncation_cuts_the_end_and_is_reported(tokenizer):
    whole = encode_example(tokenizer, "name", "", "the cat sees the dog near the river", 512)
    length = len(whole.input_ids)
    cut = encode_example(tokenizer, "name", "", "the cat sees the dog near the river", length - 1)
    assert cut.input_ids == whole.input_ids[:-1]
    assert (whole.truncated, cut.truncated, cut.completion_lost) == (False, True, False)
    lost = encode_example(tokenizer, "name", "", "the cat", whole.prompt_length)
    assert lost.completion_lost and lost.truncated and len(lost.input_ids) == whole.prompt_length


def test_a_merge_at_the_seam_is_kept_and_counted(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path)
    tokenizer.add_tokens([":)"])
    plain = encode_example(tokenizer, "say", "", "hello", 512)
    merged = encode_example(tokenizer, "say", "", ") hello", 512)
    assert plain.prompt_is_prefix and not merged.prompt_is_prefix
    assert merged.prompt_length == plain.prompt_length  # Alpaca masks as many tokens as the prompt alone has
    assert count_problems([plain, merged])["prompt_not_a_prefix"] == 1


def test_batches_give_the_same_as_single_rows(tokenizer, monkeypatch):
    monkeypatch.setattr("plw.data.tokenization.CHUNK_ROWS", 7)
    rows = tiny_instances(25, seed=3)
    single = [encode_example(tokenizer, row["instruction"], row["input"], row["output"], 80) for row in rows]
    assert encode_examples(tokenizer, rows, 80) == single


def test_a_tokenizer_without_begin_token_works_too(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path, bos=False)
    example = encode_example(tokenizer, "say", "", "oak", 512)
    assert example.input_ids[0] != tokenizer.bos_token_id
    assert tokenizer.decode(example.input_ids[example.prompt_length :]) == "oak</s>"


def test_only_a_missing_padding_token_is_added(tmp_path):
    tokenizer = tiny_tokenizer(tmp_path)
    before = len(tokenizer)
    assert prepare_tokenizer(tokenizer) == 1 and tokenizer.pad_token_id == before
    assert prepare_tokenizer(tokenizer) == 0
    without_unknown = tiny_tokenizer(tmp_path)
    without_unknown.unk_token = None
    prepare_tokenizer(without_unknown)
    assert without_unknown.unk_token is None


# ---- special tokens in the text of a row

MARKED = [
    json.loads(line) for line in (ROOT / "tests/cases/files/special_tokens_in_text.jsonl").read_text().splitlines()
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """LLaMA's own class over a SentencePiece model, as the paper's models ship it."""
    folder = tmp_path_factory.mktemp("llama")
    (folder / "corpus.txt").write_text("\n".join(corpus() * 3))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "tokenizer"), vocab_size=400, model_type="bpe",
        byte_fallback=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "add_bos_token": True, "legacy": False}))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", ["tokenizer", "llama"])
def test_a_special_token_in_the_text_becomes_the_token_or_stays_text(name, request):
    tokenizer = request.getfixturevalue(name)
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    for row, inside in zip(MARKED, (1, 1, 1), strict=True):
        kept, escaped = (
            encode_examples(tokenizer, [row], 512, special_tokens=choice)[0] for choice in ("keep", "escape")
        )
        assert sum(token in special for token in kept.input_ids[1:-1]) >= inside
        assert not special & set(escaped.input_ids[1:-1])
        assert escaped.input_ids[0] == tokenizer.bos_token_id and escaped.input_ids[-1] == tokenizer.eos_token_id
        assert row["output"] in tokenizer.decode(escaped.input_ids[escaped.prompt_length : -1])
        short = encode_examples(tokenizer, [row], len(escaped.input_ids) - 1, special_tokens="escape")[0]
        assert short.input_ids == escaped.input_ids[:-1] and short.truncated and not escaped.truncated


@pytest.mark.parametrize("name", ["tokenizer", "llama"])
def test_escaping_changes_only_rows_that_hold_a_special_token(name, request):
    tokenizer = request.getfixturevalue(name)
    rows = tiny_instances(20)
    plain, escaped = (encode_examples(tokenizer, rows, 60, special_tokens=choice) for choice in ("keep", "escape"))
    assert plain == escaped
    assert [holds_special(row, special_texts(tokenizer)) for row in (*MARKED, *rows)] == [True] * 3 + [False] * 20
    # What the escaped way gives for such rows is the same as the usual one.
    for row, example in zip(rows, encode_examples(tokenizer, rows, 512), strict=True):
        marked = {**row, "output": row["output"] + " </s>"}
        whole = encode_examples(tokenizer, [marked], 512, special_tokens="escape")[0]
        assert whole.input_ids[: len(example.input_ids) - 1] == example.input_ids[:-1]


def test_a_slow_tokenizer_escapes_too():
    example = encode_examples(ByT5Tokenizer(), MARKED[1:2], 512, special_tokens="escape")[0]
    assert ByT5Tokenizer().decode(example.input_ids[example.prompt_length - 1 : -2]) == MARKED[1]["output"]

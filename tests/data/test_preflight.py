"""Pre-flight table: each problem is made to happen and is counted."""

import pytest
from plw.data.instances import Instance
from plw.data.preflight import PROBLEMS, check_instances
from plw.data.tokenization import encode_example
from plw.data.tokenizers import prepare_tokenizer
from tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    tokenizer = tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    prepare_tokenizer(tokenizer)
    return tokenizer


def instance(output, instruction="name the cat", row=0):
    return Instance(instruction, "", output, source_row=row)


def rows_with(table):
    return {name: problem["source_rows"] for name, problem in table["problems"].items() if problem["rows"]}


def test_short_examples_have_no_problem(tokenizer):
    table = check_instances([instance(" the cat"), instance(" the dog")], tokenizer, max_length=512)
    assert rows_with(table) == {}
    assert table["rows"] == 2 and table["max_length"] == 512


def test_truncation_loses_the_end_of_sequence_and_then_the_completion(tokenizer):
    prompt = encode_example(tokenizer, "name the cat", "", "", 512).prompt_length
    instances = [
        instance(" the" * 3, row=5),
        instance(" the" * 50, row=6),
        instance(" the", "name " * 200, row=7),
    ]
    table = check_instances(instances, tokenizer, max_length=prompt + 8)
    assert rows_with(table) == {"truncated": [6, 7], "completion_lost": [7], "eos_lost": [6, 7]}
    assert table["problems"]["truncated"]["share"] == pytest.approx(2 / 3)


def test_only_the_first_five_rows_are_named(tokenizer):
    instances = [instance(" the" * 900, row=row) for row in range(8)]
    table = check_instances(instances, tokenizer, max_length=64)
    assert table["problems"]["truncated"] == {"rows": 8, "share": 1.0, "source_rows": [0, 1, 2, 3, 4]}


def test_a_tokenizer_that_merges_prompt_and_completion_is_noticed(tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    characters = sorted(set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,:#\n"))
    vocabulary = {"<unk>": 0, "</s>": 1, ":x": 2} | {char: index for index, char in enumerate(characters, start=3)}
    merging = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocabulary, merges=[(":", "x")], unk_token="<unk>")),
        eos_token="</s>",
        unk_token="<unk>",
    )
    table = check_instances([instance("xyz", row=1), instance("yyy", row=2)], merging, max_length=512)
    assert rows_with(table) == {"prompt_not_prefix": [1]}


def test_the_ratio_of_the_loss_counts_the_template_as_prompt(tokenizer):
    instances = [instance(" the cat", row=0), instance(" the dog sees", row=1)]
    examples = [encode_example(tokenizer, it.instruction, it.input, it.output, 512) for it in instances]
    prompt = sum(example.prompt_length for example in examples)
    completion = sum(len(example.input_ids) - example.prompt_length for example in examples)
    table = check_instances(instances, tokenizer, max_length=512)
    assert table["r_g_of_loss"] == completion / prompt
    assert (table["mean_prompt_tokens"], table["mean_completion_tokens"]) == (prompt / 2, completion / 2)


def test_an_empty_data_set_gives_an_empty_table(tokenizer):
    table = check_instances([], tokenizer, max_length=512)
    assert table["rows"] == 0 and table["r_g_of_loss"] is None
    assert all(problem == {"rows": 0, "share": 0.0, "source_rows": []} for problem in table["problems"].values())
    assert set(table["problems"]) == {*PROBLEMS, "special_token_in_text"}


def test_rows_whose_text_holds_a_special_token_are_counted_whatever_becomes_of_it(tokenizer):
    instances = [instance("a </s> b", row=3), instance(" the cat"), instance("x", "what is <s>?", row=8)]
    for choice in ("keep", "escape"):
        table = check_instances(instances, tokenizer, max_length=512, special_tokens=choice)
        assert rows_with(table)["special_token_in_text"] == [3, 8]
        assert table["special_tokens"] == choice

"""Decoding in batches with a shared beginning: the same texts as plain generation, one prompt at a time."""

import copy

import pytest
import torch
from plw.data.template import format_prompt
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.models.decoding import PrefixCache, StopAtStrings, common_prefix_length, generate_from_tokens
from plw.models.generation import candidate_prompts, fits_context, generate_texts
from plw.models.loading import load_model
from tiny import tiny_instances, tiny_model

PROMPTS = candidate_prompts(tiny_instances(9, seed=4))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder)
    return load_model({"path": str(folder)}), load_tokenizer({"path": str(folder)})


def plain_tokens(model, tokenizer, prompt: str, **settings) -> list[int]:
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=2, **settings
    )
    return output[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.3}, {"num_beams": 2}])
def test_batched_texts_equal_plain_generation_of_each_prompt(settings, loaded):
    model, tokenizer = loaded
    expected = []
    for prompt in PROMPTS:
        stop = {"early_stopping": True} if "num_beams" in settings else {}
        tokens = plain_tokens(model, tokenizer, prompt, max_new_tokens=12, **settings, **stop)
        expected.append(tokenizer.decode(tokens, skip_special_tokens=True))
    found = generate_texts(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=4, **settings)
    assert [generation.text for generation in found] == expected


def test_the_batch_size_does_not_change_the_texts(loaded):
    alone = generate_texts(*loaded, PROMPTS, max_new_tokens=16, batch_size=1)
    together = generate_texts(*loaded, PROMPTS, max_new_tokens=16, batch_size=8)
    assert alone == together


def test_a_prefix_cache_is_computed_once_and_changes_nothing(loaded):
    model, tokenizer = loaded
    prompts = tokenizer(PROMPTS)["input_ids"]
    cache = PrefixCache(model)
    calls = []
    hook = model.register_forward_hook(lambda module, args, output: calls.append(output.logits.shape[0]))
    settings = {"pad_id": 2, "max_new_tokens": 5, "do_sample": False}
    shared = [generate_from_tokens(model, prompts[i : i + 3], prefix_cache=cache, **settings) for i in (0, 3, 6)]
    hook.remove()
    plain = [generate_from_tokens(model, prompts[i : i + 3], **settings) for i in (0, 3, 6)]
    assert all(torch.equal(left, right) for left, right in zip(shared, plain, strict=True))
    assert 0 < len(cache.tokens) < min(map(len, prompts))
    assert calls.count(1) <= 3  # a forward pass of one row fills the cache


def test_generation_ends_with_the_end_of_sequence_and_says_so(loaded):
    model, tokenizer = copy.deepcopy(loaded[0]), loaded[1]
    model.lm_head.weight.data.zero_()  # all logits equal: the first token id, <unk>, is picked for ever
    (endless,) = generate_texts(model, tokenizer, PROMPTS[:1], max_new_tokens=7, batch_size=1)
    assert (endless.tokens, endless.finished) == (7, False)
    hidden = model.model(torch.tensor(tokenizer(PROMPTS[:1])["input_ids"])).last_hidden_state[0, -1]
    model.lm_head.weight.data[tokenizer.eos_token_id] = hidden
    (ended,) = generate_texts(model, tokenizer, PROMPTS[:1], max_new_tokens=7, batch_size=1)
    assert (ended.text, ended.tokens, ended.finished) == ("", 0, True)


def test_stop_strings_stop_a_row_even_across_tokens(loaded):
    _, tokenizer = loaded
    stop = StopAtStrings(tokenizer, ["\n\n"], prompt_length=2)
    start = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("cat\n", "cat\n\ndog")]
    width = max(map(len, rows))
    ids = torch.tensor([[start[0], start[0], *row, *[4] * (width - len(row))] for row in rows])
    assert stop(ids, None).tolist() == [False, True]
    assert stop(torch.cat([ids, torch.full((2, 40), 4)], dim=1), None).tolist() == [False, True]


def test_common_prefix_length_counts_shared_leading_items():
    assert common_prefix_length([[1, 2, 3], [1, 2, 4], [1, 2, 3, 5]]) == 2
    assert common_prefix_length([[1, 2], [1, 2, 3]]) == 2
    assert common_prefix_length([[7]]) == 1
    assert common_prefix_length([[1], [2]]) == 0


def test_room_shrinks_for_all_prompts_alike_and_none_is_an_error(loaded):
    model, tokenizer = copy.deepcopy(loaded[0]), loaded[1]
    lengths = [len(ids) for ids in tokenizer(PROMPTS)["input_ids"]]
    model.config.max_position_embeddings = max(lengths) + 3
    found = generate_texts(model, tokenizer, PROMPTS, max_new_tokens=50, batch_size=3)
    assert all(generation.tokens <= 3 for generation in found)
    assert fits_context(model, tokenizer, PROMPTS, max_new_tokens=4) == [
        length <= max(lengths) - 1 for length in lengths
    ]
    model.config.max_position_embeddings = max(lengths)
    with pytest.raises(InputError, match="leaves no room in the model's context"):
        generate_texts(model, tokenizer, PROMPTS, max_new_tokens=50, batch_size=3)


def test_candidate_prompts_are_the_training_form_or_pandalms():
    rows = [{"instruction": "say", "input": "cat"}, {"instruction": "say"}]
    assert candidate_prompts(rows) == [format_prompt("say", "cat"), format_prompt("say")]
    assert candidate_prompts(rows, "alpaca_newline")[1].endswith("### Response:\n")
    with pytest.raises(InputError, match="Unknown candidate template"):
        candidate_prompts(rows, "chat")

"""Decoding in batches with a shared beginning: the same texts as plain generation, one prompt at a time."""

import copy
import random

import pytest
import torch
from plw.data.template import format_prompt
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.models.decoding import PrefixCache, StopAtStrings, common_prefix_length, generate_from_tokens, plan_batches
from plw.models.generation import candidate_prompts, fits_context, generate_texts
from plw.models.loading import load_model
from plw.models.memory import BatchMemory, bytes_per_token
from tiny import tiny_instances, tiny_model
from transformers import LlamaConfig, LlamaForCausalLM

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


def watch_rows(model, *, most: int | None = None) -> tuple[list[int], object]:
    """The rows of every forward pass; above `most` rows, the pass runs out of memory as a GPU's would."""
    seen: list[int] = []

    def look(module, args, kwargs):
        rows = len(kwargs["input_ids"])
        seen.append(rows)
        if most is not None and rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return seen, model.register_forward_pre_hook(look, with_kwargs=True)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2, "repetition_penalty": 1.2}])
def test_the_memory_decides_how_many_rows_are_written_at_once_and_changes_no_text(settings, loaded):
    model, tokenizer = loaded
    expected = generate_texts(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=9, **settings)
    beams = settings.get("num_beams", 1)
    longest = max(len(ids) for ids in tokenizer(PROMPTS)["input_ids"])
    for rows in (1, 2, 5):
        free = bytes_per_token(model) * (longest + 12) * beams * rows
        seen, hook = watch_rows(model)
        found = generate_texts(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=9, free_bytes=free, **settings)
        hook.remove()
        assert found == expected
        assert rows * beams <= max(seen)
        assert (
            beams == 1 or max(seen) == rows * beams
        )  # without beams a batch may have shorter prompts, and more of them
    seen, hook = watch_rows(model)
    generate_texts(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=9, free_bytes=10**9, **settings)
    hook.remove()
    assert max(seen) == (9 if beams > 1 else 6) * beams  # six of the prompts begin alike


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2, "repetition_penalty": 1.2}])
def test_out_of_memory_halves_the_rows_and_the_rest_goes_on(settings, loaded):
    model, tokenizer = loaded
    expected = generate_texts(model, tokenizer, PROMPTS[:8], max_new_tokens=12, batch_size=8, **settings)
    beams = settings.get("num_beams", 1)
    seen, hook = watch_rows(model, most=3 * beams)
    found = generate_texts(model, tokenizer, PROMPTS[:8], max_new_tokens=12, batch_size=8, **settings)
    hook.remove()
    assert found == expected
    assert [rows for rows in seen if rows > 3 * beams] == [8 * beams, 4 * beams]  # 8, then 4; never asked again


def test_a_single_row_that_does_not_fit_is_an_error_that_says_what_to_do(loaded):
    _, hook = watch_rows(loaded[0], most=0)
    with pytest.raises(InputError, match="does not fit into the device's memory") as caught:
        generate_texts(*loaded, PROMPTS, max_new_tokens=12, batch_size=8, num_beams=2)
    hook.remove()
    assert "fewer beams" in str(caught.value)


def test_other_errors_of_a_model_are_not_taken_for_a_lack_of_memory(loaded):
    def fail(*_):
        raise RuntimeError("shapes differ")

    hook = loaded[0].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        generate_texts(*loaded, PROMPTS, max_new_tokens=12, batch_size=8)
    hook.remove()


def test_the_cache_of_pandalms_batch_is_the_known_size():
    config = LlamaConfig()  # LLaMA 7B
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    cache = 2 * 32 * 32 * 128 * 2
    assert cache == 524_288
    activations = (3 * 11008 + 6 * 4096) * 2
    assert bytes_per_token(model) == cache + activations
    assert 80e9 < cache * (700 + 512) * 4 * 32 < 82e9  # batch 32, 4 beams, 512 new tokens on prompts of 700
    memory = BatchMemory(model, free=60 * 2**30)
    assert 15 < memory.rows(32, tokens=700 + 512, beams=4) < 26


def test_shorter_prompts_get_larger_batches_after_out_of_memory(loaded):
    memory = BatchMemory(loaded[0])
    assert memory.rows(32, tokens=1000, beams=4) == 32
    memory.halve(32, tokens=1000, beams=4)
    assert memory.rows(32, tokens=1000, beams=4) == 16
    assert memory.rows(32, tokens=500, beams=4) == 32


def test_stop_strings_hold_for_every_part_of_a_divided_batch(loaded):
    model, tokenizer = loaded
    prompts = tokenizer(PROMPTS[:5])["input_ids"]
    longest = max(map(len, prompts))
    settings = {"pad_id": 2, "max_new_tokens": 12, "do_sample": False}

    def texts(memory):
        stop = [StopAtStrings(tokenizer, ["a", "e"], longest)]
        ids = generate_from_tokens(model, prompts, memory=memory, stopping=stop, **settings)
        return [[token for token in row if token != 2] for row in ids.tolist()]

    whole = texts(BatchMemory(model))
    assert any(len(row) < 12 for row in whole)
    assert texts(BatchMemory(model, free=bytes_per_token(model) * (longest + 12) * 2)) == whole


@pytest.mark.parametrize("stops", [[], ["a", "e"]])
def test_rows_that_are_done_leave_the_batch_and_every_text_is_what_generate_writes(stops, loaded):
    model, tokenizer = loaded
    prompts = tokenizer(PROMPTS)["input_ids"]
    longest, settings = max(map(len, prompts)), {"max_new_tokens": 16, "do_sample": False}
    endless = generate_from_tokens(model, prompts, pad_id=2, memory=BatchMemory(model), **settings).tolist()
    # A token at which the texts end at most different steps, some not at all.
    places = {token: {row.index(token) for row in endless if token in row} for row in endless for token in row}
    settings["eos_token_id"] = max(places, key=lambda token: (len(places[token]), token))

    def criteria():
        return [StopAtStrings(tokenizer, stops, longest)] if stops else []

    seen, hook = watch_rows(model)
    memory = BatchMemory(model)
    found = generate_from_tokens(model, prompts, pad_id=2, memory=memory, stopping=criteria(), **settings).tolist()
    hook.remove()
    assert seen == sorted(seen, reverse=True)
    assert 0 < seen[-1] < len(prompts) == seen[0]
    lengths = set()
    for prompt, row in zip(prompts, found, strict=True):
        alone = [StopAtStrings(tokenizer, stops, len(prompt))] if stops else []
        (expected,) = model.generate(
            torch.tensor([prompt]), pad_token_id=2, stopping_criteria=alone, **settings
        ).tolist()
        lengths.add(len(expected) - len(prompt))
        assert row[: len(expected) - len(prompt)] == expected[len(prompt) :]
        assert set(row[len(expected) - len(prompt) :]) <= {2}
    assert len(lengths) > 1


@pytest.mark.parametrize("setting", ["repetition_penalty", "suppress_tokens"])
def test_a_setting_of_the_models_own_generation_is_never_passed_over(setting, loaded):
    model, tokenizer = copy.deepcopy(loaded[0]), loaded[1]
    prompts = tokenizer(PROMPTS[:3])["input_ids"]
    arguments = {"pad_id": 2, "max_new_tokens": 6, "do_sample": False}
    before = generate_from_tokens(model, prompts, memory=BatchMemory(model), **arguments).tolist()
    value = 5.0 if setting == "repetition_penalty" else sorted({token for row in before for token in row} - {2})
    setattr(model.generation_config, setting, value)
    found = generate_from_tokens(model, prompts, memory=BatchMemory(model), **arguments).tolist()
    assert found != before
    del arguments["pad_id"]
    for prompt, row in zip(prompts, found, strict=True):
        (expected,) = model.generate(torch.tensor([prompt]), pad_token_id=2, **arguments).tolist()
        assert row[: len(expected) - len(prompt)] == expected[len(prompt) :]


def test_prompts_that_begin_alike_are_read_together_where_that_reads_fewer_tokens(loaded):
    draw = random.Random(4)

    def ids(count: int) -> list[int]:
        return [draw.randrange(5, 300) for _ in range(count)]

    tasks = [ids(40) for _ in range(4)]
    prompts = [tasks[place % 4] + ids(draw.randint(2, 9)) for place in range(40)]
    by_words = plan_batches(prompts, rows=16, steps=2, step_tokens=5)
    assert sorted(place for batch in by_words for place in batch) == list(range(40))
    assert sorted([{place % 4 for place in batch} for batch in by_words], key=min) == [{0}, {1}, {2}, {3}]
    # Each batch costs its steps; where these cost more than what is shared saves, one full batch is better.
    assert [len(batch) for batch in plan_batches(prompts, rows=40, steps=64, step_tokens=50)] == [40]
    by_length = plan_batches(prompts, rows=16, steps=2, step_tokens=5, shares=False)
    assert [len(batch) for batch in by_length] == [16, 16, 8]
    lengths = [len(prompts[place]) for batch in by_length for place in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert plan_batches(prompts[:1], rows=16, steps=2, step_tokens=5) == [[0]]
    model, tokenizer = loaded
    settings = {"max_new_tokens": 2, "batch_size": 16}
    together = generate_texts(model, tokenizer, prompts, **settings)
    assert together == [generate_texts(model, tokenizer, [prompt], **settings)[0] for prompt in prompts]


def test_a_prefix_cache_is_computed_once_and_changes_nothing(loaded):
    model, tokenizer = loaded
    prompts = tokenizer(PROMPTS)["input_ids"]
    cache = PrefixCache(model)
    calls = []
    hook = model.register_forward_hook(lambda module, args, output: calls.append(output.logits.shape[0]))
    settings = {"pad_id": 2, "memory": BatchMemory(model), "max_new_tokens": 5, "do_sample": False}
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

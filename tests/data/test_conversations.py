"""Whole conversations: what is read of them, their ratio, their tokens and the role of each."""

import json

import pytest
from plw.data.instances import Instance, instance_rows, instances_of, read_instances
from plw.data.preflight import check_instances
from plw.data.preparation import derive_dataset, read_dataset
from plw.data.ratios import count_characters, field_lengths, ratio_of_means
from plw.data.template import exchange_texts, format_prompt
from plw.data.tokenization import count_problems, encode_examples, template_of
from plw.data.tokenizers import prepare_tokenizer
from plw.data.turn_tokens import positions_of
from plw.errors import InputError
from plw.study.rows import SourceRow
from tiny import tiny_tokenizer

CHAT = [
    ("system", "tell the truth"),
    ("user", "name a cat"),
    ("assistant", "the red cat"),
    ("user", "and a dog"),
    ("assistant", "an old dog sleeps"),
]


def messages(*turns):
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def sharegpt(*turns):
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return {"conversations": [{"from": names.get(role, role), "value": text} for role, text in turns]}


def read(rows, form="messages", **options):
    source = [SourceRow(number, "x.jsonl", row) for number, row in enumerate(rows, start=1)]
    return read_instances(source, form, **{"turns": "all", "most_left_out": 1.0, **options})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    found = tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    prepare_tokenizer(found)
    return found


@pytest.mark.parametrize(("form", "write"), [("messages", messages), ("sharegpt", sharegpt)])
def test_all_turns_are_read_and_the_first_exchange_beside_them(form, write):
    (instance,), report = read([write(*CHAT)], form)
    assert instance == Instance("name a cat", "", "the red cat", 0, turns=tuple(CHAT))
    assert not report.counts and report.as_json()["turns"] == "all"
    assert instances_of(json.loads(json.dumps(list(instance_rows([instance]))))) == [instance]


def test_a_row_of_one_exchange_is_to_the_byte_what_it_was():
    rows = [
        messages(*CHAT[1:3]),
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}]},
    ]
    written = [[json.dumps(row) for row in instance_rows(read(rows, turns=turns)[0])] for turns in ("first", "all")]
    assert written[0] == written[1] and "turns" not in written[0][0]
    first, all_turns = (read(rows, turns=turns)[1] for turns in ("first", "all"))
    assert first.counts == all_turns.counts


def test_turns_that_do_not_fit_are_joined_left_out_or_leave_the_row_out_and_are_counted():
    rows = [
        messages(
            ("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d"), ("user", "e"), ("assistant", "f")
        ),
        messages(("assistant", "hello"), *CHAT[1:], ("user", "unanswered")),
        messages(*CHAT[:3], ("system", "later"), *CHAT[3:]),
        messages(("system", ""), *CHAT[1:3]),
        messages(*CHAT[1:3], ("tool", "42"), *CHAT[3:]),
        messages(*CHAT[1:3], ("narrator", "meanwhile"), *CHAT[3:]),
        messages(("user", "a"), ("user", "b")),
        messages(*CHAT[1:], ("user", "x"), ("assistant", "")),
        messages(*CHAT),
        messages(*CHAT),
    ]
    found, report = read(rows)
    assert found[0].turns == (("user", "a\nb"), ("assistant", "c\nd"), ("user", "e"), ("assistant", "f"))
    assert found[1].turns == tuple(CHAT[1:])
    assert found[2].turns == tuple(CHAT)
    assert found[3].turns == () and found[3].output == "the red cat"
    assert report.counts == {
        **{"later_turns_ignored": 1, "system_turn_ignored": 1, "tool_call": 1, "wrong_type": 1, "missing_field": 1},
        **{"empty_output": 1, "duplicate": 2},
    }


def test_formats_without_conversations_and_inversions_of_them_are_refused(tmp_path):
    with pytest.raises(InputError, match="one turn"):
        read([{"instruction": "a", "output": "b"}], "alpaca")
    with pytest.raises(InputError, match="choice of turns"):
        read([], turns="some")
    (tmp_path / "x.jsonl").write_text(json.dumps(messages(*CHAT)))
    entry = {"source": {"path": str(tmp_path / "x.jsonl")}, "format": "messages", "turns": "all"}
    instances, report = read_dataset("chat", entry, {})
    assert report["turns"] == "all" and instances[0].turns
    with pytest.raises(InputError, match="no inversion"):
        derive_dataset("short", {"from": "chat", "inversion": {}}, instances, lambda: None)
    drawn, _ = derive_dataset("few", {"from": "chat", "subset": {"rows": 1}}, instances, lambda: None)
    assert drawn == instances


def test_the_ratio_of_a_conversation_is_of_all_answers_to_all_other_turns():
    plain = Instance("ab", "c", "defg", 0)
    chat = Instance("name a cat", "", "the red cat", 1, turns=tuple(CHAT))
    lengths = field_lengths([plain, chat], count_characters)
    assert (lengths.instruction, lengths.input, lengths.output) == ([2, 19], [1, 14], [4, 28])
    assert ratio_of_means(field_lengths([chat], count_characters)) == 28 / (14 + 10 + 9)


def test_one_exchange_in_the_template_of_conversations_is_the_prompt_of_one():
    ((text, spans),) = exchange_texts(CHAT[1:3])
    assert text == format_prompt("name a cat") + "the red cat"
    assert [text[first:behind] for first, behind, _ in spans] == ["name a cat", "the red cat"]
    first, second = exchange_texts(CHAT)
    assert first[0].startswith("tell the truth\n\n### Instruction:\nname a cat\n\n### Response:the red cat")
    assert second[0] == "\n\n### Instruction:\nand a dog\n\n### Response:an old dog sleeps"


def test_tokens_are_those_of_the_whole_text_and_the_roles_of_their_letters(tokenizer):
    (example,) = encode_examples(tokenizer, [{"instruction": "", "input": "", "output": "", "turns": CHAT}], 512)
    whole = "</s>".join(text for text, _ in exchange_texts(CHAT)) + "</s>"
    assert example.input_ids == tokenizer(whole)["input_ids"]
    said = {
        role: tokenizer.decode([example.input_ids[place] for place in positions_of(example.roles, (role,))])
        for role in ("system", "user", "earlier", "assistant")
    }
    assert said == {
        "system": "tell the truth",
        "user": "name a catand a dog",
        "earlier": "the red cat</s>",
        "assistant": "an old dog sleeps</s>",
    }
    assert sum(length for _, length in example.roles) == len(example.input_ids)
    assert 0 in template_of(example), "what the tokenizer puts before the text"
    assert example.prompt_tokens == len(example.input_ids) - len(positions_of(example.roles, ("earlier", "assistant")))
    assert example.prompt_length == positions_of(example.roles, ("earlier",))[0]


def test_what_a_cut_takes_of_a_conversation_is_counted(tokenizer):
    row = {"instruction": "", "input": "", "output": "", "turns": CHAT}
    (whole,) = encode_examples(tokenizer, [row], 512)
    first = positions_of(whole.roles, ("earlier",))[0]
    (cut,) = encode_examples(tokenizer, [row], first + 2)
    assert (cut.truncated, cut.completion_lost, cut.answers_lost) == (True, False, 1)
    (empty,) = encode_examples(tokenizer, [row], first)
    assert (empty.truncated, empty.completion_lost, empty.answers_lost) == (True, True, 2)
    assert empty.prompt_tokens == empty.prompt_length == first
    counts = count_problems([whole, cut, empty])
    assert (counts["truncated"], counts["completion_lost"]) == (2, 1)
    assert (counts["conversations"], counts["rows_with_answers_lost"], counts["answers_lost"]) == (3, 2, 3)
    chat = Instance("name a cat", "", "the red cat", 7, turns=tuple(CHAT))
    found = check_instances([chat, Instance("say", "", "so", 8)], tokenizer, max_length=first + 2)
    assert found["problems"]["answers_lost"]["source_rows"] == [7]
    assert "answers_lost" not in check_instances([Instance("a", "", "b", 0)], tokenizer, max_length=64)["problems"]
    assert "conversations" not in count_problems(encode_examples(tokenizer, [{**row, "turns": ()}], 64))


def test_the_text_of_a_special_token_in_a_turn_stays_text_where_a_study_asks_for_it(tokenizer):
    turns = [("user", "a </s> b"), ("assistant", "c </s>"), ("user", "d"), ("assistant", "e")]
    row = {"instruction": "", "input": "", "output": "", "turns": turns}
    kept, escaped = (encode_examples(tokenizer, [row], 512, special_tokens=how)[0] for how in ("keep", "escape"))
    assert kept.input_ids.count(tokenizer.eos_token_id) == 4
    assert escaped.input_ids.count(tokenizer.eos_token_id) == 2
    marked = check_instances([Instance("a", "", "c", 3, turns=tuple(turns))], tokenizer, max_length=512)
    assert marked["problems"]["special_token_in_text"]["source_rows"] == [3]

"""Readers of instruction data: formats, faults with their places, strictness."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.data.instances import DROPPED, KEPT, READERS, Instance, instance_rows, instances_of, read_instances
from plw.errors import InputError
from plw.study.rows import RowError, SourceRow


def rows_of(*values, file="data.jsonl"):
    return [SourceRow(line, file, value) for line, value in enumerate(values, start=1)]


def read_any(rows, format, **options):
    """However few rows are left."""
    return read_instances(rows, format, most_left_out=1, **options)


def triple(instruction="Name a river.", input="", output="The Rhine."):
    return {"instruction": instruction, "input": input, "output": output}


def counts(report):
    return {reason: entry["count"] for reason, entry in report.as_json()["problems"].items() if entry["count"]}


def test_alpaca_rows_are_taken_as_they_are():
    value = triple(" Name a river.\n", "<noinput>", "  The Rhine. ")
    instances, report = read_instances(rows_of(value), "alpaca")
    assert instances == [Instance(" Name a river.\n", "<noinput>", "  The Rhine. ", source_row=0)]
    assert counts(report) == {}


def test_white_space_is_an_input_and_only_the_empty_text_is_none():
    instances, _ = read_instances(rows_of(triple(input=" ")), "alpaca")
    assert instances[0].input == " "


def test_dolly_context_becomes_the_input_and_response_the_output():
    value = {"instruction": "Who?", "context": "A text.", "response": "She.", "category": "closed_qa"}
    instances, _ = read_instances(rows_of(value), "dolly")
    assert (instances[0].instruction, instances[0].input, instances[0].output) == ("Who?", "A text.", "She.")


def test_ultrafeedback_takes_the_first_prompt_and_the_chosen_answer():
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    other = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Worse."}]
    instances, report = read_instances(rows_of({"chosen": turns, "rejected": other}), "ultrafeedback")
    assert (instances[0].instruction, instances[0].input, instances[0].output) == ("Why?", "", "Because.")
    assert counts(report) == {}


def test_messages_take_the_first_exchange_and_count_what_is_left_out():
    turns = [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Bye"),
        ("assistant", "Ciao"),
    ]
    value = {"messages": [{"role": role, "content": text} for role, text in turns]}
    instances, report = read_instances(rows_of(value), "messages", strict=True)
    assert (instances[0].instruction, instances[0].output) == ("Hi", "Hello")
    assert counts(report) == {"system_turn_ignored": 1, "later_turns_ignored": 1}


def test_a_row_without_input_field_is_a_row_without_input():
    instances, report = read_instances(rows_of({"instruction": "Go", "output": "Gone"}), "alpaca")
    assert instances[0].input == "" and counts(report) == {}


FAULTS = {
    "bad_json": RowError("bad_json", "Expecting value"),
    "bad_encoding": RowError("bad_encoding", "invalid start byte"),
    "not_an_object": ["a", "list"],
    "missing_field": {"instruction": "Go"},
    "wrong_type": triple(output=3),
    "empty_instruction": triple(instruction=""),
}
CHAT_FAULTS = {
    "tool_call": {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
    "not_only_text": {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
}


def test_the_faults_of_this_test_are_all_that_drop_a_row():
    assert set(FAULTS | CHAT_FAULTS) == set(DROPPED)


@pytest.mark.parametrize("reason", FAULTS)
def test_a_malformed_row_is_dropped_counted_and_located(reason):
    instances, report = read_any(rows_of(triple(), FAULTS[reason], triple(output="The Po.")), "alpaca")
    assert [instance.source_row for instance in instances] == [0, 2]
    problem = report.as_json()["problems"][reason]
    assert (problem["count"], problem["kept"]) == (1, False)
    assert [(place["file"], place["line"]) for place in problem["first"]] == [("data.jsonl", 2)]
    assert (report.rows_read, report.rows_kept) == (3, 2)


def test_half_a_surrogate_pair_is_bad_encoding():
    _, report = read_any(rows_of(triple(), triple(output="a \ud83d b")), "alpaca")
    assert counts(report) == {"bad_encoding": 1}


def test_null_is_a_missing_field_and_a_number_a_wrong_type():
    _, report = read_any(rows_of(triple(), triple(input=None), triple(input=7)), "alpaca")
    assert counts(report) == {"missing_field": 1, "wrong_type": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"messages": "Hi"}, "wrong_type"),
        ({"messages": ["Hi"]}, "wrong_type"),
        ({"messages": []}, "missing_field"),
        (
            {"messages": [{"role": "assistant", "content": "A"}, {"role": "user", "content": "B"}]},
            "missing_field",
        ),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "A"}]}, "missing_field"),
        ({}, "missing_field"),
    ],
)
def test_a_conversation_without_an_exchange_is_malformed(value, reason):
    good = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    _, report = read_any(rows_of(good, value), "messages")
    assert counts(report) == {reason: 1}


def test_empty_outputs_and_duplicates_are_counted_and_kept():
    instances, report = read_instances(rows_of(triple(), triple(), triple(output="")), "alpaca")
    assert len(instances) == 3
    assert counts(report) == {"duplicate": 1, "empty_output": 1}
    assert all(report.as_json()["problems"][reason]["kept"] for reason in KEPT)


def test_only_the_first_five_places_of_a_fault_are_kept():
    _, report = read_any(rows_of(triple(), *[{}] * 9), "alpaca")
    entry = report.as_json()["problems"]["missing_field"]
    assert entry["count"] == 9
    assert [place["line"] for place in entry["first"]] == [2, 3, 4, 5, 6]


def test_strict_mode_shows_every_fault_in_one_message():
    with pytest.raises(InputError) as caught:
        read_instances(rows_of(triple(), triple(), {}, triple(output=1)), "alpaca", strict=True, where="datasets.x")
    message = str(caught.value)
    assert "datasets.x" in message
    for part in (
        "1 × missing_field: data.jsonl, line 3",
        "1 × wrong_type: data.jsonl, line 4",
        "1 × duplicate",
    ):
        assert part in message


def test_strict_mode_accepts_clean_rows():
    instances, report = read_instances(rows_of(triple(), triple(output="The Po.")), "alpaca", strict=True)
    assert len(instances) == 2 and counts(report) == {}


def test_an_unknown_format_is_answered_with_the_nearest():
    with pytest.raises(InputError, match='did you mean "alpaca"'):
        read_instances([], "alpacca")


def test_a_source_without_a_usable_row_is_an_error():
    with pytest.raises(InputError) as caught:
        read_instances(rows_of(triple()), "dolly")
    assert "1 × missing_field" in str(caught.value)


def test_the_limit_counts_instances_and_stops_reading():
    instances, report = read_any(rows_of({}, *[triple(output=str(i)) for i in range(9)]), "alpaca", limit=3)
    assert [instance.source_row for instance in instances] == [1, 2, 3]
    assert report.rows_read == 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "instruction",
                    "input",
                    "output",
                    "context",
                    "response",
                    "messages",
                    "chosen",
                    "role",
                    "conversations",
                    "from",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(JSON, max_size=6), st.sampled_from(sorted(READERS)))
def test_any_json_is_read_or_counted_but_never_crashes(values, format):
    good = {
        "alpaca": triple(),
        "dolly": {"instruction": "a", "context": "", "response": "b"},
        "ultrafeedback": {"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        "messages": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        "sharegpt": {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    }
    instances, report = read_any(rows_of(good[format], *values), format)
    dropped = sum(report.counts[reason] for reason in DROPPED)
    assert report.rows_read == len(values) + 1 == len(instances) + dropped
    assert all(isinstance(instance.output, str) and instance.instruction for instance in instances)


def test_rows_of_the_written_file_give_the_same_instances():
    instances = [Instance("a", "b", "c", source_row=4, inverted=True), Instance("d", "", "", source_row=7)]
    assert instances_of(instance_rows(instances)) == instances


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def test_parts_of_type_text_are_joined_and_other_parts_leave_the_row_out():
    parts = [{"type": "text", "text": "Look"}, {"type": "text", "text": "here"}]
    rows = [chat(("user", parts), ("assistant", [{"type": "text", "text": "I see."}]))]
    rows += [chat(("user", "Hi"), ("assistant", [{"type": "image_url", "image_url": {"url": "x"}}]))]
    instances, report = read_any(rows_of(*rows), "messages")
    assert [(instance.instruction, instance.output) for instance in instances] == [("Look\nhere", "I see.")]
    assert counts(report) == {"not_only_text": 1}


@pytest.mark.parametrize("content", [None, ""])
def test_an_answer_that_calls_a_tool_leaves_the_row_out(content):
    called = {"messages": [{"role": "user", "content": "Weather?"}]}
    called["messages"] += [{"role": "assistant", "content": content, "tool_calls": [{"id": "c"}]}]
    called["messages"] += [{"role": "tool", "content": "sunny"}, {"role": "assistant", "content": "Sunny."}]
    instances, report = read_any(rows_of(chat(("user", "Hi"), ("assistant", "Hello")), called), "messages")
    assert [instance.output for instance in instances] == ["Hello"]
    assert counts(report)["tool_call"] == 1


def test_the_other_form_of_conversations_is_named():
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
    with pytest.raises(InputError, match="format: sharegpt"):
        read_instances(rows_of(row), "messages")
    instances, _ = read_instances(rows_of(row), "sharegpt")
    assert (instances[0].instruction, instances[0].output) == ("Hi", "Hello")


def test_a_data_set_that_loses_more_than_a_tenth_of_its_rows_stops_unless_told_otherwise():
    rows = rows_of(*[triple(output=str(number)) for number in range(18)], {}, {})
    assert read_instances(rows, "alpaca")[1].rows_kept == 18, "a tenth"
    with pytest.raises(InputError) as caught:
        read_instances([*rows, *rows_of({"instruction": "Go"})], "alpaca", where="datasets.x")
    for part in ("3 of 21 rows", "10%", "datasets.x", "most_left_out", "output is not among instruction"):
        assert part in str(caught.value)
    assert read_instances([*rows, *rows_of({})], "alpaca", most_left_out=0.2)[1].rows_kept == 18

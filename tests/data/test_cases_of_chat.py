"""The conversations of tests/cases/chat as a data set of a study would read them."""

import pytest
from checkout import ROOT
from plw.data.instances import read_instances
from plw.errors import InputError
from plw.study.sources import read_rows

CASES = ROOT / "tests/cases/chat"


def read(name: str, form: str, **options):
    rows = read_rows({"path": str(CASES / name)}, where="datasets.chat.source")
    return read_instances(rows, form, where="datasets.chat", **options)


def test_contents_of_parts_are_all_kept():
    instances, report = read("content_parts.jsonl", "messages")
    assert (len(instances), report.rows_read, dict(report.counts)) == (6, 6, {})
    assert all(instance.instruction and instance.output for instance in instances)


@pytest.mark.parametrize("name", ["tool_calls.jsonl", "tool_calls_empty_content.jsonl"])
def test_answers_that_call_tools_are_left_out_as_such_and_never_kept_empty(name):
    instances, report = read(name, "messages", most_left_out=1.0)
    assert dict(report.counts) == {"tool_call": 3}
    assert [instance.output for instance in instances] == ["0!", "1!"]
    with pytest.raises(InputError, match="more than 10%"):
        read(name, "messages")


def test_the_other_form_of_conversations_is_named_and_read():
    with pytest.raises(InputError, match="conversations with from/value: format: sharegpt"):
        read("sharegpt.json", "messages")
    instances, _ = read("sharegpt.json", "sharegpt")
    assert len(instances) == 3

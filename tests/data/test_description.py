"""Table 1's numbers against Python's own statistics."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plw.data.description import describe_instances, describe_lengths
from plw.data.instances import Instance
from plw.data.ratios import count_words

INSTANCES = [
    Instance("one two", "three", "four five six seven", source_row=0),
    Instance("one", "", "", source_row=1, inverted=True),
    Instance("one two three", "", "four", source_row=2),
]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50))
def test_mean_and_population_sd_equal_the_standard_library(lengths):
    described = describe_lengths(lengths)
    assert described["total"] == sum(lengths)
    assert described["mean"] == pytest.approx(statistics.fmean(lengths), rel=1e-12)
    assert described["sd"] == pytest.approx(statistics.pstdev(lengths), rel=1e-9, abs=1e-9)


def test_sd_of_equal_lengths_is_exactly_zero():
    assert describe_lengths([123_457] * 60_001)["sd"] == 0.0


def test_no_instances_give_zeros():
    assert describe_lengths([]) == {"mean": 0.0, "sd": 0.0, "total": 0}


def test_a_row_of_table_1_by_hand():
    row = describe_instances(INSTANCES, count_words)
    assert (row["rows"], row["rows_inverted"], row["total_tokens"]) == (3, 1, 12)
    assert {name: field["total"] for name, field in row["tokens"].items()} == {
        "instruction": 6,
        "input": 1,
        "output": 5,
        "prompt": 7,
    }
    assert row["r_g"]["ratio_of_mean_tokens"] == 5 / 7
    assert row["r_g"]["mean_of_token_ratios"] == pytest.approx((4 / 3 + 0 + 1 / 3) / 3)
    characters = sum(len(item.output) for item in INSTANCES) / sum(
        len(item.instruction) + len(item.input) for item in INSTANCES
    )
    assert row["r_g"]["ratio_of_mean_characters"] == pytest.approx(characters)
    assert row["rows_without_prompt"] == 0

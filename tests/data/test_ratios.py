"""R_g by its three definitions and the units of length."""

import plw
import pytest
from plw.data.instances import Instance
from plw.data.ratios import (
    FieldLengths,
    count_characters,
    count_words,
    field_lengths,
    instances_without_prompt,
    mean_of_ratios,
    measure_of,
    ratio_of_means,
)
from plw.errors import InputError


def test_the_two_definitions_differ_by_hand():
    lengths = FieldLengths(instruction=[1, 4], input=[0, 5], output=[10, 3])
    assert ratio_of_means(lengths) == 13 / 10
    assert mean_of_ratios(lengths) == (10 / 1 + 3 / 9) / 2


def test_an_instance_without_prompt_has_no_ratio_of_its_own_but_counts_in_the_means():
    lengths = FieldLengths(instruction=[0, 2], input=[0, 0], output=[6, 4])
    assert mean_of_ratios(lengths) == 2.0
    assert ratio_of_means(lengths) == 10 / 2
    assert instances_without_prompt(lengths) == 1


def test_without_any_prompt_the_ratio_is_undefined():
    lengths = FieldLengths(instruction=[0], input=[0], output=[6])
    assert ratio_of_means(lengths) is None and mean_of_ratios(lengths) is None
    empty = FieldLengths([], [], [])
    assert ratio_of_means(empty) is None and mean_of_ratios(empty) is None


def test_fields_are_measured_one_by_one():
    instances = [Instance("two words", "", "äé", source_row=0)]
    assert field_lengths(instances, count_words) == FieldLengths([2], [0], [1])
    assert field_lengths(instances, count_characters) == FieldLengths([9], [0], [2])


def test_prompt_is_instruction_plus_input():
    assert FieldLengths([1, 2], [3, 0], [9, 9]).prompt == [4, 2]


def test_unknown_units_and_missing_tokenizers_are_refused():
    assert measure_of("tokens", count_words) is count_words
    with pytest.raises(InputError, match="Unknown unit"):
        measure_of("letters")
    with pytest.raises(InputError, match="need a tokenizer"):
        measure_of("tokens")


def test_the_ratios_of_anybodys_rows_come_by_each_definition():
    rows = [{"instruction": "ab", "output": "abcd"}, {"instruction": "a b", "input": "c", "output": "a"}]
    assert plw.generation_ratios(rows) == {
        "ratio_of_mean_tokens": None,
        "mean_of_token_ratios": None,
        "ratio_of_mean_characters": pytest.approx(5 / 6),
    }
    found = plw.generation_ratios(rows, count_words)
    assert found["ratio_of_mean_tokens"] == pytest.approx(2 / 4)
    assert found["mean_of_token_ratios"] == pytest.approx((1 + 1 / 3) / 2)

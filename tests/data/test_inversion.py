"""Prompt inversion: the two instructions, the strict rule, never twice, and the rules with a target."""

import random

import plw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plw.data.instances import Instance
from plw.data.inversion import apply_rule, invert_all, invert_instance, invert_to_target, thin_to_target
from plw.data.ratios import count_characters, count_words, field_lengths, measure_of, ratio_of_means
from plw.errors import InputError


def data_set(number=400, seed=1):
    """Instances with long outputs, some of them short, in words as "tokens"."""
    draw = random.Random(seed)
    words = lambda low, high: " ".join(["word"] * draw.randint(low, high))  # noqa: E731
    return [
        Instance(words(2, 20), words(0, 6), words(*draw.choice([(1, 5), (20, 90)])), source_row=index)
        for index in range(number)
    ]


def test_an_instance_without_input_is_rotated():
    inverted = invert_instance(Instance("Who is it?", "", "It is her.", source_row=3))
    assert inverted.instruction == "Predict the prompt that generated the following AI output."
    assert (inverted.input, inverted.output) == ("It is her.", "Who is it?")
    assert inverted.inverted and inverted.source_row == 3


def test_an_input_moves_into_the_instruction():
    inverted = invert_instance(Instance("Who is it?", "A {input} play", "It is her.", source_row=0))
    assert inverted.instruction == (
        "Predict the prompt that generated the below AI output given the following context. Context: A {input} play"
    )
    assert (inverted.input, inverted.output) == ("It is her.", "Who is it?")


def test_white_space_counts_as_an_input():
    assert invert_instance(Instance("a", " ", "b", source_row=0)).instruction.endswith("Context:  ")


def test_the_rule_is_strict():
    equal, longer = Instance("ab", "cd", "efgh", source_row=0), Instance("ab", "cd", "efghi", source_row=1)
    result = invert_all([equal, longer], count_characters).instances
    assert [instance.inverted for instance in result] == [False, True]
    assert result[0] == equal


@pytest.mark.parametrize(("unit", "inverted"), [("characters", False), ("words", True), ("tokens", True)])
def test_the_unit_decides(unit, inverted):
    instance = Instance("Incomprehensibilities", "", "a b c", source_row=0)  # longer in characters, shorter in words
    measure = measure_of(unit, count_words)
    assert invert_all([instance], measure).instances[0].inverted is inverted


def test_nothing_is_inverted_twice():
    once = invert_all([Instance("a", "", "long output", source_row=0)], count_characters).instances
    # The inverted instance is made long again, so that only its flag protects it.
    tricky = [Instance("a", "", "b" * 500, source_row=0, inverted=True)]
    assert invert_all(once, count_characters).instances == once
    assert invert_all(tricky, count_characters).instances == tricky
    with pytest.raises(ValueError, match="never inverted again"):
        invert_instance(tricky[0])


texts = st.text(alphabet="ab c", max_size=30)


@given(st.lists(st.tuples(texts.filter(bool), texts, texts), max_size=20))
def test_inversion_keeps_order_rows_and_texts(triples):
    instances = [Instance(*triple, source_row=index) for index, triple in enumerate(triples)]
    result = invert_all(instances, count_characters).instances
    assert [instance.source_row for instance in result] == list(range(len(triples)))
    for before, after in zip(instances, result, strict=True):
        if after.inverted:
            assert len(before.output) > len(before.instruction) + len(before.input)
            assert (after.input, after.output) == (before.output, before.instruction)
            assert after.instruction.endswith(before.input or "AI output.")
        else:
            assert after == before
            assert len(before.output) <= len(before.instruction) + len(before.input)


def measured(instances):
    return ratio_of_means(field_lengths(instances, count_words))


def test_the_target_rule_reaches_its_target_and_reports_what_is_true():
    instances = data_set()
    result = invert_to_target(instances, count_characters, count_words, r_g=1.0, seed=42)
    assert result.achieved == measured(result.instances)
    assert abs(result.achieved - 1.0) <= 0.02
    assert len(result.instances) == len(instances) and result.rows_left_out == 0
    everything = invert_all(instances, count_characters).instances
    for before, after, candidate in zip(instances, result.instances, everything, strict=True):
        assert after == before or (after.inverted and after == candidate)


def test_the_target_rule_stops_at_the_nearer_side_of_the_crossing():
    instances = data_set(30)
    result = invert_to_target(instances, count_characters, count_words, r_g=1.0, seed=0)
    number = sum(instance.inverted for instance in result.instances)
    order = [i for i, item in enumerate(invert_all(instances, count_characters).instances) if item.inverted]
    random.Random(0).shuffle(order)
    ratios = []
    for count in range(len(order) + 1):
        chosen = set(order[:count])
        ratios.append(measured([invert_instance(item) if i in chosen else item for i, item in enumerate(instances)]))
    crossing = next(count for count, ratio in enumerate(ratios) if ratio <= 1.0)
    nearer = min((crossing, crossing - 1), key=lambda count: abs(ratios[count] - 1.0))
    assert number == nearer
    assert result.achieved == pytest.approx(ratios[nearer], rel=1e-12)


def test_the_tiny_rule_leaves_out_high_ratio_rows_until_its_target():
    instances = data_set(600)
    short = invert_all(instances, count_characters).instances
    start = measured(short)
    target = start / 2
    result = thin_to_target(instances, count_characters, count_words, r_g=target, seed=42)
    assert result.achieved == measured(result.instances)
    assert abs(result.achieved / target - 1) <= 0.02
    kept = {instance.source_row for instance in result.instances}
    assert len(kept) == len(result.instances) == len(instances) - result.rows_left_out
    assert [item for item in short if item.source_row in kept] == result.instances
    left_out = [item for item in short if item.source_row not in kept]
    assert left_out and all(measured([item]) > target for item in left_out)


def test_targets_depend_on_nothing_but_the_seed():
    instances = data_set()
    for rule in (invert_to_target, thin_to_target):
        target = 1.0 if rule is invert_to_target else 0.15
        first, again, other = (
            rule(instances, count_characters, count_words, r_g=target, seed=seed).instances for seed in (42, 42, 7)
        )
        assert first == again != other


def test_a_target_that_cannot_be_reached_says_how_far_one_gets():
    instances = data_set(50)
    with pytest.raises(InputError, match="cannot be brought this low"):
        invert_to_target(instances, count_characters, count_words, r_g=0.0001, seed=42)
    with pytest.raises(InputError, match="already have R_g"):
        invert_to_target(instances, count_characters, count_words, r_g=100.0, seed=42)


def test_rows_of_one_ratio_cannot_be_thinned():
    same = [Instance("a b", "", "c", source_row=index) for index in range(5)]
    with pytest.raises(InputError, match="cannot be brought this low"):
        thin_to_target(same, count_characters, count_words, r_g=0.1, seed=42)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "some", "r_g": None}, "Unknown rule"),
        ({"rule": "target", "r_g": None}, "needs a target"),
        ({"rule": "tiny", "r_g": -1.0}, "needs a target"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        apply_rule([], count_characters, count_words, seed=42, **settings)


def test_a_target_without_a_tokenizer_is_refused():
    with pytest.raises(InputError, match="needs a tokenizer"):
        apply_rule([], count_characters, None, rule="target", r_g=1.0, seed=42)


def test_rows_of_anybodys_data_are_inverted_with_their_provenance():
    rows = [
        {"instruction": "Name a stone.", "output": "Granite, which is found in the mountains near the river."},
        {"instruction": "Say yes or no, and nothing else at all, please.", "input": "", "output": "No."},
    ]
    found = plw.invert(rows)
    assert [row["inverted"] for row in found] == [True, False]
    assert [row["source_row"] for row in found] == [0, 1]
    assert found[0]["input"] == rows[0]["output"] and found[0]["output"] == "Name a stone."
    assert {key: found[1][key] for key in rows[1]} == rows[1]
    assert len(plw.invert(found)) == 2, "what is inverted already is never inverted again"


def test_a_row_without_text_is_named():
    with pytest.raises(InputError, match=r"(?s)output is no text.*row 1"):
        plw.invert([{"instruction": "a", "output": "b"}, {"instruction": "a", "output": None}])

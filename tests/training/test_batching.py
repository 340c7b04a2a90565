"""Logical updates and physical batches."""

from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.data.tokenization import EncodedExample
from plw.errors import InputError
from plw.study.planning.batches import MOST_PADDING
from plw.training.batching import TrainingPlan, cut_into_batches, epoch_order, lay_out, plan_updates
from plw.training.loss import IGNORED
from plw.training.settings import NORMALIZATIONS, UNITS


def example(prompt, completion, first=10):
    return EncodedExample(list(range(first, first + prompt + completion)), prompt, False, completion == 0, True)


def plan(shapes, *, update_size=8, epochs=1, last_window="keep", **options):
    examples = [example(prompt, completion, 10 + 50 * i) for i, (prompt, completion) in enumerate(shapes)]
    updates = plan_updates(len(examples), epochs=epochs, seed=1, update_size=update_size, last_window=last_window)
    defaults = {"plw": 0.1, "normalization": "nonzero_count", "unit": "microbatch", "micro_batch": 2}
    return TrainingPlan(examples, updates, pad_token_id=0, **(defaults | {"physical_batch": 4} | options))


def test_an_epoch_sees_every_row_once_and_orders_differ_between_epochs_and_seeds():
    orders = [epoch_order(100, seed=seed, epoch=epoch) for seed in (42, 50) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(100, seed=42, epoch=0) == orders[0]


def test_updates_per_epoch_are_those_of_alpacas_table():
    for rows, per_epoch in ((52_002, 406), (51_760, 404), (60_713, 474), (46_021, 359), (15_011, 117)):
        updates = plan_updates(rows, epochs=3, seed=42, update_size=128, last_window="drop")
        assert len(updates) == 3 * per_epoch and {len(update) for update in updates} == {128}


def test_a_kept_last_window_is_shorter_and_nothing_is_lost():
    updates = plan_updates(19, epochs=2, seed=0, update_size=8, last_window="keep")
    assert [len(update) for update in updates] == [8, 8, 3, 8, 8, 3]
    assert sorted(chain(*updates[:3])) == list(range(19))


def test_a_fraction_of_an_epoch_ends_within_it():
    whole = plan_updates(80, epochs=2, seed=0, update_size=8, last_window="keep")
    assert plan_updates(80, epochs=1.5, seed=0, update_size=8, last_window="keep") == whole[:15]


def test_a_data_set_smaller_than_an_update_is_an_error_only_if_it_would_be_dropped():
    with pytest.raises(InputError, match="smaller than one update"):
        plan_updates(5, epochs=1, seed=0, update_size=8, last_window="drop")
    assert [len(update) for update in plan_updates(5, epochs=1, seed=0, update_size=8, last_window="keep")] == [5]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(1, 120)),
    st.integers(1, 3),
)
def test_a_layout_places_every_sequence_once_and_keeps_ranks_in_step(lengths, physical_batch, budget, ranks):
    cut = cut_into_batches(lengths, physical_batch=physical_batch, tokens_per_batch=budget)
    steps = -(-len(cut) // ranks) + 1
    layout = lay_out(cut, ranks=ranks, steps=steps)
    assert [len(rank) for rank in layout] == [steps] * ranks
    batches = [batch for rank in layout for batch in rank]
    assert sorted(chain(*batches)) == list(range(len(lengths)))
    in_order = [layout[rank][step] for step in range(steps) for rank in range(ranks)]
    flat = [lengths[index] for batch in in_order for index in batch]
    assert flat == sorted(lengths, reverse=True)
    for batch in filter(None, batches):
        cells = len(batch) * max(lengths[index] for index in batch)
        if budget is None:
            assert len(batch) <= physical_batch
        else:
            assert len(batch) == 1 or cells <= budget
            assert sum(lengths[index] for index in batch) >= (1 - MOST_PADDING) * cells


def test_a_layout_without_room_for_all_batches_is_refused():
    with pytest.raises(ValueError, match="3 batches do not fit"):
        lay_out([[0], [1], [2]], ranks=2, steps=1)


def test_a_budget_of_tokens_fills_batches_of_short_rows_with_more_of_them():
    lengths = [100, 100, 98, 97, 50, 49, 48, 47, 46, 45, 44, 9]
    cut = cut_into_batches(lengths, physical_batch=4, tokens_per_batch=200)
    assert [len(batch) for batch in cut] == [2, 2, 4, 3, 1]  # the last row would be mostly padding beside the others
    one = plan([(length - 2, 2) for length in lengths], update_size=12, physical_batch=1, tokens_per_batch=200)
    assert one.steps_per_update == 5 and [len(one[step]["rows"]) for step in range(5)] == [2, 2, 4, 3, 1]


def test_all_updates_have_as_many_steps_as_the_one_that_needs_most():
    shapes = [(3, 2)] * 8 + [(30, 10)] * 8  # no order is sure to keep long and short rows apart
    plans = [plan(shapes, epochs=2, tokens_per_batch=80, rank=rank, ranks=2) for rank in range(2)]
    assert plans[0].steps_per_update == plans[1].steps_per_update
    needed = [len(cut_into_batches([len(plans[0].examples[row].input_ids) for row in update],
                                   physical_batch=4, tokens_per_batch=80)) for update in plans[0].updates]  # fmt: skip
    assert len(set(needed)) > 1 and plans[0].steps_per_update == -(-max(needed) // 2)
    rows = [one[index]["rows"].tolist() for one in plans for index in range(len(one))]
    assert sorted(chain(*rows)) == sorted([*range(16)] * 2)


def test_sorting_within_the_update_leaves_little_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = ((0.7 * torch.randn(128, generator=generator)).exp() * 80 + 20).int().tolist()
    batches = {
        "sorted": cut_into_batches(lengths, physical_batch=4),
        "as drawn": [list(range(start, start + 4)) for start in range(0, 128, 4)],
    }
    padded = {name: sum(max(lengths[i] for i in batch) * len(batch) for batch in cut) for name, cut in batches.items()}
    assert sum(lengths) / padded["sorted"] > 0.9 > sum(lengths) / padded["as drawn"]


def weights_by_row(plans):
    """Collect {(update, row): scales of its tokens} from the physical batches of all ranks."""
    found = {}
    for one in plans:
        for index in range(len(one)):
            batch = one[index]
            for place, row in enumerate(batch["rows"].tolist()):
                wanted = batch["targets"][place] != IGNORED
                found[batch["update"], row] = batch["scales"][place][wanted].tolist()
    return found


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("unit", UNITS)
def test_the_scale_of_a_token_does_not_depend_on_the_physical_layout(normalization, unit):
    shapes = [(1 + i % 5, (7 * i) % 11) for i in range(19)]
    options = {"normalization": normalization, "unit": unit}
    reference = weights_by_row([plan(shapes, physical_batch=8, **options)])
    for physical_batch, ranks in ((1, 1), (3, 1), (2, 2), (1, 3), (16, 2)):
        plans = [
            plan(shapes, physical_batch=physical_batch, rank=rank, ranks=ranks, **options) for rank in range(ranks)
        ]
        assert len({len(one) for one in plans}) == 1
        assert weights_by_row(plans) == reference
    plans = [plan(shapes, tokens_per_batch=30, rank=rank, ranks=2, **options) for rank in range(2)]
    assert weights_by_row(plans) == reference


def test_a_batch_predicts_the_next_token_and_marks_the_prompt():
    batch = plan([(3, 2), (1, 1)], update_size=2, physical_batch=2)[0]
    order = batch["rows"].tolist()
    long = order.index(0)
    assert batch["input_ids"][long].tolist() == [10, 11, 12, 13, 14]
    assert batch["targets"][long].tolist() == [11, 12, 13, 14, IGNORED]
    assert batch["is_prompt"][long, :4].tolist() == [True, True, False, False]
    assert (batch["scales"][long] > 0).tolist() == [True, True, True, True, False]
    assert batch["scales"][long, 0] / batch["scales"][long, 2] == pytest.approx(0.1)
    assert batch["targets"][1 - long].tolist() == [61, *[IGNORED] * 4]


def test_the_slots_that_a_short_update_leaves_are_empty_batches():
    short = plan([(2, 2)] * 9, update_size=8, physical_batch=2)
    assert short.steps_per_update == 4 and len(short) == 8
    empty = [short[index] for index in range(5, 8)]
    assert all((batch["targets"] == IGNORED).all() and not batch["scales"].any() for batch in empty)


def test_the_summary_counts_predicted_tokens_and_the_mean_denominator():
    one = plan([(3, 2), (2, 0), (1, 4), (4, 1)], update_size=4, plw=0.0)
    assert one.summary(0)["tokens"] == 17
    assert one.summary(0)["prompt_tokens"] == 2 + 1 + 0 + 3
    assert one.summary(0)["completion_tokens"] == 2 + 0 + 4 + 1
    assert one.summary(0)["denominator"] == pytest.approx(7 / 2)
    assert plan([(5, 0)] * 4, update_size=4, plw=0.0).summary(0)["empty_units"] == 2


def test_the_digest_changes_with_what_changes_the_gradient_and_with_nothing_else():
    shapes = [(2, 3)] * 12
    reference = plan(shapes).digest()
    assert plan(shapes, physical_batch=1, rank=0, ranks=2).digest() == reference
    assert plan(shapes, tokens_per_batch=9).digest() == reference
    changed = [
        plan(shapes, plw=0.2),
        plan(shapes, unit="update"),
        plan([(2, 3)] * 11 + [(3, 2)]),
        plan(shapes, epochs=2),
    ]
    assert reference not in {one.digest() for one in changed}

"""What §4.1 says of the loss is tried, and a loss that breaks it is seen."""

import pytest
from plw.training import collator
from plw.training.identities import largest_differences


def test_plw_zero_is_masking_and_plw_one_is_the_plain_loss_in_value_and_gradient():
    found = largest_differences()
    assert len(found) == 4
    assert max(found.values()) < 1e-6


@pytest.mark.parametrize("plw", [0.5, 1.0])
def test_a_loss_that_ignores_the_plw_is_seen(monkeypatch, plw):
    right = collator.mask_weights
    monkeypatch.setattr(collator, "mask_weights", lambda prompts, lengths, **_: right(prompts, lengths, plw=plw))
    assert max(largest_differences().values()) > 1e-3

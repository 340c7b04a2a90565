"""What a caller's own batches may bring: numbers of numpy and torch, and one message for whatever is missing."""

import numpy as np
import pytest
import torch
from plw import PromptLossCollator
from plw.errors import InputError

FEATURES = [{"input_ids": [5, 6, 7], "prompt_length": 1}, {"input_ids": [8, 9], "prompt_length": 1}]


def batch(features=FEATURES, pad_token_id=0, plw=0.5, **changes):
    return PromptLossCollator(pad_token_id, plw=plw, **changes)(features)


def test_numbers_of_numpy_and_torch_are_numbers():
    others = [{"input_ids": np.array([5, 6, 7]), "prompt_length": np.int64(1)},
              {"input_ids": torch.tensor([8, 9]), "prompt_length": torch.tensor(1)}]  # fmt: skip
    for plw in (np.float32(0.5), np.float64(0.5), np.float16(0.5)):
        found = batch(others, pad_token_id=np.int64(0), plw=plw, completion_loss_weight=np.float32(1))
        assert all(torch.equal(found[name], value) for name, value in batch().items())
    assert torch.equal(batch(plw=np.int64(1))["token_scales"], batch(plw=1)["token_scales"])


@pytest.mark.parametrize("pad_token_id", [None, -1, "0", True, 1.0])
def test_without_a_padding_token_it_is_said_what_to_give(pad_token_id):
    with pytest.raises(InputError, match="padding token") as caught:
        PromptLossCollator(pad_token_id, plw=0.1)
    assert "eos_token_id" in caught.value.hint


@pytest.mark.parametrize("plw", ["0.1", None, True, 10**400, float("nan"), 1.1, np.float32(-1), torch.tensor([0.1])])
def test_a_weight_that_is_no_number_from_0_to_1_is_refused(plw):
    with pytest.raises(InputError):
        PromptLossCollator(0, plw=plw)


@pytest.mark.parametrize(
    ("features", "what"),
    [
        ([], "no training example"),
        ([{"prompt_length": 1}], "no tokens"),
        ([{"input_ids": [], "prompt_length": 0}], "no tokens"),
        ([{"input_ids": [1, 2]}], "where its prompt is"),
        ([{"input_ids": [1, 2], "labels": None, 3: 4}], "where its prompt is"),
        ([*FEATURES, {"input_ids": [1, 2]}], "where its prompt is"),
        ([{"input_ids": [1, 2], "prompt_length": 3}], "prompt_length"),
        ([{"input_ids": [1, 2], "prompt_length": None}], "prompt_length"),
        ([{"input_ids": [1, 2], "prompt_length": 1.0}], "prompt_length"),
    ],
)
def test_an_example_that_lacks_something_gets_one_message(features, what):
    with pytest.raises(InputError, match=what):
        batch(features)


@pytest.mark.parametrize("micro_batch", [0, -1, 1.5, "2", True])
def test_a_micro_batch_is_a_number_of_sequences(micro_batch):
    with pytest.raises(InputError, match="micro_batch"):
        PromptLossCollator(0, plw=0.1, micro_batch=micro_batch)

"""Log-likelihoods with shared tokens against each request read alone; a shortened beginning is noticed."""

import random

import pytest
import torch
from plw.evaluation.shared_contexts import SharedContexts, group_requests, make_requests, pack_groups, shared_beginning
from plw.models.decoding import PrefixCache
from plw.models.loading import load_model
from tiny import WORDS, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model({"path": str(tiny_model(tmp_path_factory.mktemp("model")))}).eval()


def draw_requests(shots: int, questions: int, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    """Token ids and lengths of continuations: `shots` common tokens, a question of 4 to 8, choices of 1 to 3."""
    draw = random.Random(seed)

    def ids(count: int) -> list[int]:
        return [draw.randrange(3, len(WORDS)) for _ in range(count)]

    beginning, tokens, counts = ids(shots), [], []
    for _ in range(questions):
        question = ids(draw.randint(4, 8))
        for _ in range(3):
            counts.append(draw.randint(1, 3))
            tokens.append(beginning + question + ids(counts[-1]))
    return tokens, counts


def read_alone(model, tokens: list[list[int]], counts: list[int]) -> list[tuple[float, bool]]:
    """The definition: each request in a forward pass of its own."""
    found = []
    for ids, count in zip(tokens, counts, strict=True):
        with torch.inference_mode():
            scores = model(torch.tensor([ids[:-1]])).logits[0, -count:].float().log_softmax(dim=-1)
        targets = torch.tensor(ids[-count:])
        likelihood = scores.gather(1, targets[:, None]).sum()
        found.append((float(likelihood), bool((scores.argmax(dim=-1) == targets).all())))
    return found


def assert_equal(found, expected):
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=2e-5)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


@pytest.mark.parametrize(("shots", "batch_size"), [(0, 4), (20, 1), (90, 4), (90, 100)])
def test_shared_contexts_equal_each_request_read_alone(shots, batch_size, model):
    tokens, counts = draw_requests(shots, questions=9)
    found = SharedContexts(model, batch_size=batch_size).score(make_requests(tokens, counts))
    assert_equal(found, read_alone(model, tokens, counts))


def test_questions_that_are_short_beside_what_all_share_stand_in_one_row(model):
    requests = make_requests(*draw_requests(shots=150, questions=9))
    prefix = shared_beginning(requests)
    groups = group_requests(requests, prefix=prefix)
    rows = pack_groups(groups, prefix=prefix)
    assert prefix >= 150 and len(groups) >= 9
    assert len(rows) < len(groups) and [group for row in rows for group in row] == groups
    assert [[group] for group in groups] == pack_groups(groups, prefix=0)
    seen = []
    hook = model.register_forward_pre_hook(lambda _, __, given: seen.append(len(given["input_ids"])), with_kwargs=True)
    SharedContexts(model, batch_size=100).score(requests)
    hook.remove()
    assert seen == [1, len(rows), len(rows)]  # what all share, the questions, the choices


@pytest.mark.parametrize("shots", [20, 90])
def test_a_cached_beginning_that_is_one_token_short_changes_the_scores(shots, model, monkeypatch):
    """The tests above would notice it: sharing is exact because nothing is left out, not because nothing is read."""
    tokens, counts = draw_requests(shots, questions=5)
    whole = PrefixCache.repeated

    def shortened(self, ids, rows):
        cache = whole(self, ids, rows)
        for layer in cache.layers:
            layer.keys[:, :, -1], layer.values[:, :, -1] = 0, 0  # as if the last token had not been read
        return cache

    monkeypatch.setattr(PrefixCache, "repeated", shortened)
    found = SharedContexts(model, batch_size=4).score(make_requests(tokens, counts))
    with pytest.raises(AssertionError):
        assert_equal(found, read_alone(model, tokens, counts))

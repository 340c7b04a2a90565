"""Batches as trees of their rows: each distinct beginning computed once, with the numbers of the padded batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.training.fine_tuning import set_attention_dropout
from plw.training.forward.counting import matrix_sizes
from plw.training.forward.output_layer import WeightedOutput
from plw.training.forward.packed_attention import can_pack
from plw.training.forward.packing import LEAST_LENGTH, pack
from plw.training.loss import IGNORED, token_losses
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

VOCABULARY = 61
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def batch(rows, scales):
    """(ids, targets, scales) of rows of token ids; scales[i][t] belongs to the prediction of token t + 1 of row i."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    targets = torch.full_like(ids, IGNORED)
    found = torch.zeros(ids.shape)
    for number, (row, own) in enumerate(zip(rows, scales, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        targets[number, : len(row) - 1] = ids[number, 1 : len(row)]
        found[number, : len(own)] = torch.tensor(own)
    return ids, targets, found


def alike(*, prompt=0.1):
    """Rows with a common beginning of four tokens, one within another, two equal, one with nothing to learn."""
    ends = ([9, 4, 30, 2], [9, 4, 30, 2], [9, 5], [], [9, 4], None, [6])
    rows = [[8, 8, 3] if end is None else [1, 7, 7, 3, *end] for end in ends]
    scales = [[prompt] * 3 + [1.0 + number / 10] * (len(row) - 4) for number, row in enumerate(rows)]
    scales[5], scales[6] = [prompt, 0.7], [0.0] * 4
    return batch(rows, scales)


def beginnings(ids, targets, scales, watched=None):
    """Distinct beginnings of the rows, each up to a position that predicts something wanted or is seen by one."""
    wanted = (targets != IGNORED) & ((scales != 0) if watched is None else (scales != 0) | watched)
    found = set()
    for row, chosen in zip(ids.tolist(), wanted.tolist(), strict=True):
        end = max((place + 1 for place, here in enumerate(chosen) if here), default=0)
        found |= {tuple(row[: place + 1]) for place in range(end)}
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 2), min_size=2, max_size=9), min_size=1, max_size=8), st.randoms())
def test_nodes_are_the_distinct_beginnings_of_rows_and_every_row_is_found_in_a_group(rows, rng):
    scales = [[rng.choice([0.0, 0.0, 0.5, 1.0]) for _ in row[1:]] for row in rows]
    ids, targets, scales = batch(rows, scales)
    packing = pack(ids, targets, scales, None)
    wanted = beginnings(ids, targets, scales)
    assert packing.nodes == max(len(wanted), 1)
    assert sorted(packing.cells.tolist()) == sorted(set(packing.cells.tolist()))
    places = torch.cat([group.flatten() for group in packing.groups])
    assert torch.equal(places[packing.cells], torch.arange(packing.nodes))
    tokens = packing.input_ids[0]
    rows_of_nodes = [tokens[row].tolist() for group in packing.groups for row in group]
    laid_out = {tuple(row[:end]) for row in rows_of_nodes for end in range(1, len(row) + 1)}
    assert wanted <= laid_out
    learned = (targets != IGNORED) & (scales != 0)
    places, nodes = packing.learned.places, packing.learned.nodes
    assert torch.equal(packing.learned.targets[places], targets[learned])
    assert torch.equal(packing.position_ids[0][nodes[places]], learned.nonzero()[:, 1])
    assert torch.equal(tokens[nodes[places]], ids[learned])
    assert packing.scales.sum().item() == pytest.approx(scales[learned].double().sum().item())


def test_rows_of_a_group_are_of_like_length():
    rows = [[number + 1] * length for number, length in enumerate((40, 38, 29, 12, 11, 3))]
    ids, targets, scales = batch(rows, [[1.0] * (len(row) - 1) for row in rows])
    groups = pack(ids, targets, scales, None).groups
    assert [tuple(group.shape) for group in groups] == [(2, 39), (1, 28), (2, 11), (1, 2)]
    assert LEAST_LENGTH * 39 > 28


def llama(**changed):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, **changed))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("prompt", "watch"), [(0.1, False), (0.0, False), (0.0, True)])
@pytest.mark.parametrize("changed", [{}, {"tie_word_embeddings": True}, {"attention_bias": True}])
def test_a_packed_batch_has_the_loss_gradients_and_token_losses_of_the_padded_one(changed, prompt, watch, smoothing):
    model = llama(**changed)
    ids, targets, scales = alike(prompt=prompt)
    every = token_losses(model(input_ids=ids, use_cache=False).logits, targets, label_smoothing=smoothing)
    wanted = torch.autograd.grad((every * scales).sum(), list(model.parameters()))
    output = WeightedOutput(model, label_smoothing=smoothing)
    assert model.config._attn_implementation == "plw_packed"
    watched = (targets != IGNORED) & (scales == 0) if watch else None
    seen = []
    model.model.layers[0].mlp.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[1]))
    found = output(model, ids, targets, scales, watched)
    assert seen == [len(beginnings(ids, targets, scales, watched))]
    torch.testing.assert_close(found.loss, (every * scales).sum(), rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(found.loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())
    torch.testing.assert_close(found.learned, every[(targets != IGNORED) & (scales != 0)].detach())
    if watched is not None:
        plain = token_losses(model(input_ids=ids, use_cache=False).logits, targets)
        torch.testing.assert_close(found.watched, plain[watched].detach())


def test_a_batch_without_anything_to_learn_is_one_position_and_a_gradient_of_zeros():
    model = llama()
    ids, targets, scales = batch([[1, 2, 3], [1, 2]], [[0.0, 0.0], [0.0]])
    found = WeightedOutput(model)(model, ids, targets, scales, None)
    found.loss.backward()
    assert found.loss.item() == 0 and found.learned.shape == (0,)
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_under_autocast_a_packed_batch_is_the_padded_one_up_to_bfloat16s_rounding():
    model = llama()
    ids, targets, scales = alike()
    with torch.autocast("cpu", torch.bfloat16):
        plain = (token_losses(model(input_ids=ids, use_cache=False).logits, targets) * scales).sum()
        found = WeightedOutput(model)(model, ids, targets, scales, None)
    torch.testing.assert_close(found.loss, plain, rtol=2e-3, atol=2e-3)
    for mine, theirs in zip(torch.autograd.grad(found.loss, list(model.parameters())),
                            torch.autograd.grad(plain, list(model.parameters())), strict=True):  # fmt: skip
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.03 * theirs.abs().max().item())


def test_only_models_whose_every_other_part_works_on_each_position_by_itself_are_packed(tmp_path):
    assert can_pack(llama())
    assert not can_pack(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4)))
    dynamic = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert not can_pack(llama(rope_parameters=dynamic))
    assert not can_pack(llama(attn_implementation="eager"))
    dropping = llama()
    set_attention_dropout(dropping, 0.1)
    assert not can_pack(dropping)
    WeightedOutput(model := llama(), sparse=False)
    assert model.config._attn_implementation == "sdpa"


def test_a_model_that_was_packed_is_saved_and_runs_as_before(tmp_path):
    model = llama()
    ids, targets, scales = alike()
    before = model(input_ids=ids, use_cache=False).logits
    output = WeightedOutput(model)
    output(model, ids, targets, scales, None)
    between = model(input_ids=ids, use_cache=False).logits  # rows as they are
    torch.testing.assert_close(between, before, rtol=1e-5, atol=1e-6)
    model.save_pretrained(tmp_path)
    assert "plw_packed" not in (tmp_path / "config.json").read_text()
    output.remove()
    assert model.config._attn_implementation == "sdpa"
    assert not any("packing" in module.__dict__ or "forward" in module.__dict__ for module in model.modules())
    assert torch.equal(model(input_ids=ids, use_cache=False).logits, before)


@pytest.mark.parametrize(("prompt", "watch"), [(0.1, False), (0.0, False), (0.0, True)])
@pytest.mark.parametrize("tied", [False, True])
def test_operations_are_counted_as_pytorch_counts_them_but_for_attention(prompt, watch, tied):
    model = llama(tie_word_embeddings=tied)
    ids, targets, scales = alike(prompt=prompt)
    watched = (targets != IGNORED) & (scales == 0) if watch else None
    output = WeightedOutput(model)
    in_place = {torch.ops.aten.addmm_: lambda _, left, right, **__: 2 * left[0] * left[1] * right[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        output(model, ids, targets, scales, watched).loss.backward()
    products = {"mm", "addmm", "addmm_"}
    counted = sum(count for kind, count in counter.get_flop_counts()["Global"].items() if kind.__name__ in products)
    assert matrix_sizes(model).operations(output.computed) == counted
    weights = [weight for weight in model.parameters() if weight.dim() == 2]
    looked_up = 0 if tied else model.get_input_embeddings().weight.numel()
    everything = 6 * ids.numel() * (sum(weight.numel() for weight in weights) - looked_up)
    assert matrix_sizes(model).operations_of_tokens(ids.numel()) == everything

"""Output layer and loss in chunks, and a last layer that leaves positions out: the same numbers as all logits give."""

import pytest
import torch
from plw.training.forward.chunked_loss import chunked_loss, chunked_token_losses
from plw.training.forward.last_block import LastBlock, position_wise_parts
from plw.training.forward.output_layer import WeightedOutput
from plw.training.loss import IGNORED, token_losses, weighted_token_loss
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY, WIDTH = 61, 16
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def tokens(count: int, *, bias: bool = False):
    """(hidden, weight, bias, targets, scales) with gradients to be taken."""
    torch.manual_seed(count)
    hidden = torch.randn(count, WIDTH, requires_grad=True)
    weight = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    offset = torch.randn(VOCABULARY, requires_grad=True) if bias else None
    return hidden, weight, offset, torch.randint(VOCABULARY, (count,)), torch.rand(count)


def gradients(loss, *of):
    return [gradient for gradient in torch.autograd.grad(loss, [tensor for tensor in of if tensor is not None])]


def apart(found, expected):
    """Length of the difference over the length of what was expected. A single element may be a sum that cancels, and
    differ by more of itself from one processor to the next."""
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("at_once", [1, 2, 5, 1000])
def test_chunks_of_any_size_give_the_loss_and_gradients_of_all_logits(at_once, bias, smoothing):
    hidden, weight, offset, targets, scales = tokens(11, bias=bias)
    logits = functional.linear(hidden, weight, offset)
    plain = weighted_token_loss(logits, targets, scales, label_smoothing=smoothing)
    ours, losses = chunked_loss(
        hidden, weight, offset, targets, scales, label_smoothing=smoothing, chunk_tokens=at_once
    )
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(losses, token_losses(logits, targets, label_smoothing=smoothing))
    assert not losses.requires_grad
    wanted = gradients(3 * plain, hidden, weight, offset)  # a factor that comes after the loss reaches the gradients
    for found, expected in zip(gradients(3 * ours, hidden, weight, offset), wanted, strict=True):
        assert apart(found, expected) < 1e-6


def test_no_more_logits_than_a_chunk_holds_exist_at_once(monkeypatch):
    hidden, weight, _, targets, scales = tokens(50)
    made = []
    linear = functional.linear
    monkeypatch.setattr(functional, "linear", lambda *given: made.append(linear(*given)) or made[-1])
    chunked_loss(hidden, weight, None, targets, scales, chunk_tokens=8)
    assert max(len(logits) for logits in made) <= 8 and sum(len(logits) for logits in made) == 50


def test_no_token_is_a_loss_of_zero_with_gradients_of_zero():
    hidden, weight, _, targets, scales = tokens(0)
    loss, losses = chunked_loss(hidden, weight, None, targets, scales)
    assert loss.item() == 0 and losses.shape == (0,)
    (of_weight,) = gradients(loss, weight)
    assert of_weight.shape == weight.shape and not of_weight.any()


def test_frozen_weights_get_no_gradient_and_the_hidden_states_theirs():
    hidden, weight, _, targets, scales = tokens(7)
    plain = gradients(weighted_token_loss(hidden @ weight.t(), targets, scales), hidden)[0]
    loss, _ = chunked_loss(hidden, weight.detach(), None, targets, scales)
    assert apart(gradients(loss, hidden)[0], plain) < 1e-6


def test_under_autocast_matrices_are_multiplied_in_bfloat16_and_gradients_stay_float32():
    hidden, weight, _, targets, scales = tokens(40)
    with torch.autocast("cpu", torch.bfloat16):
        plain = weighted_token_loss(functional.linear(hidden, weight), targets, scales)
        ours, _ = chunked_loss(hidden, weight, None, targets, scales, chunk_tokens=9)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    for found, expected in zip(gradients(ours, hidden, weight), gradients(plain, hidden, weight), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * expected.abs().max().item())


def test_losses_that_are_only_looked_at_have_no_gradient():
    hidden, weight, _, targets, _ = tokens(9)
    with FlopCounterMode(display=False) as counter:
        found = chunked_token_losses(hidden, weight, None, targets)
    assert counter.get_total_flops() == 2 * 9 * weight.numel()  # the logits, and nothing else
    torch.testing.assert_close(found, token_losses(hidden @ weight.t(), targets).detach())
    assert not found.requires_grad


def llama(**changed):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, **changed))


def batch():
    """Ids of four sequences, targets of real tokens, scales on the last three tokens of each."""
    torch.manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (4, 12))
    targets = torch.full_like(ids, IGNORED)
    targets[:, :-1] = ids[:, 1:]
    targets[1, 8:] = IGNORED  # padding
    scales = torch.zeros(ids.shape)
    scales[:, 5:8] = torch.rand(4, 3)
    return ids, targets, scales


def stock(model, ids, targets, scales):
    """The objective by all logits, and the gradient of every weight."""
    logits = model(input_ids=ids, use_cache=False).logits
    loss = (token_losses(logits, targets) * scales).sum()
    return loss, torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("watch", [False, True])
def test_a_model_that_computes_only_what_the_objective_needs_learns_the_same(watch, sparse, tied):
    model = llama(tie_word_embeddings=tied)
    ids, targets, scales = batch()
    loss, wanted = stock(model, ids, targets, scales)
    output = WeightedOutput(model, sparse=sparse)
    watched = (targets != IGNORED) & (scales == 0) if watch else None
    found = output(model, ids, targets, scales, watched)
    torch.testing.assert_close(found.loss, loss, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(found.loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())
    every = token_losses(model(input_ids=ids, use_cache=False).logits, targets).detach()
    output.remove()
    torch.testing.assert_close(found.learned, every[(targets != IGNORED) & (scales != 0)])
    if watch:
        torch.testing.assert_close(found.watched, every[watched])
    torch.testing.assert_close(stock(model, ids, targets, scales)[0], loss, rtol=0, atol=0)  # nothing stays changed


def test_the_last_layers_feed_forward_part_sees_the_chosen_positions_only():
    model = llama()
    seen = []
    model.model.layers[-1].mlp.down_proj.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[:-1]))
    ids, targets, scales = batch()
    output = WeightedOutput(model)
    output(model, ids, targets, scales, None)
    assert seen == [(12,)]  # three tokens of four sequences
    output(model, ids, targets, torch.ones_like(scales), None)  # nearly all of them: not worth a copy
    assert seen[1] == (1, 41)  # of 48: nobody reads the last place of three rows and four of the other


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)), 3),
        (lambda: GemmaForCausalLM(GemmaConfig(**SIZES, head_dim=4)), 3),
        (lambda: MixtralForCausalLM(MixtralConfig(**SIZES)), 0),  # a router looks at all positions
    ],
)
def test_only_layers_of_llamas_projections_leave_positions_out(build, parts):
    torch.manual_seed(0)
    model = build()
    assert len(list(position_wise_parts(model))) == parts
    ids, targets, scales = batch()
    loss, wanted = stock(model, ids, targets, scales)
    found = WeightedOutput(model)(model, ids, targets, scales, None)
    torch.testing.assert_close(found.loss, loss, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(found.loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())


@pytest.mark.parametrize("watch", [False, True])
def test_logits_that_a_model_changes_are_learnt_from_as_it_returns_them(watch):
    torch.manual_seed(0)
    model = GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=3.0))
    ids, targets, scales = batch()
    loss, wanted = stock(model, ids, targets, scales)
    watched = (targets != IGNORED) & (scales == 0) if watch else None
    found = WeightedOutput(model)(model, ids, targets, scales, watched)
    torch.testing.assert_close(found.loss, loss, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(found.loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())


def test_removing_gives_the_modules_their_own_forward_back():
    model = llama()
    block = LastBlock(model)
    assert "forward" in model.model.layers[-1].mlp.__dict__
    block.remove()
    assert not any("forward" in module.__dict__ for module in model.modules())

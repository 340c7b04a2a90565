"""The norm with a backward pass of its own: the numbers of transformers' norm."""

import pytest
import torch
from plw.training.forward.norms import FewerPasses, _RootMeanSquare
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm


@pytest.fixture
def norm():
    torch.manual_seed(0)
    norm = LlamaRMSNorm(24, eps=1e-6)
    norm.weight.data.uniform_(0.5, 1.5)
    return norm


def gradients(norm, states, seed):
    torch.manual_seed(seed)
    found = norm(states)
    return found, *torch.autograd.grad((found * torch.randn(found.shape)).sum(), [states, norm.weight])


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])  # smaller than eps, usual, large
def test_values_and_gradients_are_those_of_transformers_norm(norm, size):
    states = (size * torch.randn(2, 7, 24)).requires_grad_()
    plain = gradients(norm, states, 1)
    ours = FewerPasses(nn.ModuleList([norm]))
    for mine, theirs in zip(gradients(norm, states, 1), plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())
    ours.remove()
    assert "forward" not in norm.__dict__


def test_the_gradient_is_that_of_finite_differences(norm):
    states = torch.randn(3, 24, dtype=torch.float64, requires_grad=True)
    weight = norm.weight.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: _RootMeanSquare.apply(*given, 1e-6), (states, weight))


def test_states_of_less_than_float32_are_rounded_as_the_model_rounds_them(norm):
    states = torch.randn(2, 5, 24).bfloat16()
    plain = norm(states)
    FewerPasses(nn.ModuleList([norm]))
    assert torch.equal(norm(states), plain)


def test_a_frozen_norm_gets_no_gradient_and_states_theirs(norm):
    norm.weight.requires_grad_(False)
    states = torch.randn(2, 5, 24, requires_grad=True)
    (plain,) = torch.autograd.grad(norm(states).square().sum(), [states])
    FewerPasses(nn.ModuleList([norm]))
    torch.testing.assert_close(
        torch.autograd.grad(norm(states).square().sum(), [states])[0], plain, rtol=1e-5, atol=1e-6
    )

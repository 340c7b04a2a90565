"""The weighted loss, against loops over tokens, transformers' own loss and published formulas."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.errors import InputError
from plw.training.collator import PromptLossCollator
from plw.training.loss import (
    IGNORED,
    causal_lm_loss,
    describe_loss,
    group_denominators,
    token_losses,
    token_scales,
    token_weights,
    weighted_token_loss,
)
from plw.training.settings import NORMALIZATIONS, UNITS
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.trainer_pt_utils import LabelSmoother

VOCABULARY = 50
FEATURES = [
    {"input_ids": [1, 5, 6, 7, 8, 2], "prompt_length": 4},
    {"input_ids": [1, 9, 10, 11, 2], "prompt_length": 2},
    {"input_ids": [1, 5, 12, 13, 14, 15, 16, 17, 2], "prompt_length": 7},
    {"input_ids": [1, 20, 21, 22, 23, 24, 25, 26], "prompt_length": 8},  # completion lost
    {"input_ids": [1, 3, 2], "prompt_length": 1},
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
    )


def gradient(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def our_loss(model, features, **options):
    batch = PromptLossCollator(0, **options)(features)
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return causal_lm_loss(logits, batch["input_ids"], batch["token_scales"])


def targets(batch):
    """Labels as transformers wants them: the ids, -100 on padding."""
    return batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)


def loop_loss(model, features, *, plw, normalization, unit, micro_batch):
    """The objective by three nested loops over micro-batches, sequences and tokens, in plain numbers."""
    groups = [features[i : i + micro_batch] for i in range(0, len(features), micro_batch)]
    sums, bottoms = [], []
    for group in groups:
        top = bottom = 0.0
        for feature in group:
            ids = feature["input_ids"]
            log_p = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
            for t in range(1, len(ids)):
                w = plw if t < feature["prompt_length"] else 1.0
                top = top - w * log_p[t - 1, ids[t]]
                bottom += {
                    "sum_of_weights": w,
                    "nonzero_count": float(w != 0),
                    "all_count": 1.0,
                    "token_sum": 0.0,
                }[normalization]
        sums.append(top)
        bottoms.append(bottom if normalization != "token_sum" else 1.0)
    if unit == "update":
        total = sum(bottoms) if normalization != "token_sum" else 1.0
        return sum(sums) / total
    return sum(top / bottom for top, bottom in zip(sums, bottoms, strict=True) if bottom) / len(groups)


@pytest.mark.parametrize(
    ("normalization", "unit", "plw"), list(itertools.product(NORMALIZATIONS, UNITS, [0.0, 5e-4, 0.1, 1.0]))
)
def test_loss_and_gradient_equal_a_triple_loop(model, normalization, unit, plw):
    options = {"plw": plw, "normalization": normalization, "unit": unit, "micro_batch": 2}
    ours, loop = our_loss(model, FEATURES, **options), loop_loss(model, FEATURES, **options)
    assert ours.item() == pytest.approx(loop.item(), rel=2e-6)
    mine, reference = gradient(model, ours).clone(), gradient(model, loop)
    assert torch.allclose(mine, reference.float(), rtol=1e-4, atol=2e-6 * float(reference.abs().max()))


@pytest.mark.parametrize("normalization", ["sum_of_weights", "nonzero_count"])
@pytest.mark.parametrize("plw", [0.0, 1.0])
def test_plw_zero_is_masking_and_plw_one_plain_training_in_transformers_own_loss(model, plw, normalization):
    batch = PromptLossCollator(0, plw=plw, normalization=normalization)(FEATURES)
    labels = targets(batch)
    if plw == 0:
        for row, feature in enumerate(FEATURES):
            labels[row, : feature["prompt_length"]] = -100
    stock = model(batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
    ours = our_loss(model, FEATURES, plw=plw, normalization=normalization)
    assert ours.item() == pytest.approx(stock.item(), abs=1e-6)
    assert torch.allclose(gradient(model, ours).clone(), gradient(model, stock), atol=1e-6)


@pytest.mark.parametrize("plw", [0.0, 0.3, 1.0])
def test_nonzero_count_over_the_update_is_the_formula_of_wit(model, plw):
    """WIT masks labels of weight 0 and divides by the kept labels of all batches of an update."""
    batch = PromptLossCollator(0, plw=plw)(FEATURES)
    log_p = torch.log_softmax(model(batch["input_ids"]).logits[:, :-1], dim=-1)
    labels = targets(batch)[:, 1:]
    positions = torch.arange(1, batch["input_ids"].shape[1])
    prompt = positions < torch.tensor([feature["prompt_length"] for feature in FEATURES])[:, None]
    weight = torch.where(prompt, torch.tensor(plw), torch.tensor(1.0))
    kept = (labels != -100) & (weight != 0)
    picked = log_p.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    published = -(weight * picked)[kept].sum() / kept.sum()
    ours = our_loss(model, FEATURES, plw=plw, normalization="nonzero_count", unit="update")
    assert ours.item() == pytest.approx(published.item(), rel=1e-6)


def test_nonzero_count_jumps_by_the_share_of_completion_tokens_as_plw_leaves_zero(model):
    features = FEATURES[:3]
    completion = sum(len(f["input_ids"]) - f["prompt_length"] for f in features)
    everything = sum(len(f["input_ids"]) - 1 for f in features)
    at_zero = our_loss(model, features, plw=0.0, normalization="nonzero_count").item()
    beyond = our_loss(model, features, plw=1e-12, normalization="nonzero_count").item()
    assert beyond == pytest.approx(completion / everything * at_zero, rel=1e-6)


@pytest.mark.parametrize("normalization", ["sum_of_weights", "all_count", "token_sum"])
def test_the_other_normalisations_are_continuous_at_zero(model, normalization):
    at_zero = our_loss(model, FEATURES, plw=0.0, normalization=normalization).item()
    beyond = our_loss(model, FEATURES, plw=1e-9, normalization=normalization).item()
    assert beyond == pytest.approx(at_zero, rel=1e-6)


def test_a_micro_batch_without_weights_counts_as_zero_in_the_mean(model):
    lost, normal = FEATURES[3], FEATURES[0]
    alone = our_loss(model, [normal], plw=0.0).item()
    both = our_loss(model, [normal, lost], plw=0.0, micro_batch=1)
    assert both.item() == pytest.approx(alone / 2, rel=1e-6)
    assert torch.isfinite(gradient(model, both)).all()
    only = our_loss(model, [lost], plw=0.0)
    assert only.item() == 0.0 and not gradient(model, only).any()


def test_end_of_sequence_weighs_one_and_begin_and_padding_nothing():
    weights, counted = token_weights([2, 1], [4, 3], plw=0.25, width=5)
    assert weights.tolist() == [[0, 0.25, 1, 1, 0], [0, 1, 1, 0, 0]]
    assert counted.tolist() == [[False, True, True, True, False], [False, True, True, False, False]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12),
    st.sampled_from(NORMALIZATIONS),
    st.sampled_from(UNITS),
    st.sampled_from([0.0, 5e-4, 0.5, 1.0]),
    st.integers(1, 5),
)
def test_scales_sum_to_the_mean_share_of_weighted_units(shapes, normalization, unit, plw, micro_batch):
    lengths = [prompt + completion for prompt, completion in shapes]
    weights, counted = token_weights([prompt for prompt, _ in shapes], lengths, plw=plw)
    groups = torch.arange(len(shapes)) // micro_batch
    scales = token_scales(weights, groups, normalization=normalization, unit=unit, counted=counted)
    assert torch.isfinite(scales).all() and not scales[weights == 0].any()
    if unit == "update":
        groups = torch.zeros_like(groups)
    bottoms = group_denominators(weights, groups, normalization=normalization, counted=counted)
    expected = 0.0
    for group in range(len(bottoms)):
        inside = weights[groups == group].sum().item()
        expected += inside / bottoms[group].item() / len(bottoms) if inside else 0.0
    assert scales.sum().item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_label_smoothing_is_the_stock_smoother_at_plw_zero_and_one(model):
    batch = PromptLossCollator(0, plw=1.0)(FEATURES)
    output = model(batch["input_ids"])
    stock = LabelSmoother(epsilon=0.1)(output, targets(batch), shift_labels=True)
    ours = causal_lm_loss(output.logits, batch["input_ids"], batch["token_scales"], label_smoothing=0.1)
    assert ours.item() == pytest.approx(stock.item(), rel=1e-6)


def test_half_precision_logits_are_lifted_to_float32():
    logits = torch.randn(7, VOCABULARY).bfloat16()
    labels = torch.randint(VOCABULARY, (7,))
    assert torch.equal(token_losses(logits, labels), token_losses(logits.float(), labels))
    assert token_losses(logits, labels).dtype == torch.float32


def test_no_positions_give_a_zero_loss_with_a_gradient():
    logits = torch.zeros((0, VOCABULARY), requires_grad=True)
    loss = weighted_token_loss(logits, torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    loss.backward()
    assert loss.item() == 0 and logits.grad.shape == logits.shape


@pytest.mark.parametrize(("prompt", "completion"), [(0.2, 0.8), (0.0, 1.0), (1.0, 1.0), (1.0, 0.3)])
def test_prompt_and_completion_loss_weight_are_those_of_trls_pull_request(model, prompt, completion):
    """-sum(prompt weight × log p + completion weight × log p) over the tokens of weight above 0 / their number."""
    numerator, count = 0.0, 0
    for feature in FEATURES:
        ids = feature["input_ids"]
        log_p = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
        for position in range(1, len(ids)):
            weight = prompt if position < feature["prompt_length"] else completion
            if weight:
                numerator, count = numerator - weight * log_p[position - 1, ids[position]].item(), count + 1
    ours = our_loss(model, FEATURES, prompt_loss_weight=prompt, completion_loss_weight=completion)
    assert ours.item() == pytest.approx(numerator / count, rel=1e-6)


def test_the_weight_of_prompt_tokens_is_given_once():
    for weights in ({}, {"plw": 0.1, "prompt_loss_weight": 0.1}):
        with pytest.raises(InputError, match="once"):
            PromptLossCollator(0, **weights)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, "1", True])
def test_a_completion_loss_weight_that_teaches_nothing_is_refused(weight):
    with pytest.raises(InputError, match="above 0"):
        PromptLossCollator(0, plw=0.1, completion_loss_weight=weight)


def test_labels_of_other_trainers_say_where_the_prompt_is():
    masked = [
        {"input_ids": ids, "labels": [IGNORED] * length + ids[length:]}
        for ids, length in ((feature["input_ids"], feature["prompt_length"]) for feature in FEATURES)
    ]
    ours, theirs = PromptLossCollator(0, plw=0.1)(FEATURES), PromptLossCollator(0, plw=0.1)(masked)
    assert set(ours) == set(theirs) == {"input_ids", "attention_mask", "token_scales"}
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_prompts_in_the_middle_of_a_conversation_have_the_prompts_weight():
    turns = {"input_ids": [1, 5, 6, 7, 8, 9], "labels": [IGNORED, IGNORED, 6, IGNORED, IGNORED, 9]}
    batch = PromptLossCollator(0, plw=0.5, normalization="token_sum")([turns])
    assert batch["token_scales"].tolist() == [[0.0, 0.5, 1.0, 0.5, 0.5, 1.0]]


def test_an_example_that_does_not_say_where_its_prompt_is_is_refused():
    with pytest.raises(InputError, match="where its prompt is"):
        PromptLossCollator(0, plw=0.1)([{"input_ids": [1, 2, 3]}])


@pytest.mark.parametrize("plw", [-0.1, 1.5, math.nan, "0.1", True])
def test_a_plw_outside_its_range_is_refused(plw):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        PromptLossCollator(0, plw=plw)


def test_unknown_names_are_refused_and_the_known_ones_told():
    with pytest.raises(InputError, match="nonzero_count"):
        PromptLossCollator(0, plw=0.1, normalization="mean")
    with pytest.raises(InputError, match="microbatch"):
        PromptLossCollator(0, plw=0.1, unit="batch")
    with pytest.raises(ValueError, match="counted"):
        token_scales(torch.ones(2, 3), torch.arange(2), normalization="all_count", unit="update")


def test_the_loss_in_words_names_what_changes_it():
    common = {"micro_batch": 4, "micro_batches_per_update": 32}
    texts = {
        describe_loss(plw=0.1, normalization=normalization, unit=unit, **common)
        for normalization in NORMALIZATIONS
        for unit in UNITS
    }
    assert len(texts) == len(NORMALIZATIONS) * len(UNITS)
    assert all("0.1 for prompt tokens" in text for text in texts)

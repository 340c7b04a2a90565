"""Models that scale or cap their logits: one way to logits, the model's own, wherever they are used."""

import json

import pytest
import torch
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.evaluation.shared_contexts import SharedContexts, make_requests
from plw.models.generation import generate_texts
from plw.models.loading import fit_embeddings, load_model
from plw.training.batching import plan_updates
from plw.training.forward.output_layer import returns_what_its_head_gives
from tiny import SCALED, tiny_scaled_model
from training_runs import TRAINING, run

NAMES = sorted(SCALED)


@pytest.fixture(scope="module", params=NAMES)
def scaled(request, world, tmp_path_factory):
    """A folder with a tiny model of each kind and the instances of `world`."""
    folder = tmp_path_factory.mktemp(request.param)
    tiny_scaled_model(folder / "model", request.param)
    (folder / "instances.jsonl").write_text((world / "instances.jsonl").read_text())
    return folder


def prepared(folder):
    source = {"path": str(folder / "model")}
    tokenizer, model = load_tokenizer(source), load_model(source)
    prepare_tokenizer(tokenizer)
    fit_embeddings(model, tokenizer)
    return model.eval(), tokenizer


def stock_losses(folder):
    """(mean prompt, mean completion) cross-entropy of the first update's rows by the model's stock forward pass."""
    model, tokenizer = prepared(folder)
    rows = [json.loads(line) for line in (folder / "instances.jsonl").read_text().splitlines()]
    examples = encode_examples(tokenizer, rows, TRAINING["max_length"])
    update = plan_updates(len(rows), epochs=1, seed=42, update_size=8, last_window="keep")[0]
    parts = {True: [], False: []}
    for example in (examples[row] for row in update):
        ids = torch.tensor([example.input_ids])
        with torch.no_grad():
            log_p = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        losses = -log_p.gather(1, ids[0, 1:, None])[:, 0]
        is_prompt = torch.arange(1, ids.shape[1]) < example.prompt_length
        for which in (True, False):
            parts[which] += losses[is_prompt == which].tolist()
    return tuple(sum(parts[which]) / len(parts[which]) for which in (True, False))


@pytest.mark.slow
def test_the_loss_of_a_masked_prompt_is_that_of_the_models_own_logits(scaled, tmp_path):
    prompt, completion = stock_losses(scaled)
    for plw in (0.0, 1e-9, 0.5):
        first = run(scaled, tmp_path / str(plw), plw=plw, learning_rate=1e-12, monitor_prompt_loss=True)[0][0]
        assert first["prompt_loss"] == pytest.approx(prompt, rel=1e-5)
        assert first["completion_loss"] == pytest.approx(completion, rel=1e-5)


def test_log_likelihoods_with_shared_contexts_are_those_of_the_stock_forward_pass(scaled):
    model, tokenizer = prepared(scaled)
    texts = ["the cat sees a dog under the tree.", "the cat sees a dog over the river.", "the cat sees a dog or two."]
    tokens = [tokenizer("stone and water. " * 8 + text)["input_ids"] for text in texts]
    found = SharedContexts(model, batch_size=2).score(make_requests(tokens, [5, 6, 4]))
    for ids, count, (score, _) in zip(tokens, (5, 6, 4), found, strict=True):
        with torch.no_grad():
            log_p = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        whole = log_p.gather(1, torch.tensor(ids)[1:, None])[-count:].sum().item()
        assert score == pytest.approx(whole, rel=1e-4)


def test_texts_are_the_greedy_ones_of_the_stock_forward_pass(scaled):
    model, tokenizer = prepared(scaled)
    prompt = "the cat sees a dog under the tree, " * 4
    ids = tokenizer(prompt)["input_ids"]
    with torch.no_grad():
        for _ in range(6):
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    written = ids[-6:]
    found = generate_texts(model, tokenizer, [prompt, prompt + "and"], max_new_tokens=6, batch_size=2)[0]
    assert found.text == tokenizer.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("name", NAMES)
def test_whether_a_model_changes_what_its_head_gives_is_seen_without_its_weights(name, tmp_path):
    model = load_model({"path": str(tiny_scaled_model(tmp_path / "model", name))})
    assert returns_what_its_head_gives(model) is (name in ("llama", "mistral"))
    ids = torch.tensor([[1, 5, 6]])
    assert torch.isfinite(model(input_ids=ids).logits).all()  # nothing that was looked through stays changed

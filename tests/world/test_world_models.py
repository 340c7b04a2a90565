"""Tokenizer, pretraining and judge of the generated world."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.data.template import format_prompt
from plw.errors import InputError
from plw.evaluation.alpaca_eval import DEFAULT_PATTERNS
from plw.evaluation.pandalm import parse_verdict
from plw_world import judge_training as judging
from plw_world.files import world_files
from plw_world.pretraining import Pretraining, cosine_factor, new_model, pack, pretrain, pretraining_batches
from plw_world.sizes import TEST_SIZE
from plw_world.tokenizer import train_tokenizer
from transformers import AutoTokenizer

PROMPT_FILE = Path(__file__).parents[2] / "config" / "judges" / "demo_alpaca_eval.txt"
TINY = Pretraining(hidden_size=16, layers=1, heads=2, intermediate_size=32, tokens=6000, batch_tokens=256,
                   sequence_length=64, long_length=128)  # fmt: skip


@pytest.fixture(scope="module")
def files() -> dict:
    return dict(world_files(seed=1, size={**TEST_SIZE, "documents": 400, "judge_train": 60}))


@pytest.fixture(scope="module")
def tokenizer(files):
    texts = [row["text"] for row in files["corpus.jsonl"]]
    texts += [format_prompt(row["instruction"], row["input"]) for row in files["instruct/plain.jsonl"]]
    return train_tokenizer(texts, vocabulary=700, max_length=1024)


@pytest.fixture(scope="module")
def documents(files, tokenizer):
    return tokenizer([row["text"] + "</s>" for row in files["corpus.jsonl"]])["input_ids"]


@given(text=st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_every_text_survives_encoding_and_decoding(text, tokenizer):
    if any(token in text for token in ("<s>", "</s>", "<unk>")):
        return
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


def test_special_tokens_are_those_of_llama_and_there_is_no_padding_token(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.convert_tokens_to_ids(["<unk>", "<s>", "</s>"]) == [0, 1, 2]
    assert loaded.pad_token is None
    assert loaded("a")["input_ids"][0] == 1 and loaded("a</s>")["input_ids"][-1] == 2
    assert 1 not in loaded("a", add_special_tokens=False)["input_ids"]


def test_words_of_the_alpaca_template_are_single_tokens(tokenizer):
    ids = tokenizer(format_prompt("The", "The"))["input_ids"]
    assert len(ids) <= 56  # words, marks and line feeds, each one token


def test_packing_uses_every_document_once_before_any_twice(documents):
    generator = torch.Generator().manual_seed(0)
    total = sum(len(document) for document in documents)
    rows = pack(documents, length=1, rows=total, generator=generator)
    assert (
        rows.flatten().bincount().tolist()
        == torch.tensor([i for document in documents for i in document]).bincount().tolist()
    )


def test_pretraining_spends_its_budget_and_mixes_in_long_sequences(documents):
    batches = pretraining_batches(documents, TINY)
    assert abs(sum(batch.numel() for batch in batches) - TINY.tokens) <= 2 * TINY.batch_tokens
    shapes = [tuple(batch.shape) for batch in batches]
    assert set(shapes) == {(4, 64), (2, 128)}
    half = len(shapes) // 2
    assert abs(shapes[:half].count((2, 128)) - shapes[half:].count((2, 128))) <= 1


def test_learning_rate_warms_up_and_falls_to_zero():
    factors = [cosine_factor(step, steps=100, warmup_ratio=0.1) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.0)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_the_same_seed_pretrains_bitwise_the_same_model(documents, tokenizer):
    torch.set_num_threads(1)
    (model, curve), (again, _) = (pretrain(documents, TINY, vocabulary=len(tokenizer)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.2


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="hiden_size"):
        Pretraining.from_settings({"hiden_size": 3})
    with pytest.raises(InputError, match="epochs"):
        judging.JudgeTraining.from_settings({"epochs": 3})


def test_verdicts_are_what_the_evaluation_parses(files):
    import re

    template = PROMPT_FILE.read_text(encoding="utf-8")
    for pair in files["judge/train.jsonl"]:
        prompt, verdict = judging.render(pair, template)
        assert pair["output_1"].strip() in prompt and pair["output_2"].strip() in prompt
        if pair["judge"] == "pandalm":
            assert parse_verdict(verdict) == (pair["preference"], True)
        else:
            found = [key for key, pattern in DEFAULT_PATTERNS.items() if re.search(pattern, verdict)]
            assert found == [pair["preference"]]


def test_the_judge_is_trained_on_its_verdict_and_on_the_quality_of_each_answer(files, tokenizer):
    template = PROMPT_FILE.read_text(encoding="utf-8")
    pairs = files["judge/train.jsonl"][:6]
    examples = judging.encode(pairs, template, tokenizer)
    ids, labels = judging.judge_batches(examples, judging.JudgeTraining(tokens=1, batch_tokens=10**6))[0]
    wanted = sorted(
        (*(str(round(9 * quality)) for quality in pair["qualities"]), judging.render(pair, template)[1])
        for pair in pairs
    )
    found = []
    for row in labels:
        trained = row[row != -100]
        assert trained[-1] == tokenizer.eos_token_id
        marks = [tokenizer.decode([token]) for token in trained[:2].tolist()]
        found.append((*marks, tokenizer.decode(trained[2:-1].tolist())))
    assert sorted(found) == wanted
    assert ids.shape == labels.shape


def test_the_verdict_is_asked_for_from_the_end_of_the_second_answer_on_where_settings_say_so(files, tokenizer):
    template = PROMPT_FILE.read_text(encoding="utf-8")
    pairs = files["judge/train.jsonl"][:20]
    plain = judging.encode(pairs, template, tokenizer)
    throughout = judging.encode(pairs, template, tokenizer, verdict_throughout=True)
    for pair, before, example in zip(pairs, plain, throughout, strict=True):
        assert (example.prompt, example.verdict, example.marks[:2]) == (before.prompt, before.verdict, before.marks)
        positions, words = zip(*example.marks[2:], strict=True)
        assert list(positions) == list(range(before.marks[1][0] + 1, len(before.prompt) - 1))
        (word,) = set(words)
        assert word in example.verdict
        other = {**pair, "preference": 3 - pair["preference"]} if pair["preference"] else None
        if other:  # the word is what makes this verdict differ from the other one
            (swapped,) = judging.encode([other], template, tokenizer)
            assert word not in swapped.verdict


def test_quality_is_read_right_after_an_answer(files, tokenizer):
    template = PROMPT_FILE.read_text(encoding="utf-8")
    for pair in files["judge/train.jsonl"][:30]:
        (example,) = judging.encode([pair], template, tokenizer)
        for (position, _), key in zip(example.marks, ("output_1", "output_2"), strict=True):
            seen = tokenizer.decode(example.prompt[:position], skip_special_tokens=True)
            assert seen.rstrip("\n").endswith(pair[key].strip())


def test_accuracy_counts_both_orders(files, tokenizer):
    model = new_model(TINY, vocabulary=len(tokenizer))
    pairs = files["judge/heldout.jsonl"][:20]
    report = judging.held_out_accuracy(model, tokenizer, pairs, PROMPT_FILE.read_text(encoding="utf-8"))
    for scores in report.values():
        assert scores["accuracy_both_orders"] <= min(scores["accuracy"], scores["accuracy_swapped"])


@pytest.mark.parametrize(
    ("measured", "seeds", "chosen"),
    [
        (
            [(0.0, 0.4), (0.4, 0.35), (0.9, 0.9)],
            [7, 8],
            8,
        ),  # the first looks at the position alone, the second compares
        ([(0.0, 0.4), (0.25, 0.2), (0.1, 0.9)], [7, 8, 9], 8),  # none compares in both forms: the best of them
    ],
    ids=["until one compares", "else the best"],
)
def test_judges_are_trained_until_one_compares_else_the_best_is_taken(
    monkeypatch, files, tokenizer, measured, seeds, chosen
):
    scores = iter(measured)
    forms = ("alpaca_eval", "pandalm")
    monkeypatch.setattr(
        judging,
        "held_out_accuracy",
        lambda *_: {form: {"accuracy_both_orders": x} for form, x in zip(forms, next(scores), strict=True)},
    )
    trained = []
    monkeypatch.setattr(
        judging, "train_judge", lambda model, _, settings: trained.append((model, settings.seed)) or [{"seconds": 1.0}]
    )
    settings = judging.JudgeTraining(seed=7, attempts=3, least_both_orders=0.3)
    pairs, template = files["judge/train.jsonl"][:2], PROMPT_FILE.read_text(encoding="utf-8")
    model, _, records = judging.train_comparing_judge(object, tokenizer, pairs, pairs, template, settings)
    assert [seed for _, seed in trained] == [record["seed"] for record in records] == seeds
    assert [record["seed"] for record in records if record["chosen"]] == [chosen]
    assert model is dict(map(reversed, trained))[chosen]


def test_a_judge_needs_an_attempt():
    with pytest.raises(InputError, match="at least one attempt"):
        judging.JudgeTraining.from_settings({"attempts": 0})


@pytest.mark.slow
def test_programs_make_world_tokenizer_model_and_judge(tmp_path):
    import make_world
    import pretrain_model
    import train_judge
    import train_tokenizer

    world, prompt = tmp_path / "world", str(PROMPT_FILE)
    size = {"documents": 500, "judge_train": 40, "judge_heldout": 10}
    make_world.main(["--tiny", "--size", json.dumps(size), "--out", str(world)])
    corpus, tokenizer = ["--corpus", f"{world}/corpus.jsonl"], f"{tmp_path}/tokenizer"
    texts = ["--instructions", f"{world}/instruct/plain.jsonl", "--prompts", prompt]
    train_tokenizer.main([*corpus, *texts, "--vocabulary", "600", "--out", tokenizer])
    shape = {"hidden_size": 16, "layers": 1, "heads": 2, "tokens": 4000, "sequence_length": 64}
    settings = ["--tokenizer", tokenizer, "--pretraining", json.dumps(shape)]
    pretrain_model.main([*corpus, *settings, "--out", f"{tmp_path}/model"])
    pairs = ["--data", f"{world}/judge/train.jsonl", "--heldout", f"{world}/judge/heldout.jsonl"]
    start = ["--tokenizer", tokenizer, "--init", f"{tmp_path}/model", "--alpaca-eval-prompt", prompt]
    train_judge.main([*pairs, *start, "--tokens", "5000", "--out", f"{tmp_path}/judge"])
    written = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "pretraining.csv", "pretrain.json"} <= written
    record = json.loads((tmp_path / "judge" / "judge.json").read_text())
    assert set(record["heldout"]) == {"alpaca_eval", "pandalm"}
    assert record["heldout"] in [attempt["heldout"] for attempt in record["attempts"]]

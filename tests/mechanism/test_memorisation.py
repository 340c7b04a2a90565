"""Training prompts that a model completes, compared with what it was trained on."""

import pytest
import sacrebleu
from plw.data.template import format_prompt
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.mechanism.memorisation import Example, measure_memorisation, sample_examples
from plw.models.generation import Generation, generate_texts
from plw.models.loading import load_model
from tiny import tiny_instances, tiny_model

INSTANCES = tiny_instances(40, seed=3)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    source = {"path": str(tiny_model(tmp_path_factory.mktemp("model")))}
    return load_model(source).eval(), load_tokenizer(source)


def measured(loaded, examples, *, max_new_tokens=8, batch_size=4):
    return measure_memorisation(*loaded, examples, max_new_tokens=max_new_tokens, batch_size=batch_size)


def test_sampled_prompts_differ_and_keep_their_completion():
    examples, different = sample_examples(INSTANCES, prompts=20, seed=42)
    pairs = {format_prompt(row["instruction"], row["input"]): row["output"] for row in reversed(INSTANCES)}
    assert different == len(pairs)
    assert len({example.prompt for example in examples}) == 20
    assert all(pairs[example.prompt] == example.reference for example in examples)


def test_of_rows_with_the_same_prompt_the_first_counts():
    rows = [
        {"instruction": "name", "input": "", "output": "first"},
        {"instruction": "name", "input": "", "output": "second"},
        {"instruction": "name", "input": "list", "output": "third"},
    ]
    examples, different = sample_examples(rows, prompts=10, seed=1)
    assert different == 2
    assert {example.reference for example in examples} == {"first", "third"}


def test_the_sample_depends_on_the_seed_alone():
    def sample(seed):
        return sample_examples(INSTANCES, prompts=10, seed=seed)[0]

    assert sample(42) == sample(42)
    assert sample(42) != sample(43)


def test_the_samples_are_what_the_model_writes_greedily(loaded):
    examples, _ = sample_examples(INSTANCES, prompts=6, seed=42)
    texts = generate_texts(*loaded, [example.prompt for example in examples], max_new_tokens=8, batch_size=1)
    assert measured(loaded, examples)["samples"] == [
        {"prompt": example.prompt, "reference": example.reference, "output": text.text}
        for example, text in zip(examples[:5], texts[:5], strict=True)
    ]


@pytest.fixture
def recited(loaded, monkeypatch):
    """Measure a model that writes what `change` makes of each completion."""

    def measure(change):
        examples, _ = sample_examples(INSTANCES, prompts=12, seed=42)
        texts = [Generation(change(example.reference), tokens=3, finished=True) for example in examples]
        monkeypatch.setattr("plw.mechanism.memorisation.generate_texts", lambda *_, **__: texts)
        return measured(loaded, examples), texts, examples

    return measure


def test_a_model_that_recites_everything_scores_100(recited):
    result, _, _ = recited(str)
    assert result["bleu"] == pytest.approx(100)
    assert result["exact"] == 1


def test_the_score_is_that_of_sacrebleus_own_defaults_with_their_signature(recited):
    result, texts, examples = recited(lambda text: text.upper() if len(text) % 2 else text.removesuffix("e") + ".")
    expected = sacrebleu.corpus_bleu([text.text for text in texts], [[example.reference for example in examples]])
    assert 10 < expected.score < 90
    assert result["bleu"] == pytest.approx(expected.score)
    assert result["exact"] == 0
    version = sacrebleu.__version__
    assert result["signature"] == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"


def test_no_more_is_generated_than_the_longest_completion_has(loaded):
    examples = [Example(format_prompt("say"), "the dog"), Example(format_prompt("name"), "a cat")]
    tokens = max(len(loaded[1](e.reference, add_special_tokens=False)["input_ids"]) for e in examples)
    assert measured(loaded, examples, max_new_tokens=50)["max_new_tokens"] == tokens + 1
    assert measured(loaded, examples, max_new_tokens=1)["max_new_tokens"] == 1


def test_prompts_that_leave_no_room_in_the_context_are_left_out_and_counted(loaded):
    short, long = Example(format_prompt("say"), "the dog"), Example(format_prompt("stone " * 1200), "a cat")
    result = measured(loaded, [long, short])
    assert (result["prompts"], result["too_long"]) == (1, 1)
    assert [sample["reference"] for sample in result["samples"]] == ["the dog"]
    with pytest.raises(InputError, match="fits"):
        measured(loaded, [long])

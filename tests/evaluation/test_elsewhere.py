"""Multiple choice that another machine answers: the same digits as the harness with the model at hand."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from benchmark_samples import write_benchmarks
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.evaluation.elsewhere import RecordedAnswers, recorded_requests
from plw.evaluation.harness import run_benchmark
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.shared_contexts import SharedContexts, make_requests
from plw.models.loading import load_model
from tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "config" / "harness"
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))
EVALUATION = {"shared_contexts": True}


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    source = {"path": str(tiny_model(folder / "model"))}
    return write_benchmarks(folder / "data", rows=6), load_model(source).eval(), load_tokenizer(source)


def asked_and_answered(name, setting, **changes):
    sources, model, tokenizer = setting
    entry = {"name": name, **REGISTRY[name], "source": sources[name], **changes}
    asked = recorded_requests(entry, model, tokenizer, folder=DEFINITIONS, evaluation=EVALUATION)
    asked = json.loads(json.dumps(asked))  # as it travels
    contexts = SharedContexts(model, batch_size=4)
    answers = contexts.score(make_requests(asked["tokens"], asked["continuations"]))
    return entry, asked, json.loads(json.dumps(answers))


def here(entry, setting):
    model = HarnessModel(*setting[1:], batch_size=4, shared_contexts=True)
    return run_benchmark(entry, model, folder=DEFINITIONS, evaluation=EVALUATION)


@pytest.mark.parametrize("name", ["arc_challenge", "piqa", "truthfulqa_mc2", "winogrande"])
def test_scores_of_answers_from_elsewhere_are_the_harnesss_own_to_the_last_digit(name, setting):
    entry, asked, answers = asked_and_answered(name, setting)
    taken = run_benchmark(entry, RecordedAnswers(asked, answers), folder=DEFINITIONS, evaluation=EVALUATION)
    expected = here(entry, setting)
    assert taken == expected and len(taken["items"]) == 6
    assert "log_likelihoods" in taken["items"][0]


def test_answers_to_other_requests_are_refused(setting):
    entry, asked, answers = asked_and_answered("piqa", setting)
    with pytest.raises(InputError, match="no longer those"):
        run_benchmark(entry | {"limit": 5}, RecordedAnswers(asked, answers), folder=DEFINITIONS, evaluation=EVALUATION)
    with pytest.raises(InputError, match="Answers are missing"):
        run_benchmark(entry, RecordedAnswers(asked, answers[1:]), folder=DEFINITIONS, evaluation=EVALUATION)


def test_texts_and_contexts_read_anew_cannot_be_answered_elsewhere(setting):
    sources, model, tokenizer = setting
    entry = {"name": "wmt14_en_fr", **REGISTRY["wmt14_en_fr"], "source": sources["wmt14_en_fr"]}
    with pytest.raises(InputError, match="Only multiple choice"):
        recorded_requests(entry, model, tokenizer, folder=DEFINITIONS, evaluation=EVALUATION)
    with pytest.raises(InputError, match="shared contexts"):
        recorded_requests(entry, model, tokenizer, folder=DEFINITIONS, evaluation={})


def test_a_batch_that_does_not_fit_the_memory_is_halved_and_scores_the_same(setting):
    _, asked, answers = asked_and_answered("truthfulqa_mc2", setting)
    contexts = SharedContexts(setting[1], batch_size=4)
    score, sizes = contexts._score_groups, []

    def with_little_memory(groups, prefix):
        sizes.append(len(groups))
        if len(groups) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return score(groups, prefix)

    contexts._score_groups = with_little_memory
    found = contexts.score(make_requests(asked["tokens"], asked["continuations"]))
    assert sizes[:3] == [4, 2, 1] and contexts.batch_size == 1
    assert [value for value, _ in found] == pytest.approx([value for value, _ in answers], abs=1e-5)
    contexts._score_groups = lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(InputError, match="does not fit into the device's memory"):
        contexts.score(make_requests(asked["tokens"], asked["continuations"]))

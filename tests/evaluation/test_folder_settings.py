"""What a model folder brings, in evaluation, judging and memorisation: refused by name, or without a say."""

import json

import pytest
import yaml
from benchmark_samples import write_benchmarks
from checkout import ROOT
from odd_models import BROKEN, OVERRIDDEN, broken_model, overridden_model
from plw.errors import InputError
from plw.evaluation.judge import Judge
from plw.evaluation.measuring import evaluate_model
from plw.mechanism.memorisation import memorisation
from tiny import tiny_instances, tiny_model

HARNESS = ROOT / "config" / "harness"
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))
EVALUATION = {"batch_size": 8, "shared_contexts": True, "device": "cpu"}
PROMPTS = ["Which is best, the stone or the river?", "the cat sees a dog", "say no"]
INSTANCES = tiny_instances(6, seed=2, longest=8)
# Tokens that are no stops, ends and fillings are seen best in texts; of the tokenizer's faults two are enough here.
SEEN = [name for name in OVERRIDDEN if name not in ("no end-of-sequence", "dropout", "left sides", "add_eos_token")]
REFUSED = ["three tensors missing", "a Git LFS pointer", "tokens without an embedding", "a missing shard"]


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    sources = write_benchmarks(tmp_path_factory.mktemp("data"), rows=3)
    changes = {"max_new_tokens": 6, "num_beams": 1, "repetition_penalty": 1.0}
    found = [{"name": name, **REGISTRY[name], "source": sources[name]} for name in ("piqa", "wmt14_en_fr")]
    return [*found, {"name": "alpaca_eval", **REGISTRY["alpaca_eval"], "source": sources["alpaca_eval"], **changes}]


def measured(folder, entries, run_dir, *, shared):
    """Items and texts of the harness and the candidates, what a judge says, and what is recited."""
    settings = EVALUATION | {"shared_contexts": shared}
    index = evaluate_model({"path": str(folder)}, entries, settings, run_dir=run_dir, harness_folder=HARNESS)
    results = {name: json.loads((run_dir / one["file"]).read_text()) for name, one in index["benchmarks"].items()}
    judge = {"source": {"path": str(folder)}, "max_new_tokens": 5, "batch_size": 2, "device": "cpu"}
    with Judge(judge, run_dir / "judge") as asked:
        answers = asked.answers(PROMPTS, readable=lambda answer: True)
    recited = memorisation(
        {"path": str(folder)}, INSTANCES, {"max_new_tokens": 8}, dtype="float32", device="cpu", batch_size=4
    )
    told = [one.get("overridden") for one in results.values()]
    return (
        [one.get("items", one.get("outputs")) for one in results.values()],
        answers,
        recited,
        told,
        asked.overridden(),
    )


@pytest.fixture(scope="module")
def plain(entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    tiny_model(folder / "model")
    return {
        shared: measured(folder / "model", entries, folder / str(shared), shared=shared) for shared in (True, False)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_only_the_studys_settings_decide_what_a_model_scores_says_and_recites(name, tmp_path, entries, plain):
    folder = overridden_model(tmp_path / "model", name)
    shared = len(name) % 2 == 0  # both ways of the harness, in turn
    found = measured(folder, entries, tmp_path / "run", shared=shared)
    assert found[:3] == plain[shared][:3]
    expected = {
        file: {key: value for key, value in changes.items() if key != "model_max_length"}
        for file, changes in OVERRIDDEN[name][1].items()
    }
    expected = {file: changes for file, changes in expected.items() if changes}
    assert found[4] == expected
    assert found[3] == [expected or None] * len(entries)


def test_of_an_ordinary_model_nothing_is_told(plain):
    assert plain[True][3] == [None] * 3 and plain[True][4] == {}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_folder_is_neither_scored_nor_asked_nor_recited(name, tmp_path, entries):
    folder = broken_model(tmp_path / "model", name)
    source, run_dir = {"path": str(folder)}, tmp_path / "run"
    with pytest.raises(InputError, match=BROKEN[name][1]):
        evaluate_model(source, entries, EVALUATION, run_dir=run_dir, harness_folder=HARNESS)
    with (
        pytest.raises(InputError, match=BROKEN[name][1]),
        Judge({"source": source, "max_new_tokens": 5}, run_dir) as judge,
    ):
        judge.answers(PROMPTS, readable=lambda answer: True)
    with pytest.raises(InputError, match=BROKEN[name][1]):
        memorisation(source, INSTANCES, {}, dtype="float32", device="cpu", batch_size=4)
    assert [path for path in run_dir.rglob("*") if path.is_file()] == []

"""Requests that are made once for a sweep: the digits are those of requests made anew, and no damage is believed."""

import json
from pathlib import Path

import pytest
import yaml
from benchmark_samples import write_benchmarks
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from plw.data.tokenizers import load_tokenizer, tokenizer_digest
from plw.evaluation.harness import run_benchmark
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.measuring import DEFAULTS, specification_hash
from plw.evaluation.request_cache import KeptRequests, RequestCache, Requests, _sum
from plw.models.loading import load_model
from tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "config" / "harness"
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))
NAMES = [name for name, entry in REGISTRY.items() if entry["framework"] == "harness"]
CHANGES = {"arc_challenge": {"shots": 3}, "winogrande": {"limit": 3}, "piqa": {"limit": 3}}


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    sources = write_benchmarks(folder / "data", rows=4)
    models = []
    for seed in (0, 1):
        source = {"path": str(tiny_model(folder / f"model{seed}", seed=seed))}
        models.append((load_model(source).eval(), load_tokenizer(source)))
    return sources, models


def entry_of(name: str, sources: dict) -> dict:
    entry = {"name": name, **REGISTRY[name], "source": sources[name]} | CHANGES.get(name, {})
    return entry | ({"max_new_tokens": 8} if entry["type"] == "GS" else {})


def score(entry: dict, loaded, kept: KeptRequests | None, **options) -> dict:
    model = HarnessModel(*loaded, batch_size=4, **{"shared_contexts": True} | options)
    return run_benchmark(entry, model, folder=DEFINITIONS, evaluation={}, kept=kept)


def kept_for(entry: dict, folder: Path, loaded, *, add_bos: bool = False) -> KeptRequests:
    specification = specification_hash(entry, DEFAULTS, DEFINITIONS)
    return RequestCache(folder, loaded[1], add_bos=add_bos).of(entry["name"], specification)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_second_model_gets_its_scores_to_the_last_digit_without_a_prompt_built_or_a_text_tokenized(
    name, setting, tmp_path, monkeypatch
):
    sources, (first, second) = setting
    entry = entry_of(name, sources)
    expected = [score(entry, loaded, None) for loaded in (first, second)]
    kept = kept_for(entry, tmp_path, first)
    assert score(entry, first, kept) == expected[0]
    assert kept_for(entry, tmp_path, second) == kept and kept.file.is_file()
    monkeypatch.setattr(ConfigurableTask, "fewshot_context", lambda *a, **k: pytest.fail("a prompt is built"))
    monkeypatch.setattr(type(second[1]), "encode", lambda *a, **k: pytest.fail("a text is tokenized"))
    monkeypatch.setattr(HarnessModel.__base__, "tok_batch_encode", lambda *a, **k: pytest.fail("texts are tokenized"))
    assert score(entry, second, kept) == expected[1] != expected[0]


def test_lm_evals_own_scoring_reads_kept_requests_as_well(setting, tmp_path):
    sources, (first, second) = setting
    entry = entry_of("piqa", sources)
    kept = kept_for(entry, tmp_path, first)
    score(entry, first, kept)
    plain = {"shared_contexts": False}
    assert score(entry, second, kept, **plain) == score(entry, second, None, **plain)


def test_a_cached_context_that_is_one_token_short_is_not_believed(setting, tmp_path):
    sources, (first, second) = setting
    entry = entry_of("arc_challenge", sources)
    kept = kept_for(entry, tmp_path, first)
    expected = score(entry, second, None)
    score(entry, first, kept)
    content = json.loads(kept.file.read_text())
    content["requests"]["contexts"] = [ids[1:] for ids in content["requests"]["contexts"]]
    kept.file.write_text(json.dumps(content))
    assert kept.read() is None
    assert score(entry, second, kept) == expected  # made anew, and the file with it
    assert kept.read() is not None
    content["sum"] = _sum(content["requests"])  # with a sum that fits it would be taken, and change every score
    kept.file.write_text(json.dumps(content))
    wrong = score(entry, second, kept)
    assert wrong["prompt_hash"] == expected["prompt_hash"]
    for left, right in zip(wrong["items"], expected["items"], strict=True):
        assert left["log_likelihoods"] != pytest.approx(right["log_likelihoods"], abs=2e-4, rel=1e-5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sum": "x"}', '{"sum": 1, "requests": {}}'])
def test_a_damaged_file_of_requests_counts_as_absent(content, setting, tmp_path):
    kept = kept_for(entry_of("piqa", setting[0]), tmp_path, setting[1][0])
    kept.file.parent.mkdir(exist_ok=True)
    kept.file.write_text(content)
    assert kept.read() is None


def test_rows_settings_and_tokenizers_have_their_own_files_and_weights_do_not(setting, tmp_path):
    sources, (first, second) = setting
    entry = entry_of("piqa", sources)
    file = kept_for(entry, tmp_path, first).file
    assert kept_for(entry, tmp_path, second).file == file
    assert kept_for(entry | {"limit": 2}, tmp_path, first).file != file
    assert kept_for(entry, tmp_path, first, add_bos=True).file != file
    other = load_tokenizer({"path": second[0].config._name_or_path})
    assert tokenizer_digest(other) == tokenizer_digest(first[1])
    other.add_tokens(["zebra"])
    assert tokenizer_digest(other) != tokenizer_digest(first[1])


def test_requests_of_another_kind_or_without_token_ids_are_not_kept(tmp_path):
    kept = KeptRequests(tmp_path / "requests.json")
    kept.write(Requests([(0, 0, "loglikelihood_rolling", ("text",))], {}, {}))
    kept.write(Requests([(0, 0, "loglikelihood", ("text", " end"))], {}, {}))
    assert not kept.file.exists()
    whole = Requests([(0, 0, "loglikelihood", ("text", " end"))], {("text", " end"): ([5, 6], [7])}, {})
    kept.write(whole)
    assert kept.read() == whole


def test_generation_arguments_come_back_as_lm_eval_made_them(tmp_path):
    made = Instance("generate_until", {}, ("ask", {"until": ["\n\n"], "max_gen_toks": 8}), 0, ("task", 0, 1))
    whole = Requests([(made.doc_id, made.idx, made.request_type, made.args)], {}, {"ask": [4, 5]})
    kept = KeptRequests(tmp_path / "requests.json")
    kept.write(whole)
    found = kept.read()
    assert found == whole and found.instances[0][3] == made.args

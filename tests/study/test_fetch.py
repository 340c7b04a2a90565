"""Fetching: the real client libraries and the real program against a local Hub; every way in which it can fail."""

import contextlib
import hashlib
import json
import time
from dataclasses import replace

import pytest
from checkout import ROOT
from hub_models import add_models, pickled, sharded
from hub_repositories import add_data, alpaca_rows, lines
from hub_server import ACCEPTED, STRANGER, Fault
from plw.errors import InputError, InputErrors
from plw.study import fetching
from plw.study.configuration import load_configuration
from plw.study.fetching import Need, fetch_sources, needs_of, survey
from plw.study.hub import cached_file, kept_listing, list_files, switched_off
from plw.study.pretrained import load_pretrained
from plw.study.runs import list_runs
from plw.study.sources import load_registry, read_rows

REGISTRY = load_registry(ROOT / "config" / "sources.yaml")
COMMIT = "e" * 40
ROWS = {"hub": "o/rows", "revision": COMMIT}
BIG = lines(alpaca_rows(4000))  # some 0.4 MB: several pieces


def quiet(_line: str) -> None:
    pass


def local_study(hub, name: str) -> dict:
    """A study, its addresses replaced by some on the local server."""
    study = load_configuration({"study": name}, root=ROOT)
    hub.plain |= {
        "/alpaca.json": json.dumps(alpaca_rows(5)).encode(),
        "/prompts.json": json.dumps(alpaca_rows(3)).encode(),
    }

    for registry, file in (("datasets", "alpaca"), ("benchmarks", "prompts")):
        for entry in study[registry].values():
            if "url" in entry.get("source", {}):
                content = hub.plain[f"/{file}.json"]
                digest = hashlib.sha256(content).hexdigest()
                entry["source"] = {"url": f"{hub.endpoint}/{file}.json", "sha256": digest}
    return study


def study_needs(hub, name: str) -> list[Need]:
    """What it needs from the network."""
    study = local_study(hub, name)
    return needs_of(study, list_runs(study))


@pytest.fixture
def real(hub, tmp_path):
    add_data(hub, REGISTRY)
    add_models(hub, REGISTRY, tmp_path / "made")
    return hub


def data(hub, files=None, *, name="o/rows", gated=False) -> Need:
    hub.add(name, files or {"train.jsonl": BIG}, kind="dataset", commit=COMMIT, gated=gated)
    return Need("datasets.rows.source", "data", "rows", {"hub": name, "revision": COMMIT}, ("train",))


def model(hub, files, *, name="o/model", gated=False) -> Need:
    hub.add(name, files, commit=COMMIT, gated=gated)
    return Need("ptlms.m.source", "model", "m", {"hub": name, "revision": COMMIT})


def refused(needs) -> str:
    with pytest.raises((InputError, InputErrors)) as caught:
        fetch_sources(needs, say=quiet)
    return str(caught.value)


# --- everything that the studies name ---------------------------------------------------------------------------------
def test_all_that_the_paper_needs_is_fetched_and_nothing_else(real, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    record = fetch_sources(study_needs(real, "paper"), say=quiet)
    fetched = {entry.get("hub") or entry["url"]: [file["name"] for file in entry.get("files", [])] for entry in record}
    small = ("smollm2_135m", "smollm2_360m", "qwen2_5_7b_instruct")  # the study smol's
    asked = {entry["hub"] for name, entry in REGISTRY.items() if "hub" in entry and name not in small}
    assert asked <= set(fetched)
    llama = fetched["meta-llama/Llama-2-7b-hf"]
    assert {"config.json", "tokenizer.json", "model.safetensors.index.json"} <= set(llama)
    assert sum(name.endswith(".safetensors") for name in llama) > 1
    everything = [name for names in fetched.values() for name in names]
    assert not [name for name in everything if name.endswith((".pt", ".pth", ".py", ".onnx"))]
    assert [name for name in everything if name.endswith(".bin")] == [
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
    ]
    assert not [name for name in fetched["wmt/wmt14"] if "train" in name]
    downloads = {request.path.rpartition("/")[2] for request in real.requests if request.host == "cdn"}
    assert not [name for name in downloads if name.startswith("train") and "0000" in name and "of-00003" in name]
    mine = next(entry for entry in record if entry.get("hub") == "wmt/wmt16")
    assert mine["commit"] == REGISTRY["wmt16_de_en"]["revision"]
    assert all(len(file["sha256"]) == 64 and file["bytes"] for file in mine["files"])
    assert {"benchmarks.wmt16_de_en.source", "benchmarks.wmt16_en_ro.source"} <= set(mine["for"])


def test_a_second_fetch_asks_for_no_file_again_and_works_without_the_hub(real, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    needs = study_needs(real, "smol")
    first = fetch_sources(needs, say=quiet)
    asked = {entry.get("hub") for entry in first}
    assert {REGISTRY[name]["hub"] for name in ("smollm2_135m", "smollm2_360m", "qwen2_5_7b_instruct")} <= asked
    real.requests.clear()
    assert fetch_sources(needs, say=quiet) == first
    assert real.requests == []
    with switched_off():
        assert fetch_sources(needs, say=quiet) == first


@pytest.mark.slow
def test_every_source_of_the_paper_is_read_after_the_fetch_as_its_jobs_will_with_the_hub_off(real, monkeypatch):
    from read_sources import check_all, convert

    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    study = local_study(real, "paper")
    needs = needs_of(study, list_runs(study))
    fetch_sources(needs, say=quiet)
    for need in (need for need in needs if need.kind == "model"):
        convert(need)
    real.requests.clear()
    with switched_off():
        found = check_all(needs, study, ROOT / "config" / "harness")
    assert real.requests == []
    assert found["benchmarks.arc_challenge.source"] == {"rows": 4}
    assert found["benchmarks.wmt16_en_ro.source"] == {"rows": 5}  # validation and test
    assert found["benchmarks.alpaca_eval.source"] == {"rows": 4} and found["benchmarks.pandalm.source"] == {"rows": 3}
    assert found["datasets.ultrafeedback.source"] == {"rows_read": 6, "rows_kept": 6}
    assert found["judges.alpaca_eval.source"]["model_type"] == "mixtral"
    assert len(found) == len(needs) == 3 + 4 + 13 + 2


def test_a_study_with_local_sources_needs_nothing():
    study = load_configuration({"study": "test"}, root=ROOT)
    assert needs_of(study, list_runs(study)) == []


def test_few_shot_examples_need_the_training_split_and_zero_shots_do_not():
    study = load_configuration({"study": "paper"}, root=ROOT)
    splits = {need.name: need.splits for need in needs_of(study, list_runs(study)) if need.kind == "benchmark"}
    assert splits["arc_challenge"] == ("test", "train") and splits["winogrande"] == ("validation", "train")
    assert splits["piqa"] == ("validation",) and splits["wmt14_fr_en"] == ("validation", "test")
    assert splits["alpaca_eval"] == ("test",)


# --- refusals, all before the first large file ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, ["licence must be accepted and no token is set", "HF_TOKEN", "/meta-llama/Meta-Llama-3-8B"]),
        (STRANGER, ["licence is not accepted by the owner of this token", "/meta-llama/Llama-2-7b-hf"]),
        ("hf_wrong", ["does not know this token", "settings/tokens"]),
    ],
)
def test_gated_models_are_refused_together_before_any_weights_are_fetched(real, monkeypatch, token, words):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    message = refused(study_needs(real, "paper"))
    for word in [*words, "ptlms.llama_2_7b.source", "ptlms.llama_3_8b.source"]:
        assert word in message
    assert not token or token not in message
    assert not [request for request in real.requests if request.path.endswith(".safetensors")]


def test_no_repository_no_revision_and_no_file_are_told_apart(hub):
    data(hub)
    absent = Need("a", "data", "a", {"hub": "o/nothing", "revision": COMMIT}, ("train",))
    revision = Need("b", "data", "b", {"hub": "o/rows", "revision": "d" * 40}, ("train",))
    file = Need("c", "data", "c", {**ROWS, "file": "other.json"}, ("train",))
    message = refused([absent, revision, file])
    for words in (
        "no such repository, or it is private",
        "no such revision",
        "no such file",
        "Where: a",
        "o/rows/other",
    ):
        assert words in message


def test_a_model_without_weights_or_with_a_missing_part_is_refused(hub, tmp_path):
    files = sharded(tmp_path)
    part = next(name for name in files if name.endswith(".safetensors"))
    assert "part of the weights is missing" in refused([model(hub, {k: v for k, v in files.items() if k != part})])
    bare = {"config.json": files["config.json"]}
    assert "holds no weights" in refused([model(hub, bare, name="o/bare")])


def test_no_network_is_told_once_and_quickly(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    message = refused([data(hub), replace(data(hub, name="o/two"), where="two")])
    assert message.count("cannot be reached") == 1 and "HTTPS_PROXY" in message
    assert time.monotonic() - started < 10


def test_a_server_that_is_broken_is_no_wrong_name(hub):
    need = data(hub)
    hub.faults["train.jsonl"] = Fault(status=503)
    assert "The Hub answered 503" in refused([need])


# --- damaged, cut, slow -----------------------------------------------------------------------------------------------
def test_a_damaged_file_is_fetched_again_and_refused_if_it_stays_so(hub):
    need = data(hub)
    hub.faults["train.jsonl"] = Fault(corrupt=True, times=1)
    assert fetch_sources([need], say=quiet)[0]["files"][0]["bytes"] == len(BIG)
    other = data(hub, {"rows.jsonl": BIG}, name="o/bad")
    hub.faults["rows.jsonl"] = Fault(corrupt=True)
    assert "checksum differs" in refused([other])
    listing = list_files("o/bad", COMMIT, "dataset")
    assert cached_file(listing, "rows.jsonl") is None  # nothing of it is left for a later job


def test_a_large_file_that_was_changed_on_disk_is_mended(hub, tmp_path):
    need = model(hub, sharded(tmp_path / "m"))
    fetch_sources([need], say=quiet)
    listing = kept_listing("o/model", COMMIT, "model")
    name = next(name for name in listing.files if name.endswith(".safetensors"))
    path = cached_file(listing, name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.resolve().write_bytes(bytes(content))
    record = fetch_sources([need], say=quiet)
    assert next(file["sha256"] for file in record[0]["files"] if file["name"] == name) == listing.files[name].sha256
    path.resolve().write_bytes(bytes(content[:100]))  # cut by a crash of the disk
    fetch_sources([need], say=quiet)
    assert path.stat().st_size == listing.files[name].size


def test_a_connection_that_is_cut_once_is_resumed_where_it_stopped(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 14)  # the client keeps whole pieces only
    need = data(hub)
    hub.faults["train.jsonl"] = Fault(cut=100_000, times=1)
    fetch_sources([need], say=quiet)
    assert any(request.range and int(request.range[6:-1]) > 0 for request in hub.requests)
    assert len(list(read_rows(ROWS))) == 4000


def test_a_slow_connection_is_waited_for(hub):
    need = data(hub)
    hub.faults["train.jsonl"] = Fault(delay=0.02)
    fetch_sources([need], say=quiet)
    assert len(list(read_rows(ROWS))) == 4000


# --- the disk, other fetches, the token -------------------------------------------------------------------------------
def test_a_cache_that_cannot_be_written_to_is_told_before_anything_is_fetched(hub, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert "cannot be written to" in refused([data(hub)])


def test_too_small_a_disk_is_told_before_anything_is_fetched(hub, monkeypatch):
    need = data(hub)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    message = refused([need])
    assert "no room" in message and "HF_HOME" in message
    assert not hub.served("resolve-cache")


def test_pickled_weights_are_refused_until_they_are_converted(hub, tmp_path):
    from transformers import AutoModelForCausalLM

    need = model(hub, pickled(tmp_path / "judge"))
    fetch_sources([need], say=quiet)
    with switched_off(), pytest.raises(InputError, match=r"not fetched(.|\n)*safetensors"):
        load_pretrained(AutoModelForCausalLM, need.source, "model", use_safetensors=True)


def test_the_fetched_weights_are_the_ones_that_weight_distance_reads_and_their_name_is_the_commit(hub, tmp_path):
    from plw.mechanism.weight_distance import weight_distance
    from plw.models.fingerprint import model_fingerprint

    need = model(hub, sharded(tmp_path / "m"))
    moving = {**need.source, "revision": "main"}
    assert model_fingerprint(moving) == "o/model@main"
    fetch_sources([need, replace(need, source=moving)], say=quiet)
    hub.requests.clear()
    with switched_off():
        assert weight_distance(moving, need.source).mean_over_tensors == 0
        assert model_fingerprint(moving) == model_fingerprint(need.source) == f"o/model@{COMMIT}"
    assert hub.requests == []


def test_all_refusals_of_a_survey_are_told_at_once(hub):
    with contextlib.suppress(InputErrors):
        survey([data(hub, gated=True)], say=quiet)
    with pytest.raises(InputErrors) as caught:
        survey(
            [data(hub, name="o/one", gated=True), replace(data(hub, name="o/two", gated=True), where="w")], say=quiet
        )
    assert len(caught.value.errors) == 2


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_every_loader_takes_the_converted_weights_of_a_model_that_was_published_pickled(hub, tmp_path, revision):
    """Weights, tokens counted, the distance between two models, and the server that is started for a judge."""
    from completions_server import stand_in
    from plw.data.token_counts import token_counter
    from plw.evaluation.judge import Judge
    from plw.mechanism.weight_distance import weight_distance
    from plw.models.loading import load_model
    from read_sources import convert

    need = model(hub, pickled(tmp_path / "made"), name="o/judge")
    need = replace(need, source={"hub": "o/judge", "revision": revision})
    fetch_sources([need], say=quiet)
    convert(need)
    hub.requests.clear()
    with switched_off():
        assert sum(p.numel() for p in load_model(need.source).parameters()) > 0
        assert weight_distance(need.source, need.source).mean_over_tensors == 0
        assert token_counter(need.source)(["the cat"]) > [0]
        settings = {"source": need.source, "max_new_tokens": 2, "dtype": "float32"}
        with Judge(settings, tmp_path / "here") as judge:
            answers = judge.answers(["cat", "dog"], readable=lambda answer: True)
        settings |= {"backend": "vllm_local_completions", "python": stand_in(tmp_path)}
        with Judge(settings, tmp_path / "served") as judge:
            assert judge.answers(["cat", "dog"], readable=lambda answer: True) == answers
    assert hub.requests == []

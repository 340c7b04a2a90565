"""Sources: names, checks, files and rows; nothing here touches the network."""

import gzip
import json

import pytest
from checkout import ROOT
from plw.errors import InputError
from plw.study.pretrained import pretrained_location
from plw.study.sources import (
    COMMIT,
    PLACES,
    load_registry,
    local_files,
    read_rows,
    resolve_source,
)

REGISTRY = load_registry(ROOT / "config" / "sources.yaml")
COMMIT_OF_NOTHING = "0123456789abcdef0123456789abcdef01234567"


def write(path, rows, compress=False):
    text = "\n".join(json.dumps(row) for row in rows).encode()
    path.write_bytes(gzip.compress(text) if compress else text)
    return path


def test_registry_has_the_nineteen_rows_of_table_6_in_its_order():
    printed = [
        "Transformers, Apache 2.0",
        "Stanford Alpaca, Apache 2.0",
        "AlpacaDataCleaned, Apache 2.0",
        "Ultrafeedback Binarized Cleaned, MIT",
        "databricks-dolly-15k, CC BY-SA 3.0",
        "LLaMA 1, LLaMA License",
        "LLaMA 2, LLaMA 2 Community License",
        "LLaMA 3, LLaMA 3 Community License",
        "Mixtral 8x7B, Apache 2.0",
        "EleutherAI's LM Evaluation Harness, MIT",
        "AlpacaEval 1, Apache 2.0",
        "AlpacaEval Dataset, CC BY-NC 4.0",
        "PandaLM, Apache 2.0",
        "ARC Challenge, CC BY-SA 4.0",
        "PIQA, AFL 3.0",
        "TruthfulQA, Apache 2.0",
        "WinoGrande, Apache 2.0",
        "WMT 14, No License",
        "WMT 16, No License",
    ]
    rows = [f"{entry['resource']}, {entry['licence']}" for entry in REGISTRY.values() if entry.get("paper")]
    assert rows == printed


def test_every_registry_entry_says_what_it_is_and_where_it_comes_from():
    allowed = {
        "resource",
        "paper",
        "kind",
        "repository",
        "revision",
        "other_revisions",
        "licence",
        "application",
    }
    allowed |= {"homepage", "hub", "config", "split", "file", "url", "sha256"}
    for name, entry in REGISTRY.items():
        assert {"resource", "kind", "licence", "application", "homepage", "revision"} <= set(entry), name
        assert set(entry) <= allowed, name
        assert entry["kind"] in {"code", "data", "model", "judge", "benchmark"}, name
        assert ("repository" in entry) if entry["kind"] == "code" else any(place in entry for place in PLACES), name


def test_registry_revisions_are_full_commits_but_for_what_is_marked_unpinned():
    lines = (ROOT / "config" / "sources.yaml").read_text(encoding="utf-8").splitlines()
    moving = [line for line in lines if line.strip().startswith("revision: main")]
    assert all("# unpinned:" in line for line in moving)
    commits = [entry["revision"] for entry in REGISTRY.values() if entry["revision"] != "main"]
    assert len(commits) == len(REGISTRY) - len(moving)
    assert all(COMMIT.fullmatch(commit) for commit in commits)


def test_registry_addresses_hold_the_commit_that_the_entry_names():
    entries = [entry for entry in REGISTRY.values() if "url" in entry]
    assert len(entries) >= 3
    assert all(f"/{entry['revision']}/" in entry["url"] for entry in entries)


def test_every_loadable_registry_entry_resolves_by_name():
    loadable = [name for name, entry in REGISTRY.items() if any(place in entry for place in PLACES)]
    assert len(loadable) >= 20
    for name in loadable:
        source = resolve_source(name, REGISTRY)
        assert set(source) <= {"hub", "revision", "config", "split", "file", "url", "sha256", "path"}


def test_a_name_resolves_to_its_place_without_the_descriptive_keys():
    source = resolve_source("databricks_dolly_15k", REGISTRY)
    assert source["hub"] == "databricks/databricks-dolly-15k"
    assert set(source) == {"hub", "revision", "split"}


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(InputError) as caught:
        resolve_source("databriks_dolly", REGISTRY, where="datasets.dolly.source")
    assert 'did you mean "databricks_dolly_15k"?' in str(caught.value)
    assert "datasets.dolly.source" in str(caught.value)


def test_a_program_cannot_be_loaded_as_data():
    with pytest.raises(InputError, match="documents a version"):
        resolve_source("transformers", REGISTRY)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "exactly one of"),
        ({"path": "a", "hub": "b/c"}, "exactly one of"),
        ({"path": "a", "revision": "1"}, "unknown key"),
        ({"hub": "b/c"}, "needs a revision"),
        ({"url": "http://example.org/a.json"}, "https"),
        ({"url": "https://example.org/main/a.json"}, "not pinned"),
        (["a"], "name or a mapping"),
    ],
)
def test_a_wrong_source_is_refused_with_a_message(source, message):
    with pytest.raises(InputError, match=message):
        resolve_source(source)


def test_an_address_counts_as_pinned_by_commit_or_by_checksum():
    by_commit = {"url": f"https://example.org/{COMMIT_OF_NOTHING}/a.json"}
    by_checksum = {"url": "https://example.org/a.json", "sha256": "0" * 64}
    assert resolve_source(by_commit) == by_commit
    assert resolve_source(by_checksum) == by_checksum


def test_files_of_a_source_come_in_a_stable_order(tmp_path):
    for name in ("b.jsonl", "a.json", "c.jsonl.gz", "notes.txt"):
        (tmp_path / name).write_text("")
    names = lambda source: [file.name for file in local_files(source)]  # noqa: E731
    assert names({"path": str(tmp_path)}) == ["a.json", "b.jsonl", "c.jsonl.gz"]
    assert names({"path": str(tmp_path / "*.json*")}) == ["a.json", "b.jsonl", "c.jsonl.gz"]
    assert names({"path": [str(tmp_path / "b.jsonl"), str(tmp_path / "a.json")]}) == ["b.jsonl", "a.json"]
    splits = {"train": str(tmp_path / "a.json"), "test": [str(tmp_path / "b.jsonl")]}
    assert [file.name for file in local_files({"path": splits}, split="test")] == ["b.jsonl"]
    assert names({"path": splits, "split": "train"}) == ["a.json"]
    with pytest.raises(InputError, match="split is missing"):
        local_files({"path": splits}, split="validation")


def test_a_file_name_with_brackets_is_no_pattern(tmp_path):
    (tmp_path / "rows[1].jsonl").write_text("{}")
    assert len(local_files({"path": str(tmp_path / "rows[1].jsonl")})) == 1


@pytest.mark.parametrize("path", ["missing.jsonl", "missing/*.json", "empty"])
def test_a_missing_source_names_the_path_and_the_key(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        local_files({"path": str(tmp_path / path)}, where="datasets.x.source")
    assert path in str(caught.value) and "datasets.x.source" in str(caught.value)


def test_json_lines_array_and_gzip_give_the_same_rows(tmp_path):
    rows = [{"a": 1}, {"a": "ü"}]
    array = tmp_path / "array.json"
    array.write_text("\ufeff" + json.dumps(rows, indent=2), encoding="utf-8")
    lines = write(tmp_path / "lines.jsonl", rows)
    packed = write(tmp_path / "packed.jsonl.gz", rows, compress=True)
    lines_named_json = write(tmp_path / "lines.json", rows)
    for file in (array, lines, packed, lines_named_json):
        read = list(read_rows({"path": str(file)}))
        assert [row.value for row in read] == rows, file.name
        assert [row.line for row in read] == [1, 2]
        assert {row.file for row in read} == {str(file)}


def test_no_network_is_a_message_that_says_what_to_do():
    with pytest.raises(InputError, match=r"could not be fetched(.|\n)*path: FILE"):
        list(read_rows({"url": "http://127.0.0.1:9/a.jsonl", "sha256": "0" * 64}))  # the port that discards


def test_a_branch_instead_of_a_commit_warns():
    with pytest.warns(UserWarning, match="not pinned"):
        location = pretrained_location(resolve_source("pandalm_7b", REGISTRY))
    assert location == ("WeOpenML/PandaLM-7B-v1", {"revision": "main"})


def test_a_model_is_a_folder_or_a_hub_id(tmp_path):
    assert pretrained_location({"path": str(tmp_path)}) == (str(tmp_path), {})
    assert pretrained_location({"hub": "o/n", "revision": "abc"}) == ("o/n", {"revision": "abc"})
    with pytest.raises(InputError, match="neither"):
        pretrained_location({"path": str(tmp_path / "missing")})

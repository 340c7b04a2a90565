"""Sources on the Hub: the real client against a local Hub that serves repositories in the real ones' layout."""

import json

import pytest
from checkout import ROOT
from hub_repositories import add_data, alpaca_rows, by_split, card, lines, parquet, reference_rows
from hub_server import Fault
from plw.errors import InputError
from plw.evaluation.judgements import read_outputs
from plw.evaluation.rows import normalize_rows, scored_rows, shot_rows
from plw.study.hub import switched_off
from plw.study.sources import load_registry, read_rows, resolve_source

REGISTRY = load_registry(ROOT / "config" / "sources.yaml")
COMMIT = "f" * 40


def source(name: str) -> dict:
    return resolve_source(name, REGISTRY)


def values(rows) -> list:
    return [row.value for row in rows]


def repository(hub, files, **source):
    hub.add("o/n", files, kind="dataset", commit=COMMIT)
    return {"hub": "o/n", "revision": COMMIT, **source}


@pytest.fixture
def real(hub):
    add_data(hub, REGISTRY)
    return hub


def test_alpaca_evals_rows_and_reference_are_read_from_the_file_beside_its_loading_script(real):
    rows = normalize_rows(scored_rows(source("alpaca_eval_dataset"), "test"), "alpaca_eval")
    assert [row["instruction"] for row in rows] == ["Do 0", "Do 1", "Do 2", "Do 3"]
    assert read_outputs(source("alpaca_eval_dataset"), "alpaca_eval") == rows
    assert not real.served("alpaca_eval.py")


@pytest.mark.parametrize(
    ("name", "split", "form", "options", "count"),
    [
        ("arc_challenge", "test", "arc", {}, 4),
        ("piqa", "validation", "piqa", {}, 4),
        ("truthful_qa", "validation", "truthfulqa_mc", {}, 3),
        ("truthful_qa_generation", "validation", "truthfulqa_gen", {}, 5),
        ("winogrande", "validation", "winogrande", {}, 3),
        ("wmt14_fr_en", "validation+test", "translation", {"languages": ["fr", "en"]}, 5),
        ("wmt16_de_en", "validation+test", "translation", {"languages": ["de", "en"]}, 5),
        ("wmt16_ro_en", "validation+test", "translation", {"languages": ["ro", "en"]}, 5),
    ],
)
def test_every_benchmark_is_read_in_its_form_and_only_its_splits_are_fetched(real, name, split, form, options, count):
    assert len(normalize_rows(scored_rows(source(name), split), form, **options)) == count
    fetched = {request.path.rpartition("/")[2] for request in real.served("/") if not request.path.startswith("/api/m")}
    assert not [file for file in fetched if "train" in file or file.endswith(".py")]


def test_translations_are_validation_then_test_and_shots_are_the_training_split(real):
    rows = values(scored_rows(source("wmt14_fr_en"), "validation+test"))
    assert [row["translation"]["fr"].split()[0] for row in rows] == ["valid"] * 3 + ["test"] * 2
    shots = values(shot_rows(source("arc_challenge")))
    assert [row["question"] for row in shots[:2]] == ["Which 100?", "Which 101?"] and len(shots) == 30


def test_instruction_data_are_read_from_parquet_by_split_and_from_the_one_file_of_a_repository(real):
    assert [row["prompt"] for row in values(read_rows(source("ultrafeedback_binarized_cleaned")))][:2] == [
        "Ask 0",
        "Ask 1",
    ]
    assert len(values(read_rows(source("databricks_dolly_15k")))) == 5
    assert not real.served("test_sft") and not real.served("train_prefs")


def test_what_was_read_once_is_read_again_without_the_hub(real):
    before = values(read_rows(source("databricks_dolly_15k")))
    asked = len(real.requests)
    with switched_off():
        assert values(read_rows(source("databricks_dolly_15k"))) == before
        with pytest.raises(InputError, match=r"not fetched(.|\n)*allenai/ai2_arc(.|\n)*snakemake"):
            values(scored_rows(source("arc_challenge"), "test"))
    assert len(real.requests) == asked


def test_a_file_that_several_splits_share_is_read_once_and_gives_no_shots(hub):
    named = repository(hub, {"rows.json": json.dumps(reference_rows(3)), "n.py": "raise"}, file="rows.json")
    assert len(values(scored_rows(named, "validation+test"))) == 3
    assert values(shot_rows(named)) == []
    split = {**named, "file": {"train": "rows.json", "test": ["rows.json"]}}
    assert len(values(shot_rows(split))) == len(values(scored_rows(split, "test"))) == 3
    with pytest.raises(InputError, match="split is missing"):
        values(scored_rows(split, "validation"))


def test_shards_come_in_order_and_a_missing_one_is_refused(hub):
    shards = {f"data/train-{i:05d}-of-00003.parquet": parquet([{"i": i}]) for i in range(3)}
    assert [row["i"] for row in values(read_rows(repository(hub, shards)))] == [0, 1, 2]
    del shards["data/train-00001-of-00003.parquet"]
    hub.add("o/less", shards, kind="dataset", commit=COMMIT)
    with pytest.raises(InputError, match="2 of 3 parts"):
        values(read_rows({"hub": "o/less", "revision": COMMIT}))


def test_the_card_decides_over_names_and_a_wrong_configuration_is_answered_with_the_known_ones(hub):
    files = {"README.md": card(("a", {"test": "x/*.parquet"}), ("b", {"test": "y/*.parquet"}))}
    files |= {"x/one.parquet": parquet([{"v": "a"}]), "y/test.parquet": parquet([{"v": "b"}])}
    assert values(read_rows(repository(hub, files, config="a"), split="test")) == [{"v": "a"}]
    with pytest.raises(InputError, match="configurations a, b"):
        values(read_rows(repository(hub, files, config="c"), split="test"))
    hub.add("o/train", by_split("a", {"train": [{"v": 1}]}), kind="dataset", commit=COMMIT)
    with pytest.raises(InputError, match="No file of the repository holds this split"):
        values(read_rows({"hub": "o/train", "revision": COMMIT, "config": "a"}, split="test"))


def test_csv_json_lines_and_gzip_are_read_as_they_are_named(hub):
    import gzip

    rows = alpaca_rows(2)
    files = {"train.csv": "Question,Best Answer\nWhy?,So\n"}
    assert values(read_rows(repository(hub, files))) == [{"Question": "Why?", "Best Answer": "So"}]
    hub.add("o/gz", {"train.jsonl.gz": gzip.compress(lines(rows))}, kind="dataset", commit=COMMIT)
    assert values(read_rows({"hub": "o/gz", "revision": COMMIT})) == rows


def test_a_download_is_kept_and_a_damaged_copy_is_fetched_again(hub):
    hub.plain["/rows.jsonl"] = lines(alpaca_rows(2))
    address = {"url": f"{hub.endpoint}/rows.jsonl"}
    assert values(read_rows(address)) == values(read_rows(address)) == alpaca_rows(2)
    assert len(hub.served("/rows.jsonl")) == 1
    from plw.study.sources import download_url

    file = download_url(address)
    file.write_bytes(file.read_bytes()[:-5])
    assert values(read_rows(address)) == alpaca_rows(2)
    assert len(hub.served("/rows.jsonl")) == 2
    with switched_off():
        assert values(read_rows(address)) == alpaca_rows(2)
        with pytest.raises(InputError, match="not fetched"):
            values(read_rows({"url": f"{hub.endpoint}/other.jsonl"}))


def test_a_download_is_checked_against_its_checksum_and_one_that_was_cut_is_no_download(hub):
    hub.plain["/rows.jsonl"] = lines(alpaca_rows(2))
    with pytest.raises(InputError, match="not what the source says"):
        values(read_rows({"url": f"{hub.endpoint}/rows.jsonl", "sha256": "0" * 64}))
    hub.faults["rows.jsonl"] = Fault(cut=30)
    with pytest.raises(InputError, match="could not be fetched"):
        values(read_rows({"url": f"{hub.endpoint}/rows.jsonl"}))


@pytest.mark.slow
def test_the_stock_loader_refuses_a_repository_with_a_script_and_reads_the_others_as_we_do(real, monkeypatch, tmp_path):
    """Why files are read here: and that the local Hub is one that the real client accepts."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)  # taken over when it was first imported
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", real.endpoint)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    named = source("alpaca_eval_dataset")
    with pytest.raises(RuntimeError, match="Dataset scripts are no longer supported"):
        datasets.load_dataset(named["hub"], data_files=named["file"], revision=named["revision"], split="test")
    arc = source("arc_challenge")
    stock = datasets.load_dataset(arc["hub"], arc["config"], revision=arc["revision"], split="test")
    assert stock.to_list() == values(scored_rows(arc, "test"))

"""Publishing to a local Hub by the real client: what is sent, to whom it is visible, and what the cards say."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from checkout import ROOT
from hub_server import ACCEPTED, STRANGER
from huggingface_hub import DatasetCard, ModelCard, constants, hf_hub_download
from plw.cli import parse_and_run
from plw.errors import InputError
from plw.sharing.packing import study_file
from small_results import STUDY, make_results, runs_of

pytestmark = pytest.mark.slow
RUN = "smollm2_135m-alpaca_data_short-plw0.1-nonzero_count-none-s42"
DATASET = "alpaca_data_short"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Finished runs, one of which kept its weights; the data come from the registry of sources."""
    folder = make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42))
    sources = {
        "smollm2_135m": {"hub": "HuggingFaceTB/SmolLM2-135M", "revision": "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"}
    }
    study = json.loads(json.dumps(STUDY))
    study["ptlms"]["smollm2_135m"]["source"] = sources["smollm2_135m"]
    study["datasets"]["alpaca_data_cleaned"]["source"] = {
        "hub": "databricks/databricks-dolly-15k",
        "revision": "0" * 40,
    }
    study["benchmarks"]["piqa"]["source"] = {"hub": "baber/piqa", "revision": "1" * 40}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    model = folder / "runs" / RUN / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (model / ".snakemake_timestamp").touch()
    return folder


@pytest.fixture
def writer(hub, monkeypatch):
    """The local Hub, to whose token writing is allowed; the client sends large files by LFS, which it speaks."""
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return hub


def publish(results, *words):
    parse_and_run(["publish", str(results), *words, "--root", str(ROOT)])


def test_nothing_is_sent_without_being_asked_for(results, writer, tmp_path, capsys):
    publish(results, RUN, "--repo", "me/mine", "-o", str(tmp_path / "cards"))
    said = capsys.readouterr().out
    assert "Would be sent to me/mine (model, private where it is new)" in said and "Nothing was sent" in said
    assert "model.safetensors  10,240 bytes" in said and ".snakemake_timestamp" not in said
    assert writer.requests == [] and writer.repositories == {}
    assert {path.name for path in (tmp_path / "cards").rglob("*") if path.is_file()} == {"README.md", "plw.yaml"}


def test_a_model_is_sent_in_one_commit_to_a_private_repository_and_comes_back_whole(results, writer, tmp_path, capsys):
    publish(results, RUN, "--repo", "me/mine", "--upload")
    repository = writer.repositories["model", "me/mine"]
    assert repository.private and repository.message == "Published by plw"
    assert set(repository.files) == {"README.md", "config.json", "model.safetensors", ".eval_results/plw.yaml"}
    assert len(writer.served("/commit/", "POST")) == 1 and len(writer.objects) == 1
    path = hf_hub_download("me/mine", "model.safetensors", cache_dir=tmp_path, token=ACCEPTED)
    weights = results / "runs" / RUN / "model/model.safetensors"
    with open(path, "rb") as stream:
        assert stream.read() == weights.read_bytes()
    said = capsys.readouterr()
    assert f"Sent: {writer.endpoint}/me/mine/commit/{repository.commit}" in said.out
    assert ACCEPTED not in said.out + said.err
    publish(results, RUN, "--repo", "me/mine", "--upload")  # again: the repository is there
    assert "Sent" in capsys.readouterr().out


def test_a_public_repository_is_made_only_where_it_is_asked_for(results, writer):
    publish(results, DATASET, "--repo", "me/data", "--upload", "--public")
    repository = writer.repositories["dataset", "me/data"]
    assert not repository.private
    assert set(repository.files) == {"README.md", "croissant.json", "instances.jsonl"}
    assert repository.files["instances.jsonl"] == (results / "data" / DATASET / "instances.jsonl").read_bytes()


def test_the_models_card_says_weight_loss_ratio_licences_scores_and_the_warning(results, writer):
    publish(results, RUN, "--repo", "me/mine", "--upload")
    files = writer.repositories["model", "me/mine"].files
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M"
    assert card.data.datasets == ["databricks/databricks-dolly-15k"]
    assert (card.data.license, card.data.license_name) == ("other", "Apache 2.0 + CC BY-SA 3.0")
    record = json.loads((results / "runs" / RUN / "run.json").read_text())
    for said in ("prompt loss weight of 0.1", record["effective_loss"], "R_g: ratio of mean tokens 0.1", "abc123"):
        assert said in card.text, said
    assert "may make things up, or offend" in card.text and "without any filtering" in card.text
    assert re.search(
        r"pretrained model: \[HuggingFaceTB/SmolLM2-135M\]\(https://huggingface.co/Hugg\S+\), 93efa2\w+: Apache",
        card.text,
    )
    measured = {result.dataset_name: result for result in card.data.eval_results}
    assert set(measured) == {"PIQA", "TruthfulQA-MC2"}
    assert measured["PIQA"].dataset_type == "baber/piqa" and measured["PIQA"].metric_args["n"] == 60
    (entry,) = yaml.safe_load(files[".eval_results/plw.yaml"])
    assert entry["dataset"] == {"id": "baber/piqa", "task_id": "default", "revision": "1" * 40}
    assert entry["value"] == measured["PIQA"].metric_value


def test_the_data_card_says_source_rule_ratios_and_licence(results, writer):
    publish(results, DATASET, "--repo", "me/data", "--upload")
    files = writer.repositories["dataset", "me/data"].files
    card = DatasetCard(files["README.md"].decode())
    assert card.data.source_datasets == ["databricks/databricks-dolly-15k"] and card.data.size_categories == "n<1K"
    assert "every row whose completion is longer than its prompt is inverted" in card.text
    assert json.loads(files["croissant.json"])["distribution"][0]["contentUrl"] == "instances.jsonl"


@pytest.mark.parametrize(("token", "said"), [(STRANGER, "no right to write"), (None, "no right to write")])
def test_a_refusal_is_one_message_that_does_not_hold_the_token(results, writer, monkeypatch, token, said):
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=said) as caught:
        publish(results, RUN, "--repo", "me/mine", "--upload")
    assert "hf auth login" in str(caught.value)
    assert not token or token not in str(caught.value)
    assert writer.repositories == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((RUN, "--upload"), "Nobody said where to"),
        (("smollm2_135m-alpaca_data_short-plw1-nonzero_count-none-s42",), "weights of this run were not kept"),
        (("alpaca_data_cleaned",), "no such run, and inverts no such data set"),
        ((RUN, "--repo", "no name at all", "--upload"), "The Hub did not take it"),
    ],
)
def test_what_cannot_be_published_is_said(results, writer, words, said):
    with pytest.raises(InputError, match=said):
        publish(results, *words)
    assert writer.repositories == {}


def test_the_study_file_of_an_export_is_no_place_to_publish_from(results, tmp_path):
    """An export holds no weights and no rows: the message asks for the study's own folder."""
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported/study.yaml").write_text(study_file(STUDY, ROOT))
    (tmp_path / "exported/records.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-c", "from plw.cli import main; main()", "publish", str(tmp_path / "exported"), RUN],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "neither weights nor data" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr

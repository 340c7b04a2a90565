"""The shared formats of an export: valid for other people's validators, and true of the study."""

import csv
import json

import jsonschema
import pandas as pd
import pytest
from checkout import ROOT
from plw.sharing.crate import PARAMETERS
from plw.sharing.croissant import croissants
from plw.sharing.evaluations import SCHEMA
from plw.sharing.exporting import export
from plw.sharing.finished import FinishedStudy
from plw.study.configuration import load_configuration, read_yaml
from small_results import make_results, part_of, runs_of
from validators import crate_issues, croissant_issues, evaluation_schema

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42))


@pytest.fixture(scope="module")
def exported(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "smol_cpu"
    export(part_of(results, 42), folder, root=ROOT)
    return folder


@pytest.fixture(scope="module")
def graph(exported):
    """Entities of the crate by their ids."""
    found = json.loads((exported / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    return {entity["@id"]: entity for entity in found}


@pytest.mark.parametrize("profile", ["provenance-run-crate", "workflow-run-crate", "process-run-crate"])
def test_the_crate_is_valid_for_roc_validator_without_a_network(exported, tmp_path, profile):
    assert crate_issues(exported, profile, tmp_path) == []


def test_the_validator_would_say_that_a_trainings_tool_is_missing(exported, tmp_path):
    broken = json.loads((exported / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    for entity in broken["@graph"]:
        if entity["@id"].startswith("#training/"):
            del entity["instrument"]
    (tmp_path / "crate").mkdir()
    for file in exported.iterdir():
        (tmp_path / "crate" / file.name).symlink_to(file)
    (tmp_path / "crate/ro-crate-metadata.json").unlink()
    (tmp_path / "crate/ro-crate-metadata.json").write_text(json.dumps(broken))
    issues = crate_issues(tmp_path / "crate", "provenance-run-crate", tmp_path)
    assert any("MUST have an instrument" in issue for issue in issues), issues


def test_every_training_is_an_action_with_inputs_parameters_commit_times_and_outputs(graph, results, exported):
    hashes = json.loads((exported / "data/hashes.json").read_text())
    for run in runs_of(42):
        action = graph[f"#training/{run.run}"]
        given = [graph[item["@id"]] for item in action["object"]]
        values = {entity["name"]: entity["value"] for entity in given if entity["@type"] == "PropertyValue"}
        assert values == {name: str(getattr(run, name)) for name in PARAMETERS}
        data = graph[f"#dataset/{run.dataset}"]
        assert data in given and graph[f"#ptlm/{run.ptlm}"] in given
        assert data["sha256"] == hashes[run.dataset]["sha256"]
        record = json.loads((results / "runs" / run.run / "run.json").read_text())
        tool = graph[action["instrument"]["@id"]]
        assert tool["version"] == record["git"]["commit"]
        assert f"torch {record['versions']['torch']}" in tool["softwareRequirements"]
        assert action["endTime"] == record["finished"] and action["startTime"] < action["endTime"]
        parts = {graph[item["@id"]]["name"]: graph[item["@id"]]["isPartOf"]["@id"] for item in action["result"]}
        assert parts == {"loss.csv": "loss_curves.csv.gz", "run.json": "records.json"}


def test_every_file_that_the_crate_lists_is_there_with_its_sum(graph, exported):
    listed = dict(line.split("  ")[::-1] for line in (exported / "SHA256SUMS").read_text().splitlines())
    files = {name: entity for name, entity in graph.items() if "File" in entity["@type"]}
    assert {"Snakefile", "scores.csv", "study.yaml", "README.md"} <= set(files)
    assert all(entity["sha256"] == listed[name] for name, entity in files.items())


def test_every_score_is_in_a_valid_every_eval_ever_record(exported):
    files = sorted((exported / "every_eval_ever").rglob("*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    table = pd.read_csv(exported / "scores.csv")
    assert len(records) == len(table.drop_duplicates(["run", "benchmark"]))
    results = [result for record in records for result in record["evaluation_results"]]
    found = {result["evaluation_result_id"]: result["score_details"]["score"] for result in results}
    assert found == {f"{row.run}/{row.benchmark}/{row.metric}": row.score for row in table.itertuples()}
    schema = evaluation_schema()
    assert schema["version"] == SCHEMA
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for record in records for error in validator.iter_errors(record)] == []


@pytest.fixture(scope="module")
def of_the_paper(tmp_path_factory):
    """Croissant metadata of the paper's inverted data sets, whose sources are in the registry."""
    study = load_configuration({"study": "paper"}, root=ROOT)
    folder = tmp_path_factory.mktemp("paper")
    for name in study["datasets"]:
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "instances.jsonl").write_text('{"instruction": "a"}\n{"instruction": "b"}\n')
    from plw.study.runs import list_runs

    found = FinishedStudy(folder, study, list_runs(study))
    return croissants(found, read_yaml(ROOT / "config/sources.yaml")), folder


def test_croissant_metadata_are_valid_for_mlcroissant(of_the_paper, exported, tmp_path):
    files = list((exported / "croissant").glob("*.json"))
    for name, metadata in of_the_paper[0].items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(metadata))
    for file, (errors, _) in zip(files, croissant_issues(files), strict=True):
        assert errors == [], file


def test_croissant_metadata_name_the_source_its_licence_and_how_it_was_inverted(of_the_paper):
    found, _ = of_the_paper
    licences = {"alpaca_data_short": "Apache 2.0", "dolly_short": "CC BY-SA 3.0", "ultrafeedback_short": "MIT"}
    assert {*licences, "alpaca_data_medium", "alpaca_data_tiny"} == set(found)
    for name, licence in licences.items():
        assert found[name]["license"] == found[name]["isBasedOn"]["license"] == licence
        assert found[name]["isBasedOn"]["version"] and found[name]["isBasedOn"]["url"].startswith("https://")
        assert "every row whose completion is longer than its prompt is inverted" in found[name]["description"]
    assert "r_g 0.042" in found["alpaca_data_tiny"]["description"]


def test_the_sum_of_a_data_set_is_that_of_its_file_and_its_rows_are_counted(results, exported):
    import hashlib

    hashes = json.loads((exported / "data/hashes.json").read_text())
    with open(exported / "runs.csv", newline="") as stream:
        used = {row["dataset"] for row in csv.DictReader(stream)}
    assert used <= set(hashes)
    for name, entry in hashes.items():
        content = (results / "data" / name / "instances.jsonl").read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert (entry["bytes"], entry["rows"]) == (len(content), content.count(b"\n"))

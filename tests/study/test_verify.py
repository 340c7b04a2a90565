"""plw verify: what was edited, swapped, cut off, added, lost, made from other inputs or by other code is named."""

import json
import os
import time

import pytest
from plw.cli import parse_and_run
from plw.errors import InputError
from plw.study.records import manifest as manifests
from plw.study.records.code import code_record
from plw.study.records.manifest import Job, begin_call, end_call, file_record, read_manifest
from plw.study.records.verification import cut, verification_text, verify_study

RUNS = ("a", "b")
SCORES = Job("collect_scores", ("results/s/scores.csv",), tuple(f"results/s/runs/{run}/run.json" for run in RUNS), None)


def training(run):
    """A training of the study `s`, on rows that somebody brings."""
    outputs = (f"results/s/runs/{run}/model", f"results/s/runs/{run}/run.json", f"results/s/runs/{run}/loss.csv")
    return Job("train_model", outputs, ("rows.jsonl",), "training/train_model.py")


def evaluation(run):
    """Its evaluation, which writes a benchmark's result beside its index."""
    folder = f"results/s/runs/{run}"
    return Job("evaluate_model", (f"{folder}/evaluation.json",), (f"{folder}/model",), "evaluation/evaluate_model.py")


JOBS = [*map(training, RUNS), *map(evaluation, RUNS), SCORES]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def make(root, jobs=JOBS):
    """The files of these jobs, recorded as a call of Snakemake would."""
    started = time.time() - 1
    begin_call(root, "s", jobs)
    for run in RUNS:
        folder = root / "results/s/runs" / run
        if training(run) in jobs:
            write(folder / "model/model.safetensors", weights(run))
            write(folder / "run.json", json.dumps({"run": run, "code": code_record("train_model", 1)}))
            write(folder / "loss.csv", f"step,loss\n1,{ord(run)}\n")
        if evaluation(run) in jobs:
            write(folder / "benchmarks/piqa.json", json.dumps({"model": run, "items": [1, 0]}))
            index = {"model": run, "benchmarks": {"piqa": {"file": "benchmarks/piqa.json"}}}
            write(folder / "evaluation.json", json.dumps(index))
    if SCORES in jobs:
        write(root / "results/s/scores.csv", "run,score\na,0.5\nb,0.6\n")
    end_call(root, "s", jobs, since=started)


def weights(run):
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + run.encode() * 4


@pytest.fixture
def root(tmp_path):
    """A project with a finished study, and files that are no results."""
    write(tmp_path / "rows.jsonl", "{}\n")
    make(tmp_path)
    write(tmp_path / "results/s/logs/train_model/a.log", "all is well")
    write(tmp_path / "results/s/checkpoints/a/state", "x")
    return tmp_path


def found(root):
    """Kind and path of each finding, below the study's folder."""
    return [(item.kind, item.path.removeprefix("results/s/")) for item in verify_study(root, "s").findings]


def test_a_finished_study_is_as_it_was_made(root):
    result = verify_study(root, "s")
    assert result.findings == () and result.verified == result.files == 11
    assert verification_text(result) == "s: 11 files, 11 as they were made, 0 with faults."


def test_an_edited_table_is_named_and_what_was_made_before_it_is_not(root):
    table = root / "results/s/scores.csv"
    table.write_text(table.read_text().replace("0.5", "0.9"))
    assert found(root) == [("edited", "scores.csv")]


def test_swapped_run_folders_are_named_with_what_they_hold(root):
    folder = root / "results/s/runs"
    os.rename(folder / "a", folder / "c")
    os.rename(folder / "b", folder / "a")
    os.rename(folder / "c", folder / "b")
    result = verify_study(root, "s")
    assert {item.kind for item in result.findings} == {"swapped"} and len(result.findings) == 10
    assert "results/s/runs/b/loss.csv" in {item.detail.removeprefix("it is ") for item in result.findings}
    lines = verification_text(result).splitlines()
    assert len(lines) == 3 and "and 4 more files of results/s/runs/a: holds what belongs elsewhere" in lines[0]


@pytest.mark.parametrize(
    "name, content",
    [
        ("data.json", b'{"a": [1, 2, 3]}\n'),
        ("items.parquet", b"PAR1 some columns PAR1"),
        ("figure.png", b"\x89PNG data \x00\x00\x00\x00IEND\xaeB`\x82"),
        ("figure.pdf", b"%PDF-1.4 objects\n%%EOF\n"),
        ("table.csv", b"a,b\n1,2\n"),
        ("model.safetensors", weights("a")),
    ],
)
def test_a_file_that_is_cut_off_is_told_from_one_that_was_edited(root, name, content):
    job = Job("collect_items", (f"results/s/{name}",), (), None)
    begin_call(root, "s", [job])
    write(root / "results/s" / name, content)
    end_call(root, "s", [job], since=time.time() - 1)
    assert found(root) == [] and cut(root / "results/s" / name) == ""
    write(root / "results/s" / name, content[:-3])
    assert found(root) == [("truncated", name)]


def test_foreign_and_lost_files_are_named(root):
    write(root / "results/s/runs/a/notes.txt", "mine")
    (root / "results/s/runs/b/loss.csv").unlink()
    assert found(root) == [("missing", "runs/b/loss.csv"), ("foreign", "runs/a/notes.txt")]


def test_a_source_that_changed_since_is_named_at_what_was_made_of_it(root):
    write(root / "rows.jsonl", "{}\n{}\n")
    kinds = {kind for kind, _ in found(root)}
    assert kinds == {"other inputs"}
    assert ("other inputs", "runs/a/loss.csv") in found(root) and ("other inputs", "scores.csv") not in found(root)


def test_what_other_code_made_is_named(root):
    path = root / "results/s/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["jobs"]["results/s/runs/a/evaluation.json"]["code"] = "0" * 16
    path.write_text(json.dumps(manifest))
    assert found(root) == [("other code", "runs/a/benchmarks/piqa.json"), ("other code", "runs/a/evaluation.json")]


def test_comments_in_a_program_that_is_an_input_are_no_other_code(root):
    job = Job("draw", ("results/s/figure.csv",), ("scripts/figures/draw.py",), None)
    write(root / "scripts/figures/draw.py", '"""Draws."""\n\nCOLOUR = "red"\n')
    begin_call(root, "s", [job])
    write(root / "results/s/figure.csv", "x\n1\n")
    end_call(root, "s", [job], since=time.time() - 1)
    write(root / "scripts/figures/draw.py", '"""Draws well."""\n# red\nCOLOUR = "red"\n')
    assert found(root) == []
    write(root / "scripts/figures/draw.py", 'COLOUR = "blue"\n')
    assert found(root) == [("other code", "figure.csv")]


def test_another_call_does_not_take_an_edit_for_a_result(root):
    benchmark = root / "results/s/runs/a/benchmarks/piqa.json"
    write(benchmark, json.dumps({"model": "a", "items": [1, 1]}))
    write(root / "results/s/runs/b/loss.csv", "step,loss\n1,0\n")
    os.utime(benchmark, (1, 1))
    job = evaluation("a")
    begin_call(root, "s", [job])
    end_call(root, "s", [job], since=time.time())
    assert found(root) == [("edited", "runs/a/benchmarks/piqa.json"), ("edited", "runs/b/loss.csv")]


def test_what_a_killed_call_left_is_not_verified_and_no_fault(root):
    begin_call(root, "s", [SCORES])
    write(root / "results/s/scores.csv", "half")
    result = verify_study(root, "s")
    assert result.findings == () and result.pending == ("results/s/scores.csv",)
    assert "Not verified: 1 files, of a call that did not end." in verification_text(result)


def test_a_study_from_before_sums_were_recorded_is_only_looked_at_by_form(root):
    (root / "results/s/manifest.json").unlink()
    result = verify_study(root, "s")
    assert result.findings == () and len(result.before) == 11
    assert "Not verified: 11 files, made before sums were recorded." in verification_text(result)
    make(root, [SCORES])  # one job of a later call: the others stay unverified, and are not foreign
    result = verify_study(root, "s")
    assert result.findings == () and result.verified == 1 and len(result.before) == 10
    write(root / "results/s/runs/a/run.json", '{"run": "a", "pl')
    assert found(root) == [("truncated", "runs/a/run.json")]


def test_records_that_name_another_run_or_other_weights_are_found_without_sums(root):
    (root / "results/s/manifest.json").unlink()
    write(root / "results/s/runs/a/run.json", json.dumps({"run": "b"}))
    write(root / "results/s/runs/b/benchmarks/piqa.json", json.dumps({"model": "a"}))
    assert found(root) == [("swapped", "runs/a/run.json"), ("swapped", "runs/b/benchmarks/piqa.json")]


def test_weights_that_were_deleted_once_they_were_used_are_no_fault(root):
    for run in RUNS:
        (root / f"results/s/runs/{run}/model/model.safetensors").unlink()
        (root / f"results/s/runs/{run}/model").rmdir()
    end_call(root, "s", [training(run) for run in RUNS], since=time.time())
    assert found(root) == []


def test_large_files_are_sampled_and_a_change_of_size_or_of_their_ends_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "LARGE", 4096)
    monkeypatch.setattr(manifests, "SAMPLE", 16)
    file = tmp_path / "weights"
    file.write_bytes(bytes(8192))
    whole = file_record(file)
    assert whole["sampled"] and whole["bytes"] == 8192
    for other in (bytes(8191), b"\1" + bytes(8191), bytes(8191) + b"\1"):
        file.write_bytes(other)
        assert file_record(file)["sha256"] != whole["sha256"]


def test_the_command_ends_with_status_1_if_anything_is_wrong(root, capsys):
    parse_and_run(["verify", "s", "--root", str(root)])
    assert "0 with faults" in capsys.readouterr().out
    write(root / "results/s/scores.csv", "run,score\n")
    with pytest.raises(SystemExit) as stop:
        parse_and_run(["verify", "s", "--root", str(root)])
    assert stop.value.code == 1
    assert "edited: results/s/scores.csv: changed after it was made." in capsys.readouterr().out


def test_a_study_without_results_gets_one_message(root):
    with pytest.raises(InputError, match="has no results"):
        parse_and_run(["verify", "t", "--root", str(root)])


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        parse_and_run(["verify", "--help"])
    assert "$ plw verify demo" in capsys.readouterr().out


def test_a_manifest_of_another_form_is_none(root):
    write(root / "results/s/manifest.json", '{"form": 99}')
    assert read_manifest(root, "s") is None

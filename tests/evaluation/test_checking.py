"""All benchmark rows of a study are read before anything trains, and a fault is said with file and row."""

import json

import pytest
from checkout import ROOT, copy_project, snakemake
from plw.errors import InputErrors
from plw.evaluation.checking import check_benchmarks
from plw.study.configuration import read_yaml
from tiny import tiny_model

CASES = ROOT / "tests/cases/benchmarks"
REGISTRY = read_yaml(ROOT / "config/benchmarks.yaml")


def entry(name, file, **changes):
    return {"name": name, **REGISTRY[name], "source": {"path": str(file)}, **changes}


def check(*entries, **options):
    said = []
    found = check_benchmarks(
        entries, folder=ROOT / "config/harness", evaluation={}, judges={}, say=said.append, **options
    )
    return found, said


def test_the_first_fault_of_every_benchmark_is_said_with_file_and_row():
    with pytest.raises(InputErrors) as caught:
        check(
            entry("piqa", CASES / "piqa.jsonl"),
            entry("alpaca_eval", CASES / "alpaca_eval.jsonl"),
            entry("pandalm", CASES / "alpaca_eval_latin1.json"),
        )
    said = [str(error) for error in caught.value.errors]
    places = ("piqa.jsonl, row 4", "alpaca_eval.jsonl, row 3", "alpaca_eval_latin1.json, row 1")
    assert all(place in text for place, text in zip(places, said, strict=True))
    assert "half a surrogate pair" in said[0] and "0xe9" in said[2]


def test_a_judged_benchmark_without_outputs_is_refused_unless_a_run_is_the_reference(tmp_path):
    file = tmp_path / "alpaca_eval.jsonl"
    file.write_text('{"instruction": "Say x."}\n')
    with pytest.raises(InputErrors, match="1 of 1 rows have no output"):
        check(entry("alpaca_eval", file))
    found = check_benchmarks(
        [entry("alpaca_eval", file)],
        folder=ROOT / "config/harness",
        evaluation={},
        judges={"alpaca_eval": {"reference": {"ptlm": "m"}}},
    )
    assert found["alpaca_eval"]["rows"] == 1


def test_what_was_read_is_not_read_again_until_its_file_changes(tmp_path):
    file = tmp_path / "piqa.jsonl"
    file.write_text("".join((CASES / "piqa.jsonl").read_text().splitlines(keepends=True)[:3]))
    found, said = check(entry("piqa", file))
    assert found["piqa"]["rows"] == 3 and said == ["piqa: reading"]
    again, said = check(entry("piqa", file), known=found)
    assert again == found and not said
    file.write_text((CASES / "piqa.jsonl").read_text())
    with pytest.raises(InputErrors, match="row 4"):
        check(entry("piqa", file), known=found)


STUDY = """base: test
tokenizer_of: mine
ptlms: {mine: {label: Mine, source: {path: model}}}
datasets: {faq: {label: FAQ, source: {path: faq.jsonl}}}
benchmarks: {piqa: {source: {path: piqa.jsonl}}}
evaluation: {benchmarks: [piqa]}
experiments: {main: {ptlms: [mine], datasets: [faq], plw: [0.0]}}
run_experiments: [main]
"""


@pytest.mark.workflow
@pytest.mark.slow
def test_no_training_begins_before_the_rows_are_read(tmp_path):
    """Also where a call asks for the training alone, and with data that were prepared before."""
    project = copy_project(tmp_path)
    (project / "mine.yaml").write_text(STUDY)
    tiny_model(project / "model")
    (project / "piqa.jsonl").write_bytes((CASES / "piqa.jsonl").read_bytes())
    prepared = project / "results/mine/data/faq/instances.jsonl"
    rows = [{"instruction": f"Say {number}.", "input": "", "output": str(number)} for number in range(4)]
    (project / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    training = "results/mine/runs/mine-faq-plw0-nonzero_count-none-s42/run.json"
    done = snakemake("--cores", "1", training, "--config", "study=mine.yaml", folder=project)
    assert done.returncode != 0 and prepared.exists(), done.stderr
    assert "piqa.jsonl, row 4" in done.stderr, done.stderr
    assert not (project / "results/mine/checkpoints").exists()

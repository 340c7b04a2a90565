"""Files that are not what they should be: a message with the file's name, whatever the library under it raises."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from plw.claims.evidence_files import read_table
from plw.errors import InputError, reason
from plw.evaluation.judge import _read_answers
from plw.evaluation.judgements import read_outputs
from plw.evaluation.measuring import _kept_result
from plw.evaluation.rows import normalize_rows, read_preamble
from plw.files import read_json, read_jsonl
from plw.models.pickled import _read
from plw.scores.collection import read_evaluations
from plw.scores.items import read_items
from plw.scores.table import planned_runs
from plw.study.configuration import read_yaml
from plw.study.rows import SourceRow
from plw.training.distance import stored_weights
from plw.training.run import read_row
from plw.training.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[1]
DEEP = b"[" * 100_000
BROKEN = {  # that no reader of text formats can take
    "cut": b'{"a": ',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "nested": DEEP,
    "a number without end": b'{"a": ' + b"9" * 6000 + b"}",
    "nothing": b"",
    "zeros": b"\0" * 64,
}


@pytest.fixture(params=BROKEN)
def broken(request, tmp_path) -> Path:
    """A file of each kind."""
    file = tmp_path / "evaluation.json"
    file.write_bytes(BROKEN[request.param])
    return file


def test_a_broken_json_file_is_named_with_the_decoders_words(broken):
    with pytest.raises(InputError) as caught:
        read_json(broken)
    assert caught.value.where == str(broken) and caught.value.hint
    assert reason(caught.value) == caught.value.hint and "\n" not in reason(caught.value).strip()


def test_a_broken_line_is_named_with_its_number(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\n\n' + DEEP + b"\n")
    with pytest.raises(InputError, match="line 3"):
        read_jsonl(file)


def as_table(file: Path):
    return read_table(file.rename(file.with_suffix(".parquet")), ["run"], text=[])


@pytest.mark.parametrize("read", [lambda file: read_evaluations([file]), read_items, as_table])
def test_broken_results_are_refused_with_their_name(broken, read):
    with pytest.raises(InputError, match="evaluation"):
        read(broken)


def test_broken_generations_are_refused_and_a_broken_result_that_is_kept_counts_as_absent(broken):
    assert _kept_result(broken, "s", "f") is None
    file = broken.rename(broken.with_name("a.outputs.json"))
    with pytest.raises(InputError, match=r"a\.outputs\.json"):
        read_outputs(str(file), "alpaca_eval")
    file.write_text("[1]")
    assert _kept_result(file, "s", "f") is None


def test_a_judges_torn_answers_are_asked_again(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b'{"key": "k", "text": "t"}\n' + DEEP + b'\n[1]\n{"key": "x"}\n{"key": "\xff\n')
    assert _read_answers(file) == {"k": "t"}


@pytest.mark.parametrize(
    "content", [b"a: [", b"- a\n- b", b"a: 2024-99-99", b"? [1, 2]\n: 3", b"a: \xff", b"[" * 20_000, b"text"]
)
def test_a_broken_file_of_the_configuration_is_named(tmp_path, content):
    (tmp_path / "sources.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"sources\.yaml"):
        read_yaml(tmp_path / "sources.yaml")


class Odd:
    """A pickle that is no tensor."""

    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"PK\x03\x04", pickle.dumps(Odd()), pickle.dumps({1: 2}), b"\x80\x02}q\0."[:3]]
)
def test_pickles_that_are_none_or_hold_programs_are_refused(tmp_path, content):
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"pytorch_model\.bin"):
        _read(tmp_path / "pytorch_model.bin")
    torch.save({"w": torch.zeros(2)}, tmp_path / "good.bin")
    assert set(_read(tmp_path / "good.bin")) == {"w"}


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"version https://git-lfs", b"\x02\0\0\0\0\0\0\0{}"[:9]])
def test_weights_that_are_none_are_named(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="safetensors"):
        stored_weights({"path": str(tmp_path)})


def test_a_preamble_that_is_not_utf8_and_a_run_table_that_is_none_are_named(tmp_path):
    (tmp_path / "preamble.txt").write_bytes(b"Q: \xe9")
    with pytest.raises(InputError, match=r"preamble\.txt"):
        read_preamble(tmp_path / "preamble.txt")
    for content in (b"", b"\xff\xfe", b"a,b\n1,2\n"):
        (tmp_path / "runs.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"runs\.csv"):
            planned_runs(tmp_path / "runs.csv", "main")


@pytest.mark.parametrize(
    "value", [{"choices": {}}, {"goal": 1e400, "sol1": [], "sol2": None, "label": float("inf")}, [], 7]
)
def test_a_benchmark_row_of_another_form_is_named_with_its_line(value):
    with pytest.raises(InputError, match=r"bench\.jsonl, row 3"):
        normalize_rows([SourceRow(3, "bench.jsonl", value)], "piqa")


@pytest.mark.parametrize("row", [{"seed": float("inf")}, {"plw": 10**400}, {"plw": [], "seed": 1}, {"seed": None}])
def test_a_number_of_a_run_that_is_none_is_refused(row):
    with pytest.raises(InputError):
        read_row({"run": "r", "plw": 0.1, "seed": 42, **row}, TrainingSettings())


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--claims", "nowhere.json", "--pdf", "f.pdf", "--png", "f.png", "--csv", "f.csv"], "nowhere.json"),
        (["--claims", "cut.json", "--pdf", "f.pdf", "--png", "f.png", "--csv", "f.csv"], "cut.json"),
    ],
)
@pytest.mark.slow
def test_a_program_names_a_file_of_its_command_line_without_a_traceback(tmp_path, words, value):
    (tmp_path / "cut.json").write_text(json.dumps({"a": 1})[:-2])
    program = ROOT / "scripts/figures/draw_figure_claims.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(
        [sys.executable, str(program), *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and value in done.stderr and "Traceback" not in done.stderr

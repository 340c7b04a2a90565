"""The commands `plw recommend`, `plw describe` and `plw invert`, called as a user calls them."""

import json
import os
import random
import subprocess
import sys

import pytest
from checkout import ROOT
from plw.cli import parse_and_run
from plw.data.ratios import generation_ratios
from plw.data.token_counts import token_counter
from tiny import WORDS, tiny_tokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a file of rows, three of four with a long completion, and a tokenizer."""
    folder = tmp_path_factory.mktemp("commands")
    draw = random.Random(2)

    def words(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    rows = [
        {"instruction": words(4, 8), "input": "", "output": words(1, 3) if i % 4 == 0 else words(15, 30)}
        for i in range(200)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tiny_tokenizer(folder / "tokenizer")
    return folder


def test_recommend_prints_json_that_is_the_same_as_from_python(place, capsys):
    import plw.recommend

    file = str(place / "rows.jsonl")
    parse_and_run(["recommend", file, "--json"])
    assert json.loads(capsys.readouterr().out) == plw.recommend(file)


def test_recommend_writes_a_page_and_says_the_same_on_the_terminal(place, capsys, tmp_path):
    page = tmp_path / "answer.html"
    parse_and_run(["recommend", str(place / "rows.jsonl"), "--html", str(page)])
    first = capsys.readouterr().out.splitlines()[0]
    assert "prompt loss weight" in first
    assert first.split(": ", 1)[1] in page.read_text(encoding="utf-8")


def test_describe_gives_table_1s_row_and_the_pre_flight_table(place, capsys):
    tokenizer = str(place / "tokenizer")
    parse_and_run(["describe", str(place / "rows.jsonl"), "--tokenizer", tokenizer, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["table_1"]["rows"] == found["preflight"]["rows"] == 200
    assert found["table_1"]["r_g"] == found["lengths"]["r_g"]
    parse_and_run(["describe", str(place / "rows.jsonl")])
    assert "mean characters" in capsys.readouterr().out


def test_invert_brings_the_ratio_to_its_target_and_keeps_where_rows_came_from(place, capsys, tmp_path):
    tokenizer, output = str(place / "tokenizer"), tmp_path / "inverted.jsonl"
    parse_and_run(["invert", str(place / "rows.jsonl"), "--r-g", "1.0", "--tokenizer", tokenizer, "-o", str(output)])
    said = capsys.readouterr().out
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    ratio = generation_ratios(rows, token_counter({"path": tokenizer}))["ratio_of_mean_tokens"]
    assert ratio == pytest.approx(1.0, rel=0.05) and f"to {ratio:.3g} (tokens)" in said
    assert [row["source_row"] for row in rows] == list(range(200))
    assert f"{sum(row['inverted'] for row in rows)} of 200 rows inverted" in said


@pytest.mark.parametrize(("flags", "message"), [
    (["--r-g", "1.0"], "Give --tokenizer"),
    (["--r-g", "-1", "--tokenizer", "x"], "--tokenizer"),
])  # fmt: skip
def test_a_wrong_call_of_invert_leaves_no_file(place, flags, message, tmp_path):
    output = tmp_path / "out.jsonl"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "plw.cli", "invert", str(place / "rows.jsonl"), "-o", str(output), *flags]
    code = "import sys; from plw.cli import main; sys.argv = sys.argv[1:]; main()"
    done = subprocess.run([sys.executable, "-c", code, *command[2:]], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not output.exists()


@pytest.mark.workflow
@pytest.mark.slow
def test_plan_runs_nothing_and_passes_on_the_exit_status(tmp_path):
    code = "import sys; from plw.cli import main; sys.argv = sys.argv[1:]; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}

    def plan(study: str) -> subprocess.CompletedProcess:
        call = [sys.executable, "-c", code, "plw", "plan", study, "--root", str(ROOT)]
        return subprocess.run(call, env=environment, capture_output=True, text=True)

    planned, unknown = plan("paper"), plan("papre")
    assert planned.returncode == 0 and "288 runs" in planned.stdout + planned.stderr
    assert unknown.returncode == 1 and "paper_pilot" in unknown.stdout + unknown.stderr

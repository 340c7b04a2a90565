"""The command `plw` as a shell sees it: help with examples, exit status, completion."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from checkout import ROOT
from plw.cli import COMMANDS, _parser

PROGRAM = "from plw.cli import main; main()"


def plw(*words: str, **options) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **options.pop("environment", {})}
    call = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(call, capture_output=True, text=True, env=environment, cwd=ROOT, **options)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_an_example_that_is_a_right_call(name, capsys):
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    (example,) = re.findall(rf"^  \$ .*?(plw {name}\b[^\n)#]*)", shown, re.MULTILINE)
    assert _parser().parse_args(shlex.split(example)[1:]).command == name


def test_every_subcommand_is_in_the_list_of_the_commands_own_help(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["--help"])
    listed = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"^    {name} ", listed, re.MULTILINE)] == []
    assert "Exit status: 0" in listed


@pytest.mark.slow
@pytest.mark.parametrize(("words", "status", "said"), [
    (["recommend", "nowhere.jsonl"], 1, "Error: A source was not found."),
    (["nonsense"], 2, "invalid choice"),
    (["plan"], 2, "required: study"),
    (["--help"], 0, ""),
])  # fmt: skip
def test_the_exit_status_is_as_documented(words, status, said):
    done = plw(*words)
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr
    documented = (ROOT / "docs/environment.md").read_text(encoding="utf-8")
    assert f"\n| {status} | " in documented


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_gets_what_it_reads(shell):
    pytest.importorskip("argcomplete")
    done = plw("completion", shell)
    assert done.returncode == 0 and "_ARGCOMPLETE" in done.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("line", "words"), [
    ("plw rec", {"recommend"}), ("plw recommend --pur", {"--purpose"}), ("plw completion ", {"bash", "zsh"}),
])  # fmt: skip
def test_words_are_completed(line, words, tmp_path):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
             "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}  # fmt: skip
    plw(environment=asked)
    found = {word.strip() for word in answer.read_text().splitlines()}
    assert words <= found and not any(word.startswith("verify") for word in found)

"""A job that fails: the terminal shows what its program said, and never the pages of its command."""

import logging
import shlex
import subprocess

import pytest
from checkout import copy_project, snakemake
from plw.study.logs import WithoutCommands

PAGES = '[{"name": "x", "text": "it\'s > a.log 2>&1"}] ' * 50


def shortened(error: Exception) -> str:
    """What Snakemake's logger would show of a rule's error."""
    text = f'RuleException:\nCalledProcessError in file "/p/workflow/rules/a.smk", line 3:\n{error}'
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, text, None, None)
    assert WithoutCommands().filter(record)
    return record.getMessage()


def failed(log: str, status: int = 1) -> Exception:
    command = f"unset A;  python x.py --json {shlex.quote(PAGES)} > {shlex.quote(log)} 2>&1"
    return subprocess.CalledProcessError(status, command)


def test_the_command_gives_way_to_what_its_program_said(tmp_path):
    log = tmp_path / "my log's.log"
    log.write_text("progress\nError: The column plw holds text.\n  Where: a.csv, line 3\n")
    expected = f"RuleException:\nA program failed (exit status 1): Error: The column plw holds text.\n  Log: {log}"
    assert shortened(failed(str(log))) == expected
    log.write_text("progress\nTraceback (most recent call last):\n  File a\nValueError: no\n")
    assert "(exit status 1): ValueError: no\n" in shortened(failed(str(log)))


def test_a_program_that_was_killed_and_one_without_a_log_are_told_too(tmp_path):
    assert "(Signals.SIGKILL: 9): its log shows how far it came.\n" in shortened(failed(str(tmp_path / "no.log"), -9))
    alone = shortened(subprocess.CalledProcessError(2, f"echo {PAGES}; false"))
    assert alone == "RuleException:\nA program failed (exit status 2); -p shows its command."


def test_other_messages_stay_as_they_are():
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, "Command 'x' failed: {%s}", None, None)
    assert WithoutCommands().filter(record) and record.getMessage() == "Command 'x' failed: {%s}"


@pytest.mark.workflow
@pytest.mark.slow
def test_a_wrong_score_table_ends_with_its_lines_below_snakemakes_words(tmp_path):
    project = copy_project(tmp_path / "project")
    (project / "bad.csv").write_text(
        "ptlm,dataset,plw,benchmark,score\nweak,plain,0.0,piqa,abc\nweak,plain,7,piqa,0.5\n"
    )
    target = "results/demo_from_bad/scores.csv"
    done = snakemake("--cores", "1", "--config", "scores=bad.csv", "--", target, folder=project)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Command '" not in said and "PYTHONPATH" not in said and len(said) < 3000
    ending = said.split("Exiting because a job execution failed")[1]
    assert "bad.csv, line 2" in ending and "bad.csv, line 3" in ending

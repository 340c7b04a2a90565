"""The Alpaca templates, character by character."""

import subprocess
import sys
from pathlib import Path

import pytest
from plw.data.template import format_prompt

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def test_prompt_with_input_is_the_published_one():
    assert format_prompt("Translate.", "Good day") == "\n".join(
        [
            "Below is an instruction that describes a task, paired with an input that provides further context. "
            "Write a response that appropriately completes the request.",
            "",
            "### Instruction:",
            "Translate.",
            "",
            "### Input:",
            "Good day",
            "",
            "### Response:",
        ]
    )


def test_prompt_without_input_is_the_published_one():
    assert format_prompt("Name a colour.") == "\n".join(
        [
            "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
            "",
            "### Instruction:",
            "Name a colour.",
            "",
            "### Response:",
        ]
    )


@pytest.mark.parametrize("blank", [" ", "\n", "noinput"])
def test_only_the_empty_string_counts_as_no_input(blank):
    assert "### Input:\n" + blank + "\n\n### Response:" in format_prompt("Do it.", blank)


def test_braces_in_fields_stay_as_they_are():
    prompt = format_prompt("Explain {x} and {input}.", "{instruction} {0}")
    assert "Explain {x} and {input}." in prompt and "{instruction} {0}" in prompt


def test_the_module_is_light():
    code = "import sys, plw.data.template; print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

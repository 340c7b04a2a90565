"""Every command of README.md, config/README.md and docs/ is run here, planned, or left out with a reason."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, copy_project, project_files, snakemake
from plw.sharing.exporting import export
from plw.study.configuration import load_configuration
from plw.study.sources import named_files
from small_results import make_results, part_of, runs_of
from tiny import tiny_model

# The tutorial is followed as a whole in tests/workflow/test_tutorial.py: each command needs those before it.
DOCUMENTS = [name for name in project_files() if re.fullmatch(r"(config/)?README\.md|docs/(?!tutorial)[^/]+\.md", name)]
FIRST_WORDS = r"(?:snakemake|plw|make|python3?|pip|conda|hf|bash|rm|squeue|tmux|column|nvidia-smi|\$EDITOR|export|\.)"
BEFORE = r"(?:[A-Z_]+=\S+ +)*"  # variables for one command
# Words that stand for the reader's own.
READERS_OWN = {"FOLDER": "samples", "STUDY": "demo", "NAME": "demo", "smol_cpu_DATE": "smol_cpu_one"}
NEITHER = {  # run nor planned
    "export HF_TOKEN=…": "a person's secret",
    "hf auth login": "a person's secret",
    "python3.11 -m venv .venv-judges && .venv-judges/bin/pip install -r envs/judges.lock.txt": "installs for minutes",
    "pip install .": "tests/project/test_package.py builds the wheel and installs it",
    "conda env create -f envs/statistics.yaml": "needs conda and its channels",
    'rm -r .venv; make setup TORCH_ARGS="--index-url ADDRESS"': "takes this environment away",
    "rm slurm; cp -r workflow/profiles/slurm slurm": "tests/workflow/test_places.py runs what an error says of links",
    "nvidia-smi": "needs a GPU's driver",
    ". .venv/bin/activate": "changes the reader's shell",
    "$EDITOR slurm/config.yaml": "opens an editor",
    "tmux new -s plw": "opens a terminal",
    "squeue --me": "needs a cluster",
    "column -t -s '|' results/paper_pilot/planned_and_measured.md": "shows a file of a finished study",
    "bash .ci/run": "runs the tests that this one belongs to",
    "python -m pytest -m study tests/workflow/test_paper_in_miniature.py": "runs the tests that this one belongs to",
    "python -m pytest tests/study/test_plan_processor.py": "runs the tests that this one belongs to",
    "snakemake -s CHECKOUT/Snakefile": "tests/workflow/test_places.py runs it and sees it refused",
    "plw publish demo short --repo OWNER/NAME --upload": "sends to the Hub; tests/sharing has one of its own",
    "plw recommend": "the name alone of what stands above it with its file",
    "plw doctor --vllm-python INTERPRETER": "needs an interpreter with vLLM",
}


def commands_of(text: str) -> list[str]:
    """The commands of a document: lines of its shell blocks, and code in its text that begins like one."""
    found = []
    for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, flags=re.DOTALL):
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        found += [re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines]
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found += [code for code in re.findall(r"`([^`]+)`", rest) if re.match(f"{BEFORE}{FIRST_WORDS} ", code)]
    found += re.findall(r"^# .*run with: (.*)$", text, flags=re.MULTILINE)
    return [" ".join(command.split()) for command in found if command]


COMMANDS = list(
    dict.fromkeys(command for name in DOCUMENTS for command in commands_of((ROOT / name).read_text(encoding="utf-8")))
)
SNAKEMAKE = [command for command in COMMANDS if command.startswith("snakemake ") and command not in NEITHER]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
PLW = [command for command in COMMANDS if command.startswith("plw ") and command not in NEITHER]
PROGRAMS = [
    command
    for command in COMMANDS
    if re.match(rf"{BEFORE}python3? (scripts|benchmarks)/", command) and command not in NEITHER
]


def test_every_command_is_run_or_planned_here_or_left_out_with_a_reason():
    known = {*SNAKEMAKE, *MAKE, *PLW, *PROGRAMS, *NEITHER}
    assert [command for command in COMMANDS if command not in known] == []
    assert set(NEITHER) <= set(COMMANDS), "what is left out is still in the documents"
    assert len(SNAKEMAKE) > 15 and len(MAKE) > 5


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_the_documented_targets(command):
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", PROGRAMS)
def test_programs_have_the_documented_flags(command):
    words = shlex.split(re.sub(rf"^{BEFORE}", "", command))[1:]
    program = (ROOT / words[0]).read_text(encoding="utf-8")
    flags = [word for word in words[1:] if word.startswith("--")]
    library = [
        ROOT / "scripts" / name.replace(".", "/") for name in re.findall(r"^from ([\w.]+)", program, re.MULTILINE)
    ]
    texts = [program, *(path.with_suffix(".py").read_text() for path in library if path.with_suffix(".py").is_file())]
    assert [flag for flag in flags if not any(f'"{flag}"' in text for text in texts)] == []


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with what the documents' readers have beside it."""
    folder = copy_project(tmp_path_factory.mktemp("documents") / "project")
    study = (ROOT / "config/README.md").read_text(encoding="utf-8").split("# my_study.yaml")[1].split("```")[0]
    (folder / "my_study.yaml").write_text(f"#{study}")
    for name in ("models/mine/config.json", "data/faq.jsonl"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("{}\n")
    (folder / "my_scores.csv").write_text("ptlm,dataset,plw,benchmark,score\n")
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"It is {n}, of course."} for n in range(60)]
    (folder / "my_data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tiny_model(folder / "models/llama")
    results = make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42))
    export(part_of(results, 42), folder / "docs/replications/smol_cpu_one", root=ROOT)
    shutil.copytree(folder / "docs/replications/smol_cpu_one", folder / "demo_export")
    for name in ("smol_cpu", "smol_local", "smol_40min"):  # files of the samples, of which a dry run sees the names
        study = load_configuration({"study": name, "samples": "samples"}, root=ROOT)
        entries = [*study["datasets"].values(), *study["benchmarks"].values()]
        files = [file for entry in entries for file in named_files(entry.get("source", {}))]
        for file in [*files, study["evaluation"].get("truthfulqa_preamble", "")]:
            if file.startswith("samples/"):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).touch()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", PLW)
def test_the_documented_subcommands_run(command, project):
    """A wrong call ends with 2; 1 is a finding in one message: a study that is not finished, a missing package."""
    words = [READERS_OWN.get(word, word) for word in shlex.split(command)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(project / "scripts")}
    call = [sys.executable, "-c", "from plw.cli import main; main()", *words]
    done = subprocess.run(call, cwd=project, env=environment, capture_output=True, text=True)
    expected = (
        (0, 1) if {"results/demo", "doctor", "verify", "export", "compare", "methods", "publish"} & set(words) else (0,)
    )
    assert done.returncode in expected, done.stderr
    assert "Traceback" not in done.stderr


def planned(command: str) -> tuple[str, ...]:
    """A documented call as a dry run of the same: calls that differ in cores alone are one."""
    text = re.sub(r"\bresults=FOLDER", "results=docs/replications/smol_cpu_DATE", command)
    text = re.sub(r"\b(FOLDER|STUDY|NAME|smol_cpu_DATE)\b", lambda word: READERS_OWN[word[0]], text)
    words = shlex.split(re.sub(r"--cores \S+|--dry-run", "", text))[1:]
    return ("--dry-run", "--cores", "2", *words) if "--unlock" not in words else tuple(words)


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.parametrize("call", dict.fromkeys(planned(command) for command in SNAKEMAKE), ids=" ".join)
def test_the_documented_call_is_planned(call, project):
    done = snakemake(*call, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]

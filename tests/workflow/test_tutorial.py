"""docs/tutorial.md as it stands, run from beginning to end with the models of the finished test study."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from checkout import ROOT, copy_project
from plw.study.chain import read_study_file

pytestmark = [pytest.mark.study, pytest.mark.slow]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
FIGURES = ("figure_1", "figure_5")


@pytest.fixture(scope="module")
def followed(finished_study, tmp_path_factory):
    """A project in which the tutorial was followed, and what was said; the test study's world stands for the demo's."""
    folder = copy_project(tmp_path_factory.mktemp("tutorial") / "project")
    shutil.copytree(finished_study / "results/test/world", folder / "results/demo/world")
    makes_the_demo, *commands = re.findall(r"```bash\n(.*?)```", TUTORIAL, re.DOTALL)
    assert makes_the_demo.startswith("snakemake --cores all results/demo/world/")
    programs = folder.parent / "bin"
    programs.mkdir()
    (programs / "plw").write_text(f'#!/bin/sh\nexec {sys.executable} -c "from plw.cli import main; main()" "$@"\n')
    (programs / "plw").chmod(0o755)
    path = f"{programs}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "scripts")}
    call = ["bash", "-euc", "\n".join(commands)]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return folder, done.stdout + done.stderr


def test_it_ends_at_figures_of_ones_own_data_and_a_report(followed):
    folder, said = followed
    results = folder / "results/my_first_study"
    for name in FIGURES:
        assert (results / f"figures/{name}.png").stat().st_size > 1000 and f"{name}.png" in TUTORIAL
    rows = (results / "figures/figure_1.csv").read_text()
    assert "my_data" in rows and "my_questions" in (results / "scores.csv").read_text()
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Table 3" in page and "fewer than 3 prompt loss weights or 10 scores of a data set" in page
    assert "Report:  results/my_first_study/report.html" in said


def test_nothing_of_the_demos_world_is_trained_again(followed):
    folder, said = followed
    logs = {file.name for file in (folder / "results/my_first_study/logs").glob("*")}
    assert not logs & {"train_tokenizer.log", "pretrain_model", "train_judge.log", "evaluate_ptlm", "judge_outputs"}
    assert "Run it: snakemake --cores all --config study=my_first_study.yaml" in said


def test_the_file_that_it_shows_is_the_one_that_is_written(followed, tmp_path):
    folder, _ = followed
    (shown,) = re.findall(r"```yaml\n(.*?)```", TUTORIAL, re.DOTALL)
    (tmp_path / "shown.yaml").write_text(shown)
    written = read_study_file(folder / "my_first_study.yaml").values
    assert written.pop("plan").keys() == {"lengths"}
    assert written == read_study_file(tmp_path / "shown.yaml").values

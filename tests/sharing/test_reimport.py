"""An export of the finished test study and its score table, read again: the tables and verdicts of the study itself."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import snakemake
from finished_study import RESULTS
from validators import crate_issues

pytestmark = [pytest.mark.study, pytest.mark.slow, pytest.mark.r]


def plw(project: Path, *words: str) -> subprocess.CompletedProcess:
    """`plw` called by hand in a checkout."""
    call = [sys.executable, "-c", "from plw.cli import main; main()", *words]
    library = os.pathsep.join([str(project / "scripts"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": library.rstrip(os.pathsep)}
    return subprocess.run(call, cwd=project, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(finished_study) -> Path:
    return finished_study


@pytest.fixture(scope="module")
def exported(project) -> Path:
    """The export of the study, by its name."""
    done = plw(project, "export", "test", "-o", "exported")
    assert done.returncode == 0, done.stderr
    assert "exported: 15 runs" in done.stdout
    return project / "exported"


def test_every_artifact_of_the_study_that_travels_is_in_the_export_as_it_was(project, exported):
    for name in ("claims.json", "claims.md", "missing.json", "regression", "tables"):
        ours = [project / RESULTS / name, *(project / RESULTS / name).rglob("*")]
        files = [file for file in ours if file.is_file()]
        assert files
        for file in files:
            assert (exported / file.relative_to(project / RESULTS)).read_bytes() == file.read_bytes()


def test_the_crate_of_a_real_study_is_valid(exported, tmp_path):
    assert crate_issues(exported, "provenance-run-crate", tmp_path) == []


def test_tables_3_and_5_from_an_exports_scores_are_the_studys_byte_for_byte(project, exported):
    shutil.copytree(exported, project / "elsewhere")
    given = ("--config", "study=test", "scores=elsewhere/scores.csv")
    done = snakemake("--cores", "all", "table_3", "table_5", *given, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    for table in ("table_3", "table_5"):
        for kind in ("csv", "md", "tex"):
            ours, theirs = (
                project / f"results/{study}/tables/{table}.{kind}" for study in ("test", "test_from_elsewhere")
            )
            assert ours.read_bytes() == theirs.read_bytes(), f"{table}.{kind}"


def test_an_exports_results_give_the_figures_and_verdicts_of_the_study_itself(project, exported):
    done = snakemake("--cores", "all", "figure_2", "claims", "--config", "results=exported", folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    ours, theirs = project / RESULTS, project / "results/test_from_exported"
    assert not (theirs / "runs").exists()
    rows = []
    for folder in (ours, theirs):
        with open(folder / "figures/figure_2.csv", encoding="utf-8") as stream:
            rows.append(list(csv.DictReader(stream)))
    assert rows[0] == rows[1]
    first, second = (json.loads((each / "claims.json").read_text())["claims"] for each in (ours, theirs))
    assert first == second


@pytest.fixture(scope="module")
def from_scores(project) -> Path:
    """All that a table with the study's own scores gives, as an analyst brings it."""
    (project / "brought.csv").write_bytes((project / RESULTS / "scores.csv").read_bytes())
    done = snakemake("--cores", "all", "--config", "study=test", "scores=brought.csv", folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return project / "results/test_from_brought"


def test_a_score_table_alone_gives_statistics_claims_and_report(project, from_scores):
    assert not (from_scores / "runs").exists()
    # The same scores give the same fits, whether they were measured here or brought along.
    ours, theirs = (
        json.loads((each / "regression/short.json").read_text()) for each in (project / RESULTS, from_scores)
    )
    assert ours["fit"] == theirs["fit"]
    claims = {claim["id"]: claim for claim in json.loads((from_scores / "claims.json").read_text())["claims"]}
    assert claims["C19"]["verdict"] == "inconclusive"  # training stability is not in a score table
    assert "report" in (from_scores / "report.html").read_text(encoding="utf-8")


def test_a_study_of_given_scores_is_exported_and_its_scores_are_taken_again(project, from_scores, tmp_path):
    """What was made of an analyst's table travels too: its scores alone, and nothing of any training."""
    done = plw(project, "export", str(from_scores.relative_to(project)), "-o", "exported_scores")
    assert done.returncode == 0, done.stderr
    folder = project / "exported_scores"
    assert not (folder / "records.json").exists() and not (folder / "croissant").exists()
    assert "came from a table that was given" in (folder / "README.md").read_text(encoding="utf-8")
    done = snakemake("--dry-run", "all", "--config", "results=exported_scores", folder=project)
    assert done.returncode == 0, done.stderr
    assert "figure_2" not in done.stdout
    assert crate_issues(folder, "ro-crate-1.1", tmp_path) == []

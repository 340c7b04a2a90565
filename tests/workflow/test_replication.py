"""Figures and verdicts from packed results, in a checkout that has no results of its own."""

import json

import pandas as pd
import pytest
from checkout import ROOT, copy_project, planned_jobs, snakemake
from plw.sharing.exporting import export
from small_results import make_results, part_of, runs_of

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
GIVEN = ("--config", "results=docs/replications/smol_cpu_one")
MADE = "results/smol_cpu_from_smol_cpu_one"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which eight runs of made-up numbers are packed, and nothing else is."""
    folder = copy_project(tmp_path_factory.mktemp("replication") / "project")
    results = make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42))
    export(part_of(results, 42), folder / "docs/replications/smol_cpu_one", root=ROOT)
    return folder


def test_nothing_is_trained_or_measured_and_no_sample_is_needed(project):
    done = snakemake("--dry-run", *GIVEN, folder=project)
    assert done.returncode == 0, done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert {"take_scores", "draw_figure_2", "make_table_1", "make_table_losses", "judge_claims"} <= set(jobs)
    expensive = ("train_", "evaluate_", "measure_", "prepare_", "describe_", "convert_", "fetch")
    assert not [job for job in jobs if job.startswith(expensive)]
    assert jobs.get("collect_mechanism", 0) == 0


def test_figure_2_is_drawn_from_the_packed_measures(project):
    done = snakemake("--cores", "1", "figure_2", "table_losses", "table_1", *GIVEN, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    drawn = pd.read_csv(project / MADE / "figures/figure_2.csv")
    packed = pd.read_csv(project / "docs/replications/smol_cpu_one/mechanism.csv")
    assert set(drawn["panel"]) == set("abcefg"), "(d) is AlpacaEval's, which this study does not run"
    for measure in ("rsd", "rsd_completion", "clipped_updates", "gradient_norm", "weight_distance"):
        ours = drawn[(drawn["measure"] == measure) & (drawn["statistic"] == "value")].set_index("run")["value"]
        theirs = packed[packed["measure"] == measure].set_index("run")["value"]
        assert ours.to_dict() == pytest.approx(theirs.to_dict())
        assert len(ours) == 8
    assert (project / MADE / "figures/figure_2.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.r
def test_claims_are_judged_from_the_packed_results(project):
    done = snakemake("--cores", "1", "claims", *GIVEN, folder=project)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    claims = {claim["id"]: claim for claim in json.loads((project / MADE / "claims.json").read_text())["claims"]}
    assert len(claims) == 40
    # Memorisation is in the folder, so its claims are not left open for want of numbers.
    assert "BLEU at 0.1" in claims["C27"]["numbers"]
    assert not (project / "results/smol_cpu").exists()

"""The studies for one GPU: what they ask for, and that they fit into the time that they are made for."""

import json
from pathlib import Path

import pytest
from checkout import ROOT, planned_jobs, snakemake
from plw.study.configuration import load_configuration, read_yaml
from plw.study.planning.plan import plan_study
from plw.study.runs import list_runs

PRINTED = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"]
# What describe_dataset measured in the 2,500 rows of the samples with SmolLM2's tokenizer: mean tokens of prompt and
# completion (template included, cut at 512), standard deviations of instruction, input and output.
MEASURED = {
    "alpaca_data_short": ((192.8, 14.2), (26.8, 131.0, 11.2)),
    "alpaca_data_cleaned": ((56.0, 134.5), (23.0, 21.4, 130.6)),
}


def load(name: str) -> dict:
    """The study with assumed rates, whatever was measured in this folder."""
    study = load_configuration({"study": name, "samples": "samples"}, root=ROOT)
    study["plan"].pop("measured", None)
    return study


def hours(study: dict, root: Path) -> tuple[float, float]:
    """Planned GPU hours of all stages, the least and the most."""
    spans = plan_study(study, list_runs(study), PRINTED, root)["gpu_hours"].values()
    return sum(span.low for span in spans), sum(span.high for span in spans)


def test_smol_has_two_ptlms_three_seeds_on_short_and_a_judge_and_fits_twelve_hours_of_one_gpu(tmp_path):
    study = load("smol")
    runs = list_runs(study)
    seeds = {
        name: {run.seed for run in runs if run.dataset == name} for name in study["experiments"]["main"]["datasets"]
    }
    assert seeds["alpaca_data_short"] == {42, 43, 44} and seeds["alpaca_data"] == seeds["alpaca_data_cleaned"] == {42}
    assert len(runs) == 2 * (10 + 10 + 30) and {run.ptlm for run in runs} == {"smollm2_135m", "smollm2_360m"}
    assert study["training"]["epochs"] == 3 and study["training"]["processes"] == 1
    assert study["judges"]["alpaca_eval"]["gpus"] == 1 and "alpaca_eval" in study["evaluation"]["benchmarks"]
    least, most = hours(study, tmp_path)
    assert 0 < least < most <= 12


def test_smol_40min_has_both_denominators_once_where_they_coincide_and_fits_forty_minutes(tmp_path):
    study = load("smol_40min")
    runs = list_runs(study)
    assert len(runs) == len({run.run for run in runs}) == 2 * (10 + 8 + 4 + 2)
    short = [run for run in runs if run.dataset == "alpaca_data_short" and run.seed == 42]
    assert len({run.plw for run in short}) == 10
    for plw in {run.plw for run in short}:
        divided = [run.normalization for run in short if run.plw == plw]
        assert divided == (["nonzero_count"] if plw in (0, 1) else ["nonzero_count", "sum_of_weights"])
    assert {run.plw for run in runs if run.dataset == "alpaca_data_cleaned"} == {0, 0.01, 0.1, 1}
    for name, ((prompt, completion), spread) in MEASURED.items():
        folder = tmp_path / f"results/smol_40min/data/{name}"
        folder.mkdir(parents=True)
        lengths = {"rows": 2500, "max_length": 512, "mean_prompt_tokens": prompt, "mean_completion_tokens": completion}
        (folder / "preflight.json").write_text(json.dumps(lengths))
        fields = dict(zip(("instruction", "input", "output"), ({"sd": sd} for sd in spread), strict=True))
        (folder / "statistics.json").write_text(json.dumps({"tokens": fields}))
    least, most = hours(study, tmp_path)
    assert 0 < 60 * least < 60 * most <= 40


def test_smol_local_stays_the_small_study_that_it_was():
    study = load("smol_local")
    runs = list_runs(study)
    assert {(run.dataset, run.plw, run.seed) for run in runs} == {
        (dataset, plw, 42) for dataset in ("alpaca_data_cleaned", "alpaca_data_short") for plw in (0.0, 0.1)
    }
    assert len(runs) == 4 and study["evaluation"]["batch_size"] == 8 and study["training"]["zero_stage"] == 2


def test_a_floor_of_a_steps_time_makes_small_models_slower_and_large_ones_not(tmp_path):
    small, paper = load("smol"), load("paper")
    for study, slower in ((small, True), (paper, False)):
        without = study | {"plan": {key: value for key, value in study["plan"].items() if key != "step_seconds"}}
        floor = study | {"plan": study["plan"] | {"step_seconds": [0.035, 0.02]}}
        assert (hours(floor, tmp_path)[1] > 1.2 * hours(without, tmp_path)[1]) == slower


@pytest.mark.workflow
@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(("name", "runs"), [("smol", 100), ("smol_40min", 48)])
def test_the_small_studies_are_planned_by_snakemake_with_all_their_artifacts(name, runs, shared_data):
    done = snakemake("--dry-run", "--forceall", "--config", f"study={name}", f"samples={shared_data}")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert jobs["train_model"] == jobs["evaluate_model"] == jobs["measure_mechanism"] == runs
    assert {"draw_figure_1", "draw_figure_2", "make_table_3", "judge_claims", "build_report"} <= set(jobs)
    assert ("judge_outputs" in jobs) == (name == "smol") and ("make_table_losses" in jobs) == (name == "smol_40min")

"""The run table."""

import csv
import io
from pathlib import Path

import pytest
from plw.study.configuration import load_configuration
from plw.study.design import regressed_datasets
from plw.study.runs import batch_of, benchmarks_of, datasets_of, list_runs, reference_run, runs_csv

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def paper():
    return load_configuration({"study": "paper"}, root=ROOT)


def test_the_papers_main_experiment_has_sixty_runs(paper):
    runs = [run for run in list_runs(paper) if "main" in run.experiments]
    assert len(runs) == 2 * 3 * 10  # §4
    assert len({run.run for run in runs}) == 60


def test_the_whole_paper_has_more_than_two_hundred_runs(paper):
    runs = list_runs(paper)
    assert len(runs) >= 270
    assert len({run.run for run in runs}) == len(runs)


def test_a_run_that_two_experiments_need_exists_once(paper):
    paper["run_experiments"] = ["main", "losses"]
    runs = list_runs(paper)
    shared = [run for run in runs if run.experiments == ("main", "losses")]
    assert len(shared) == 2 * 5  # the losses at the default normalization are runs of the main grid
    assert len(runs) == 60 + 2 * 5 * 2


def test_an_experiment_has_seeds_of_its_own_for_all_data_sets_or_by_data_set(paper):
    paper["run_experiments"] = ["main"]
    main = paper["experiments"]["main"]
    main["seeds"] = [1, 2]
    assert len(list_runs(paper)) == 2 * 60
    main["seeds"] = {"alpaca_data_short": [42, 43, 44]}
    runs = list_runs(paper)
    assert len(runs) == 40 + 3 * 20
    assert {run.seed for run in runs if run.dataset == "alpaca_data_short"} == {42, 43, 44}
    assert {run.seed for run in runs if run.dataset != "alpaca_data_short"} == {42}


def test_an_experiment_has_plws_for_all_data_sets_or_by_data_set(paper):
    paper["run_experiments"] = ["main"]
    main = paper["experiments"]["main"] | {"datasets": ["alpaca_data_short", "alpaca_data_cleaned"]}
    paper["experiments"]["main"] = main | {"plw": {"alpaca_data_short": [0, 0.1, 1], "alpaca_data_cleaned": [0.1, 1]}}
    runs = list_runs(paper)
    assert len(runs) == 2 * (3 + 2)
    assert {run.plw for run in runs if run.dataset == "alpaca_data_cleaned"} == {0.1, 1.0}
    assert regressed_datasets(paper) == ["alpaca_data_short"]  # two levels are no parabola


def test_every_factor_is_in_the_runs_name(paper):
    paper["run_experiments"] = ["regularizers"]
    names = [run.run for run in list_runs(paper)]
    assert "llama_1_7b-alpaca_data_short-plw1-nonzero_count-weight_decay10-s42" in names
    assert len(names) == 2 * 2 * 4 * 3


def test_the_table_has_the_contracts_columns_and_reads_back(paper):
    rows = list(csv.DictReader(io.StringIO(runs_csv(list_runs(paper)))))
    assert list(rows[0]) == [
        "run",
        "ptlm",
        "dataset",
        "plw",
        "normalization",
        "regularizer",
        "strength",
        "seed",
        "experiments",
    ]
    assert {float(row["plw"]) for row in rows} == set(paper["experiments"]["main"]["plw"])


def test_translation_is_left_out_where_all_experiments_of_a_run_leave_it_out(paper):
    paper["run_experiments"] = ["main", "datasets"]
    for run in list_runs(paper):
        translated = any(name.startswith("wmt") for name in benchmarks_of(run, paper))
        assert translated == ("main" in run.experiments)


def test_a_derived_data_set_brings_its_parent_first(paper):
    paper["run_experiments"] = ["ratios"]
    names = datasets_of(list_runs(paper), paper)
    assert names == ["alpaca_data_cleaned", "alpaca_data_medium", "alpaca_data_tiny"]


def test_one_batch_holds_all_runs_of_a_ptlm_on_a_data_set(paper):
    runs = list_runs(paper)
    assert len({batch_of(run, {}) for run in runs if "main" in run.experiments}) == 6
    assert {batch_of(run, {}) for run in runs} == {f"{run.ptlm}.{run.dataset}" for run in runs}


def test_a_judge_may_judge_all_runs_of_a_ptlm_or_of_the_study_with_one_load(paper):
    runs = list_runs(paper)
    assert {batch_of(run, {"together": "ptlm"}) for run in runs} == {run.ptlm for run in runs}
    assert len({batch_of(run, {"together": "study"}) for run in runs}) == 1


def test_the_judges_reference_is_one_plain_run(paper):
    run = reference_run(paper, list_runs(paper), "pandalm")
    assert run.run == "llama_2_7b-alpaca_data-plw0-nonzero_count-none-s42"
    assert reference_run(paper, list_runs(paper), "alpaca_eval") is None


def test_the_replication_on_a_cpu_has_eight_runs_a_seed_with_two_denominators_where_they_differ():
    study = load_configuration({"study": "smol_cpu", "samples": "samples"}, root=ROOT)
    runs = list_runs(study)
    for seed in (42, 43, 44):
        cells = {(run.plw, run.normalization) for run in runs if run.seed == seed}
        counted = {(plw, "nonzero_count") for plw in (0.0, 0.0005, 0.01, 0.1, 0.5, 1.0)}
        assert cells == counted | {(plw, "sum_of_weights") for plw in (0.0005, 0.1)}
    assert len(runs) == 24
    training = study["training"]
    window = training["micro_batch"] * training["micro_batches_per_update"]
    assert (training["last_window"], training["epochs"]) == ("drop", 2)
    assert study["datasets"]["alpaca_data_cleaned"]["limit"] // window * training["epochs"] == 24
    assert (training["zero_stage"], training["processes"], training["threads"]) == ("none", 1, 1)

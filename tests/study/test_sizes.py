"""Numbers of examples as a factor of a study: its key, its runs, its data sets, its errors."""

import csv
import io
from pathlib import Path

import pytest
import yaml
from plw.errors import InputErrors
from plw.study.configuration import load_configuration
from plw.study.design import experiment_datasets, regressed_datasets, smoothed_datasets
from plw.study.parameters import roles, training_row
from plw.study.planning.workload import dataset_lengths
from plw.study.runs import datasets_of, list_runs, runs_csv

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "ptlms": ["weak"],
    "datasets": ["short", "plain"],
    "plw": {"short": [0.0, 0.1], "plain": [1.0]},
    "examples": [20, 50, "all"],
}
LONG = "n" * 62
EXPERIMENTS = ["main", "regularizers", "datasets", "ratios", "sizes"]


def load(folder, **changes):
    file = folder / "mine.yaml"
    study = {"base": "test", "experiments": {"sizes": {**SIZES, **changes.pop("sizes", {})}}}
    file.write_text(yaml.safe_dump(study | {"run_experiments": EXPERIMENTS} | changes))
    return load_configuration({"study": str(file)}, root=ROOT)


def message(folder, **changes):
    with pytest.raises(InputErrors) as caught:
        load(folder, **changes)
    return str(caught.value)


def test_each_number_of_rows_is_a_run_whose_name_and_row_tell_it_and_all_is_the_run_that_others_share(tmp_path):
    study = load(tmp_path)
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(runs_csv(list_runs(study))))}
    mine = {name: row for name, row in rows.items() if "sizes" in row["experiments"]}
    assert {(row["dataset"], row["plw"], row["examples"]) for row in mine.values()} == {
        *(("short", plw, "") for plw in ("0.0", "0.1")),
        *((f"short_n{size}", plw, size) for size in ("20", "50") for plw in ("0.0", "0.1")),
        *(("plain", "1.0", ""), ("plain_n20", "1.0", "20"), ("plain_n50", "1.0", "50")),
    }
    assert mine["weak-short-plw0.1-nonzero_count-none-s42"]["experiments"] == "main;sizes"
    assert mine["weak-short_n20-plw0.1-nonzero_count-none-s42"]["experiments"] == "sizes"


def test_a_study_without_the_key_has_the_runs_columns_and_parameters_that_it_had(tmp_path):
    plain = load(tmp_path, run_experiments=EXPERIMENTS[:-1])
    assert "examples" not in runs_csv(list_runs(plain))
    assert all('"examples"' not in training_row(run) for run in list_runs(plain))
    known = {run.run: training_row(run) for run in list_runs(plain)}
    with_sizes = {run.run: training_row(run) for run in list_runs(load(tmp_path))}
    assert known == {name: with_sizes[name] for name in known}, "of the runs that are there nothing is trained again"


def test_a_drawn_data_set_is_derived_from_the_whole_and_stands_for_none_of_the_papers(tmp_path):
    study = load(tmp_path)
    assert study["datasets"]["short_n20"] == {"label": "Short, 20 rows", "from": "short", "subset": {"rows": 20}}
    names = datasets_of(list_runs(study), study)
    assert [names.index(name) for name in ("cleaned", "short", "short_n20")] == sorted(
        names.index(name) for name in ("cleaned", "short", "short_n20")
    ), "parents first, also of parents"
    assert "stands_for" not in roles(study, "datasets", ["short_n20"])
    for found in (regressed_datasets(study), smoothed_datasets(study), experiment_datasets(study, "main")):
        assert found and not any("_n" in name for name in found)


def test_a_resolved_study_can_be_read_again(tmp_path):
    study = load(tmp_path)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump({**study, "base": "test", "name": "again"}))
    again = load_configuration({"study": str(tmp_path / "again.yaml")}, root=ROOT)
    assert again["datasets"] == study["datasets"]
    assert [run.run for run in list_runs(again)] == [run.run for run in list_runs(study)]


def test_a_dry_run_takes_a_draw_for_as_long_as_its_parent_with_fewer_rows(tmp_path):
    study = load(tmp_path, plan={"lengths": {"short": {"rows": 500, "prompt": 60, "completion": 30, "sd": 20}}})
    whole, drawn = (dataset_lengths(study, name, {}, tmp_path) for name in ("short", "short_n20"))
    assert (whole.rows, drawn.rows) == (500, 20)
    assert whole.mean == drawn.mean


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": {"examples": [0]}}, ["0", "experiments.sizes.examples", "a number of rows from 1, or all"]),
        ({"sizes": {"examples": [20, 20]}}, ["non-unique", "experiments.sizes.examples"]),
        ({"sizes": {"examples": []}}, ["experiments.sizes.examples"]),
        ({"sizes": {"examples": ["some"]}}, ["some", "a number of rows from 1, or all"]),
        ({"experiments": {"main": {"examples": [20]}}}, ["experiment main is of whole data sets", "`sizes`"]),
        (
            {"datasets": {"short_n20": {"label": "Mine", "source": {"path": "x.jsonl"}}}},
            ["short_n20", "taken by another data set"],
        ),
        (
            {
                "datasets": {
                    "few": {"label": "Few", "from": "plain", "subset": {"rows": 30}},
                    "fewer": {"label": "Fewer", "from": "few", "subset": {"rows": 3}},
                }
            },
            ["derived parent", "datasets.fewer.from"],
        ),
        ({"datasets": {"few": {"label": "Few", "from": "plain", "subset": {"seed": 1}}}}, ["rows", "few"]),
        (
            {"sizes": {"datasets": [LONG], "plw": [0.1]}, "datasets": {LONG: {"label": "N", "source": "alpaca_data"}}},
            ["longer than 64"],
        ),
    ],
)  # fmt: skip
def test_wrong_numbers_of_rows_are_told_with_their_place(tmp_path, changes, words):
    if "experiments" in changes:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({"base": "test", **changes}))
        with pytest.raises(InputErrors) as caught:
            load_configuration({"study": str(file)}, root=ROOT)
        said = str(caught.value)
    else:
        said = message(tmp_path, **changes)
    for word in words:
        assert word in said

"""Packed results of a study: the numbers as they were, and nothing of anybody's data."""

import csv
import gzip
import json
import re

import pack_replication
import pandas as pd
import pytest
from checkout import ROOT
from plw.errors import InputError
from plw.mechanism.stability import loss_stability
from plw.report.replication import check_run_table, measure_table, pack, shared_and_own, study_change
from plw.scores.items import read_items
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs
from plw.training.loss_log import read_loss
from small_results import DATASETS, SECRET, make_results, runs_of

pytestmark = pytest.mark.slow  # imports the training's libraries


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42, 43))


@pytest.fixture(scope="module")
def packed(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "smol_cpu_2026-11-25"
    pack("smol_cpu", runs_of(42), results, folder, datasets=DATASETS, seeds=[42])
    return folder


def test_the_tables_hold_the_numbers_of_the_packed_runs_to_the_last_digit(results, packed):
    names = [run.run for run in runs_of(42)]
    for name in ("scores.csv", "mechanism.csv", "rsd_windows.csv"):
        ours, theirs = (pd.read_csv(folder / name, dtype=str) for folder in (packed, results))
        expected = theirs[theirs["run"].isin(names)].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, expected)
        assert len(expected) < len(theirs), "another seed's runs were left out"
    ours, theirs = read_items(packed / "items.parquet"), read_items(results / "items.parquet")
    pd.testing.assert_frame_equal(ours, theirs[theirs["run"].isin(names)].reset_index(drop=True))


def read_curves(path):
    """The curves as `read_loss` gives a run's own log."""
    curves: dict[str, list[dict]] = {}
    with gzip.open(path, "rt", newline="") as stream:
        for row in csv.DictReader(stream):
            run = row.pop("run")
            curves.setdefault(run, []).append({key: float(cell) if cell else None for key, cell in row.items()})
    return curves


def test_loss_curves_come_back_as_the_log_gives_them_and_yield_the_packed_rsd(results, packed):
    curves = read_curves(packed / "loss_curves.csv.gz")
    measures = pd.read_csv(packed / "mechanism.csv").set_index(["run", "measure"])["value"]
    assert list(curves) == [run.run for run in runs_of(42)]
    for run, rows in curves.items():
        assert rows == read_loss(results / "runs" / run / "loss.csv")
        assert loss_stability(rows).mean == pytest.approx(measures[run, "rsd"], rel=1e-12)
        alone = loss_stability(rows, column="completion_loss")
        assert alone.mean == pytest.approx(measures[run, "rsd_completion"], rel=1e-12)


def test_no_text_of_a_data_set_or_a_model_is_in_any_file(results, packed):
    assert any(SECRET in file.read_text() for file in results.rglob("*.json"))
    for file in packed.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            content = gzip.decompress(content) if file.suffix == ".gz" else content
            assert SECRET.encode() not in content, file
    assert not list(packed.rglob("*.jsonl"))


def test_the_packed_study_plans_exactly_the_packed_runs_under_a_name_of_its_own(packed):
    study = load_configuration({"results": str(packed)}, root=ROOT)
    assert [run.run for run in list_runs(study)] == [run.run for run in runs_of(42)]
    assert study["name"] == "smol_cpu_from_smol_cpu_2026_11_25"
    with pytest.raises(InputError, match="plans other runs"):
        check_run_table(packed, runs_of(42, 43))
    assert "seeds" not in study_change("smol_cpu", None)


def test_the_same_results_are_the_same_bytes(results, packed, tmp_path):
    pack("smol_cpu", runs_of(42), results, tmp_path / packed.name, datasets=DATASETS, seeds=[42])
    for file in packed.rglob("*"):
        if file.is_file() and file.name != "README.md":  # which names its folder
            assert (tmp_path / packed.name / file.relative_to(packed)).read_bytes() == file.read_bytes()


def test_what_all_records_share_stands_once_and_each_record_can_be_put_together_again(results, packed):
    split = json.loads((packed / "records.json").read_text())

    def joined(common, own):
        return {
            key: joined(common.get(key, {}), own.get(key, {}))
            if isinstance(common.get(key, own.get(key)), dict)
            else own.get(key, common.get(key))
            for key in {*common, *own}
        }

    assert split["shared"]["git"] == {"commit": "abc123", "dirty": False}
    assert split["shared"]["training"] == {"epochs": 2}
    for run, own in split["runs"].items():
        assert joined(split["shared"], own) == json.loads((results / "runs" / run / "run.json").read_text())
    assert shared_and_own({"only": {"a": 1, "b": {"c": 2}}}) == {
        "shared": {"a": 1, "b": {"c": 2}},
        "runs": {"only": {}},
    }


def test_the_readme_says_what_was_run_where_and_which_seeds(packed):
    text = (packed / "README.md").read_text()
    for said in ("8 fine-tunings", "only 42", "abc123", "a CPU", "torch 2.13", f"results={packed}"):
        assert said in text


def test_the_table_has_a_row_for_each_plw_and_denominator_with_means_and_ranges_over_seeds(results, packed):
    one = measure_table(pd.read_csv(packed / "mechanism.csv"))
    assert one in (packed / "README.md").read_text()
    assert len(one.splitlines()) == 2 + 8 + 2
    assert "[" not in one, "one seed has no range"
    measures = pd.read_csv(results / "mechanism.csv")
    lines = {tuple(line.split(" | ")[:2]): line.split(" | ") for line in measure_table(measures).splitlines()[2:-2]}
    head = measure_table(measures).splitlines()[0].split(" | ")
    cell = lines["| 0.1", "sum of weights"]
    values = measures[
        (measures["measure"] == "weight_distance") & (measures["plw"] == 0.1)
        & (measures["normalization"] == "sum_of_weights")
    ]["value"]  # fmt: skip
    assert len(values) == 2
    expected = f"{values.mean():.1f} [{values.min():.1f}, {values.max():.1f}]"
    assert cell[head.index("weight distance")] == expected
    assert cell[2] == "2"
    assert ("| 0", "both the same") in lines


def test_unfinished_runs_are_refused_and_the_finished_seeds_named(results, tmp_path):
    with pytest.raises(InputError, match=r"8 of 24 runs are not finished[\s\S]*42, 43; name them with --seeds"):
        pack("smol_cpu", runs_of(42, 43, 44), results, tmp_path / "x", datasets=DATASETS)
    with pytest.raises(InputError, match="no such runs"):
        pack("smol_cpu", [], results, tmp_path / "x", datasets=DATASETS)
    assert not (tmp_path / "x").exists()


def test_a_table_that_is_older_than_the_runs_is_refused(tmp_path):
    results = make_results(tmp_path / "results", runs_of(42))
    table = pd.read_csv(results / "scores.csv", dtype=str)
    table[table["plw"] != "1.0"].to_csv(results / "scores.csv", index=False)
    with pytest.raises(InputError, match="lacks runs"):
        pack("smol_cpu", runs_of(42), results, tmp_path / "x", datasets=DATASETS)
    (results / "scores.csv").unlink()
    with pytest.raises(InputError, match="is not there"):
        pack("smol_cpu", runs_of(42), results, tmp_path / "x", datasets=DATASETS)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_there_is_not_overwritten(results, packed):
    with pytest.raises(InputError, match="there already"):
        pack("smol_cpu", runs_of(42), results, packed, datasets=DATASETS)


def test_the_program_packs_the_finished_seeds(results, tmp_path, capsys):
    out = tmp_path / "smol_cpu_today"
    pack_replication.main(
        [
            "--study",
            "smol_cpu",
            "--results",
            str(results),
            "--seeds",
            "42",
            "43",
            "--root",
            str(ROOT),
            "--out",
            str(out),
        ]
    )
    assert "16 runs" in capsys.readouterr().out
    assert (out / "study.yaml").read_text() == "base: smol_cpu\nname: smol_cpu\nseeds:\n- 42\n- 43\n"


@pytest.mark.parametrize(
    ("given", "said"), [({"results": "nowhere"}, "no folder of packed results"), ({"scores": "x.csv"}, "Both")]
)
def test_a_wrong_folder_of_results_gets_its_message(packed, given, said):
    with pytest.raises(InputError, match=said):
        load_configuration({"results": str(packed), **given}, root=ROOT)


COMMITTED = sorted(path.parent for path in (ROOT / "docs/replications").glob("*/study.yaml"))


@pytest.mark.parametrize("folder", COMMITTED, ids=[folder.name for folder in COMMITTED])
def test_a_committed_replication_is_whole_small_and_says_what_its_numbers_are(folder):
    runs = list_runs(load_configuration({"results": str(folder)}, root=ROOT))
    check_run_table(folder, runs)
    measures = pd.read_csv(folder / "mechanism.csv")
    assert measure_table(measures) in (folder / "README.md").read_text(encoding="utf-8")
    stated = set(measures[measures["measure"] == "rsd"]["run"])
    assert stated == {run.run for run in runs}
    for run, rows in read_curves(folder / "loss_curves.csv.gz").items():
        value = measures[(measures["run"] == run) & (measures["measure"] == "rsd")]["value"].item()
        assert loss_stability(rows).mean == pytest.approx(value, rel=1e-12)
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 500_000


def test_every_table_of_measures_in_the_document_is_a_committed_folders():
    text = (ROOT / "docs/replication.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| PLW \|.*\n(?:\|.*\n)+", text, flags=re.MULTILINE)
    known = [(folder / "README.md").read_text(encoding="utf-8") for folder in COMMITTED]
    assert all(any(table.strip() in readme for readme in known) for table in tables)

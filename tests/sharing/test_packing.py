"""The small results in an export: the numbers as they were, and nothing of anybody's data."""

import csv
import gzip
import hashlib
import io
import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from checkout import ROOT
from plw.cli import parse_and_run
from plw.errors import InputError
from plw.mechanism.stability import loss_stability
from plw.scores.items import read_items
from plw.sharing.exporting import export
from plw.sharing.finished import FinishedStudy, find_study, without_own_folders
from plw.sharing.packing import check_run_table, shared_and_own, study_file
from plw.sharing.readme import measure_table
from plw.sharing.sides import read_side
from plw.study.configuration import given_results, load_configuration, name_from
from plw.study.runs import list_runs
from plw.training.loss_log import read_loss
from small_results import SECRET, STUDY, make_results, part_of, runs_of

pytestmark = pytest.mark.slow  # imports the training's libraries


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results") / "smol_cpu", runs_of(42, 43))


@pytest.fixture(scope="module")
def packed(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "smol_cpu_2026-11-25"
    export(part_of(results, 42), folder, root=ROOT)
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


def test_nobody_is_told_in_which_folder_of_a_machine_models_and_data_lay(results, tmp_path):
    home, mine = str(tmp_path / "secret"), tmp_path / "smol_cpu"
    shutil.copytree(results, mine)
    (mine / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    for file in (mine / "study.yaml", *mine.glob("runs/*/run.json")):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"\b(samples|resources)/", f"{home}/\\1/", text), encoding="utf-8")
    assert home in (mine / "study.yaml").read_text(encoding="utf-8")
    out = tmp_path / "exported"
    export(find_study(str(mine), ROOT, [42]), out, root=ROOT)
    told = [file for file in out.rglob("*") if file.is_file() and home.encode() in file.read_bytes()]
    assert told == []
    study = yaml.safe_load((out / "study.yaml").read_text(encoding="utf-8"))
    assert study["benchmarks"]["piqa"]["source"]["path"]["validation"].startswith("samples/samples/bench/")


def test_a_text_that_only_begins_with_a_stroke_is_no_path():
    study = {"benchmarks": {"own": {"until": ["/", "/n"], "source": {"path": "/a/b/quiz.jsonl"}}}}
    own = {"until": ["/", "/n"], "source": {"path": "samples/quiz.jsonl"}}
    assert without_own_folders(study) == {"benchmarks": {"own": own}}


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


def test_the_same_results_are_the_same_bytes(results, packed, tmp_path):
    export(part_of(results, 42), tmp_path / packed.name, root=ROOT)
    for file in packed.rglob("*"):
        if file.is_file():
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
    for said in ("8 fine-tunings", "only 42", "abc123", "a CPU", "torch 2.13", "results=THIS_FOLDER"):
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
        export(part_of(results, 42, 43, 44), tmp_path / "x", root=ROOT)
    with pytest.raises(InputError, match="no such runs"):
        find_study(str(results), ROOT, seeds=[7])
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_older_than_the_runs_is_refused_and_nothing_is_left(tmp_path):
    results = make_results(tmp_path / "results", runs_of(42))
    table = pd.read_csv(results / "scores.csv", dtype=str)
    table[table["plw"] != "1.0"].to_csv(results / "scores.csv", index=False)
    with pytest.raises(InputError, match="lacks runs"):
        export(part_of(results, 42), tmp_path / "out" / "x", root=ROOT)
    (results / "scores.csv").unlink()
    with pytest.raises(InputError, match=r"1 files are missing[\s\S]*scores.csv"):
        export(part_of(results, 42), tmp_path / "out" / "x", root=ROOT)
    assert not list((tmp_path / "out").iterdir()), "neither the folder nor a temporary one"


def test_a_study_without_what_all_its_runs_together_give_is_refused_by_name(results, tmp_path):
    whole = FinishedStudy(results, {**STUDY, "seeds": [42, 43]}, runs_of(42, 43))
    with pytest.raises(InputError, match=r"not finished: \d+ files are missing[\s\S]*'runs.csv', 'study.yaml'"):
        export(whole, tmp_path / "x", root=ROOT)
    assert list(tmp_path.iterdir()) == []


def test_seeds_that_only_some_data_sets_have_are_refused_alone():
    """The demo has three seeds on Short and one on the others: with 43 alone no study file plans its runs."""
    demo = load_configuration({"study": "demo"}, root=ROOT)
    with pytest.raises(InputError, match=r"none of these seeds[\s\S]*all data sets have: 42"):
        study_file(demo, ROOT, [43])
    assert yaml.safe_load(study_file(demo, ROOT, [42, 43]))["experiments"]["main"]["seeds"] == {"short": [42, 43]}


def test_a_folder_that_is_there_is_not_overwritten(results, packed):
    with pytest.raises(InputError, match="there already"):
        export(part_of(results, 42), packed, root=ROOT)


def test_the_command_exports_the_finished_seeds_and_the_study_file_is_the_study_with_them(results, tmp_path, capsys):
    out = tmp_path / "smol_cpu_today"
    project = tmp_path / "project"
    project.mkdir()
    for name in ("Snakefile", "config", "workflow"):
        (project / name).symlink_to(ROOT / name)
    (project / "results").mkdir()
    (project / "results/smol_cpu").symlink_to(results)
    parse_and_run(["export", "smol_cpu", "--seeds", "42", "43", "--root", str(project), "-o", str(out)])
    assert "16 runs" in capsys.readouterr().out
    again = load_configuration({"results": str(out)}, root=ROOT)
    assert again == {**STUDY, "seeds": [42, 43], "name": "smol_cpu_from_smol_cpu_today"}


@pytest.mark.parametrize("name", ["demo", "test", "paper", "smol", "smol_40min"])
def test_the_packed_study_file_is_the_whole_study(name, tmp_path):
    study = load_configuration({"study": name, "samples": "samples"}, root=ROOT)
    (tmp_path / "study.yaml").write_text(study_file(study, ROOT))
    for file in ("runs.csv", "scores.csv"):
        (tmp_path / file).touch()
    assert load_configuration({"results": str(tmp_path)}, root=ROOT) == {**study, "name": name_from(name, tmp_path)}
    read = yaml.safe_load((tmp_path / "study.yaml").read_text())  # as `plw recommend --study` and `plw power` do
    for registry in ("ptlms", "datasets", "benchmarks"):
        known = {key: without_null(entry) for key, entry in study[registry].items()}
        assert {key: entry for key, entry in without_null(read[registry]).items()} == known
    assert read["training"]["normalization"] == study["training"]["normalization"]


def without_null(value):
    """A nested mapping without the keys whose value is null."""
    if not isinstance(value, dict):
        return value
    return {key: without_null(item) for key, item in value.items() if item is not None}


def test_every_file_has_its_sum_and_every_loss_curve_can_be_put_together_to_its_runs_sum(results, packed):
    listed = dict(line.split("  ")[::-1] for line in (packed / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(packed)): path for path in packed.rglob("*") if path.is_file()}
    assert set(listed) == set(files) - {"SHA256SUMS"}
    assert all(hashlib.sha256(files[name].read_bytes()).hexdigest() == digest for name, digest in listed.items())
    curves = pd.read_csv(packed / "loss_curves.csv.gz", dtype=str, keep_default_na=False)
    graph = json.loads((packed / "ro-crate-metadata.json").read_text())["@graph"]
    sums = {entity["@id"]: entity["sha256"] for entity in graph if "sha256" in entity}
    for run, rows in curves.groupby("run"):
        stream = io.StringIO()
        rows.drop(columns="run").to_csv(stream, index=False)
        assert sums[f"#loss/{run}"] == hashlib.sha256(stream.getvalue().encode()).hexdigest()


@pytest.mark.parametrize(
    ("given", "said"), [({"results": "nowhere"}, "no export of a study"), ({"scores": "x.csv"}, "Both")]
)
def test_a_wrong_folder_of_results_gets_its_message(packed, given, said):
    with pytest.raises(InputError, match=said):
        load_configuration({"results": str(packed), **given}, root=ROOT)


def test_a_score_table_in_an_export_brings_what_was_measured_beside_it(packed, tmp_path):
    scores = str(packed / "scores.csv")
    assert given_results({"results": f"{packed}/"}) == given_results({"scores": scores}) == (scores, str(packed))
    study = load_configuration({"study": "smol_cpu", "samples": "samples", "scores": scores}, root=ROOT)
    assert study["name"] == "smol_cpu_from_smol_cpu_2026_11_25", "named by the export, not by scores.csv"
    alone = tmp_path / "scores.csv"
    alone.write_bytes((packed / "scores.csv").read_bytes())
    assert given_results({"scores": str(alone)}) == (str(alone), "")
    assert given_results({}) == ("", "")


def test_a_folder_that_the_earlier_program_packed_is_read_as_it_was(packed, tmp_path):
    """Version 0.4 named the study by its file and had neither sums nor formats for others."""
    for name in ("runs.csv", "scores.csv", "records.json"):
        (tmp_path / name).write_bytes((packed / name).read_bytes())
    (tmp_path / "study.yaml").write_text("base: smol_cpu\nname: smol_cpu\nseeds:\n- 42\n")
    study = load_configuration({"results": str(tmp_path)}, root=ROOT)
    assert [run.run for run in list_runs(study)] == [run.run for run in runs_of(42)]
    assert given_results({"results": str(tmp_path)}) == (f"{tmp_path}/scores.csv", str(tmp_path))
    assert len(read_side(str(tmp_path), ROOT).records) == 8


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
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 1_200_000


def test_every_table_of_measures_in_the_document_is_a_committed_folders():
    text = (ROOT / "docs/replication.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| PLW \|.*\n(?:\|.*\n)+", text, flags=re.MULTILINE)
    known = [(folder / "README.md").read_text(encoding="utf-8") for folder in COMMITTED]
    assert all(any(table.strip() in readme for readme in known) for table in tables)

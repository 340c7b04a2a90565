"""What rules are told: files, parameters and lists, as plain functions of a study, without Snakemake."""

import copy
import json
import os
import time

import pytest
from checkout import ROOT
from plw.study import design, inputs, layout, parameters
from plw.study.configuration import load_configuration, read_yaml
from plw.study.logs import failures, finished
from plw.study.records.code import training_version
from plw.study.runs import benchmarks_of, list_runs, read_runs_csv, runs_csv
from plw.study.sources import local_files, named_files, resolve_source, source_argument


@pytest.fixture(scope="module")
def demo():
    return load_configuration({"study": "demo"}, root=ROOT)


@pytest.fixture(scope="module")
def paper():
    return load_configuration({"study": "paper"}, root=ROOT)


@pytest.fixture(scope="module")
def runs(demo):
    return {run.run: run for run in list_runs(demo)}


def changed(study, *path_and_value):
    """A copy of the study with another value at a path of keys."""
    *path, last, value = path_and_value
    copied = copy.deepcopy(study)
    place = copied
    for key in path:
        place = place[key]
    place[last] = value
    return copied


# ------------------------------------------------------------------------------------------------------- parameters


def test_what_a_scheduler_grants_trains_and_measures_nothing_again(demo):
    for section, told in (("training", parameters.training_settings), ("evaluation", parameters.evaluation_settings)):
        for key in set(parameters.GRANTED) - {"gpus"}:
            assert told(changed(demo, section, key, 7)) == told(demo)
    assert parameters.training_settings(changed(demo, "training", "epochs", 9)) != parameters.training_settings(demo)
    other = changed(demo, "evaluation", "dtype", "bfloat16")
    assert parameters.evaluation_settings(other) != parameters.evaluation_settings(demo)


def test_a_runs_row_says_its_factors_and_not_which_experiments_share_it(runs):
    row = json.loads(parameters.training_row(next(iter(runs.values()))))
    assert {"ptlm", "dataset", "plw", "normalization", "regularizer", "strength", "seed"} <= set(row)
    assert "experiments" not in row


def test_the_order_of_keys_in_a_study_file_changes_no_parameter():
    assert parameters.as_json({"b": 1, "a": {"d": 2, "c": 3}}) == parameters.as_json({"a": {"c": 3, "d": 2}, "b": 1})


def test_a_study_says_none_and_zero_where_programs_take_null(demo):
    without = changed(demo, "training", "zero_stage", "none")
    without["training"]["checkpoint_steps"] = 0
    told = json.loads(parameters.training_settings(without))
    assert told["zero_stage"] is None and told["checkpoint_steps"] is None


@pytest.mark.parametrize("key", ["label", "stands_for"])
def test_what_only_describes_a_data_set_prepares_nothing_again(demo, key):
    other = changed(demo, "datasets", "short", key, "another")
    assert parameters.dataset_entry(other, "short") == parameters.dataset_entry(demo, "short")


def test_the_size_of_a_judge_that_a_dry_run_counts_with_judges_nothing_again(demo):
    other = changed(demo, "judges", "pandalm", "parameters", 7e9)
    assert parameters.judge_settings(other, "pandalm") == parameters.judge_settings(demo, "pandalm")


@pytest.mark.parametrize("key", ["label", "group", "type", "version", "cost"])
def test_what_only_describes_a_benchmark_measures_nothing_again(demo, key):
    name = demo["evaluation"]["benchmarks"][0]
    other = changed(demo, "benchmarks", name, key, "another")
    assert parameters.measured_entries(other, [name]) == parameters.measured_entries(demo, [name])


def test_memorisation_is_asked_of_the_data_sets_that_the_study_names_only(demo, runs):
    told = {run.dataset: parameters.memorisation_settings(demo, run) for run in runs.values()}
    asked = demo["mechanism"]["memorisation"]["datasets"]
    assert {name for name, text in told.items() if text != "null"} == set(asked) & set(told)


def test_printed_ratios_are_those_of_the_sets_that_a_data_set_stands_for(paper):
    table = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]
    names = design.smoothed_datasets(paper)
    told = json.loads(parameters.printed_ratios(paper, names, table))
    assert len(told) == len(names)
    short = next(name for name in names if paper["datasets"][name].get("stands_for") == "AlpacaDataShort")
    assert told[short] == table["text"]["r_g"]["AlpacaDataShort"]  # App. D has one digit more than Table 1


def test_only_trainings_whose_start_was_rounded_before_are_made_anew(demo, paper):
    assert training_version(paper["training"]) == 2
    assert training_version(demo["training"]) == 1
    assert training_version({**paper["training"], "zero_stage": "none"}) == 1
    assert training_version({**paper["training"], "zero_stage": None}) == 1
    assert training_version({**paper["training"], "compute_dtype": "float32"}) == 1


# ----------------------------------------------------------------------------------------------------------- inputs


def test_files_by_split_folders_patterns_and_the_home_folder_are_the_same_to_rules_and_readers(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.jsonl", "notes.txt"):
        (tmp_path / name).write_text("{}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    both = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    sources = ({"path": str(tmp_path)}, {"path": str(tmp_path / "*.jsonl")}, {"path": ["~/a.jsonl", "~/b.jsonl"]})
    for source in sources:
        assert named_files(source) == both
        assert [str(file) for file in local_files(source)] == both
    splits = {"path": {"train": str(tmp_path / "b.jsonl"), "test": [str(tmp_path / "a.jsonl")]}}
    assert named_files(splits) == both[::-1]
    assert named_files(splits, split="test") == both[:1]


def test_the_home_folder_is_the_same_to_programs_that_are_started_by_hand(monkeypatch):
    monkeypatch.setenv("HOME", "/users/me")
    assert source_argument("~/model") == source_argument('{"path": "~/model"}') == {"path": "/users/me/model"}
    assert resolve_source({"path": {"train": "~/a", "test": ["~/b"]}})["path"] == {
        "train": "/users/me/a",
        "test": ["/users/me/b"],
    }


def test_a_file_that_a_rule_will_make_is_named_as_it_is_written():
    assert named_files({"path": "results/x/world/plain.jsonl"}) == ["results/x/world/plain.jsonl"]
    assert named_files({"path": "results/x/*.jsonl"}) == ["results/x/*.jsonl"]
    assert named_files({"hub": "org/name", "revision": "main"}) == []


def test_a_derived_data_set_waits_for_its_parent_and_the_tokenizer_that_counts(demo):
    (instances,) = inputs.dataset_files(demo, "short")
    assert instances == f"results/demo/data/{demo['datasets']['short']['from']}/instances.jsonl"
    assert inputs.inverting_tokenizer_files(demo, "short") == ["results/demo/world/ptlms/weak/config.json"]
    assert inputs.inverting_tokenizer_files(demo, "plain") == []
    sentencepiece = changed(demo, "statistics_tokenizer", {"path": "llama/tokenizer.model"})
    assert inputs.counting_tokenizer_files(sentencepiece) == ["llama/tokenizer.model"]


def test_a_runs_benchmarks_need_their_files_and_the_preamble(demo, runs):
    main = next(run for run in runs.values() if "main" in run.experiments)
    files = inputs.benchmark_files(demo, main)
    assert demo["evaluation"]["truthfulqa_preamble"] == files[-1]
    assert any("wmt14" in file for file in files)


def test_a_hub_model_needs_no_local_file_and_a_folder_its_configuration(demo, paper):
    assert inputs.model_files(paper, paper["ptlms"][paper["tokenizer_of"]]["source"]) == []
    assert inputs.model_files(demo, {"path": "models/mine"}) == ["models/mine/config.json"]


def test_every_file_of_a_model_folder_that_decides_is_named_and_of_a_made_one_what_its_rule_declares(demo, tmp_path):
    deciding = ["config.json", "merges.txt", "model-1.safetensors", "model-2.safetensors", "tokenizer.json"]
    for name in (*deciding, "README.md", "training.log"):
        (tmp_path / name).write_text("{}")
    assert inputs.model_files(demo, {"path": str(tmp_path)}) == [str(tmp_path / name) for name in deciding]
    tokenizer = [str(tmp_path / name) for name in ("config.json", "merges.txt", "tokenizer.json")]
    assert inputs.tokenizer_files(demo, {"path": str(tmp_path)}) == tokenizer
    made = [f"results/demo/world/ptlms/weak/{name}" for name in ("config.json", "model.safetensors")]
    assert inputs.model_files(demo, demo["ptlms"]["weak"]["source"]) == made


def test_the_tasks_and_prompts_that_a_study_asks_for_are_files_of_this_project(demo, paper):
    for study in (demo, paper):
        names = study["evaluation"]["benchmarks"]
        files = [*inputs.task_files(study, names), *inputs.prompt_files(study, "alpaca_eval")]
        assert len(files) == 13 and all((ROOT / file).is_file() for file in files)  # eleven tasks, what wmt includes
        assert inputs.prompt_files(study, "pandalm") == []


def test_a_judges_reference_of_several_files_is_read_whole(demo, runs, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n")
    other = changed(demo, "benchmarks", "alpaca_eval", "source", {"path": str(tmp_path)})
    told = inputs.judge_reference_outputs(other, list(runs.values()), "alpaca_eval")
    assert json.loads(told) == {"path": str(tmp_path)}


def test_a_judge_compares_with_a_runs_texts_or_with_the_benchmarks_own(demo, runs):
    (run,) = inputs.judge_reference_files(demo, list(runs.values()), "pandalm")
    assert run.startswith("results/demo/runs/") and run.endswith("/evaluation.json")
    texts = inputs.judge_reference_outputs(demo, list(runs.values()), "pandalm")
    assert texts == run.replace("evaluation.json", "benchmarks/pandalm.outputs.json")
    own = inputs.judge_reference_outputs(demo, list(runs.values()), "alpaca_eval")
    assert own == inputs.judge_reference_files(demo, list(runs.values()), "alpaca_eval")[0]


# ----------------------------------------------------------------------------------------------------------- design


def test_the_paper_makes_every_artifact_and_a_score_table_all_that_need_no_run(paper):
    everything = design.made_artifacts(paper, from_scores=False)
    assert len(everything) == 18
    assert set(everything) - set(design.made_artifacts(paper, from_scores=True)) == {"figure_2", "table_1"}


def test_two_plws_or_two_data_sets_are_too_few_for_a_regression_or_a_smooth(demo):
    assert design.regressed_datasets(changed(demo, "experiments", "main", "plw", [0.0, 1.0])) == []
    few = changed(demo, "run_experiments", ["main"])
    few["experiments"]["main"]["datasets"] = ["plain", "short"]
    assert design.smoothed_datasets(few) == [] and design.regressed_datasets(few) == ["plain", "short"]
    assert "table_5" not in design.made_artifacts(few, from_scores=False)


def test_every_artifact_is_made_or_left_out_with_a_reason(paper, demo):
    tiny = changed(demo, "run_experiments", ["main"])
    tiny["experiments"]["main"] |= {"datasets": ["short"], "plw": [0.0, 0.1]}
    tiny["evaluation"]["benchmarks"] = ["piqa"]
    made = design.made_artifacts(tiny, from_scores=False)
    left_out = design.left_out_artifacts(tiny, from_scores=False)
    assert {*made, *left_out} == set(design.made_artifacts(paper, from_scores=False)) and not {*made} & {*left_out}
    assert {"figure_1", "figure_5"} <= set(made), "there is a figure of one's own data"
    assert left_out["table_3"] == "fewer than 3 prompt loss weights or 10 scores of a data set"
    tiny["experiments"]["main"]["plw"] = [0.0, 0.1, 1.0]  # of two ptlms on one benchmark, with three seeds
    assert "table_3" in design.made_artifacts(tiny, from_scores=False)
    tiny["experiments"]["main"]["seeds"] = [42]
    assert "table_3" in design.left_out_artifacts(tiny, from_scores=False)
    assert left_out["figure_6"] == "no benchmark of group II" and "datasets" in left_out["figure_3"]


def test_every_run_is_in_one_judging_batch_and_each_batch_is_judged_once(demo, runs):
    asked = {name: [run.run for run in runs.values() if name in benchmarks_of(run, demo)] for name in demo["judges"]}
    for together in ("data_set", "ptlm", "study"):
        other = changed(demo, "judges", "pandalm", "together", together)
        for name in ("alpaca_eval", "pandalm"):
            batches = design.batches(other, runs.values(), name)
            assert sorted(run for batch in batches.values() for run in batch) == sorted(asked[name])
        files = design.judgement_files(other, runs.values())
        assert len(files) == len(set(files))
        assert {file.split("/")[0] for file in files} == set(design.judged_benchmarks(demo)) == set(asked)
    assert "pandalm/all.json" in files and "alpaca_eval/strong.short.json" in files


def test_regularizers_are_compared_with_the_ptlms_of_the_main_experiment_too(demo):
    other = changed(demo, "experiments", "regularizers", "ptlms", ["weak"])
    assert set(design.experiment_ptlms(other, "regularizers")) == {"weak", *demo["experiments"]["main"]["ptlms"]}


def test_the_texts_of_the_short_data_sets_main_runs_are_shown(demo, runs):
    shown = design.sampled_runs(demo, runs)
    assert shown and {runs[name].dataset for name in shown} == {"short"}


# ------------------------------------------------------------------------------------------------- layout and logs


def test_an_artifact_is_three_files_below_the_studys_folder(demo):
    assert layout.artifact(demo, "table_3") == [f"results/demo/tables/table_3.{kind}" for kind in ("csv", "md", "tex")]
    assert layout.artifact(demo, "figure_1")[0] == "results/demo/figures/figure_1.pdf"


def test_a_run_table_comes_back_as_it_was_written(demo, runs, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(runs_csv(list(runs.values())))
    rows = read_runs_csv(path)
    assert [row["run"] for row in rows] == list(runs)
    assert all(row["plw"] == runs[row["run"]].plw and row["seed"] == runs[row["run"]].seed for row in rows)


def test_only_this_calls_errors_are_told_and_long_ones_are_cut(tmp_path):
    old, new = tmp_path / "old.log", tmp_path / "deep" / "new.log"
    new.parent.mkdir()
    old.write_text("Error: of yesterday")
    os.utime(old, (1, 1))
    new.write_text("Loading\nTraceback (most recent call last):\n" + "  line\n" * 40 + "ValueError: broken")
    (tmp_path / "fine.log").write_text("all is well")
    (said,) = failures(tmp_path, since=time.time() - 60)
    assert said.startswith(f"--- {new}") and said.endswith("ValueError: broken")
    assert len(said.splitlines()) < 12


def test_the_end_of_a_call_says_where_the_report_is_and_the_verdicts(tmp_path):
    assert finished(tmp_path, seconds=3) == ""
    (tmp_path / "report.html").touch()
    (tmp_path / "claims.json").write_text(json.dumps({"summary": {"supported": 9, "contradicted": 2}}))
    text = finished(tmp_path, seconds=674)
    assert str(tmp_path / "report.html") in text
    assert "9 supported, 2 contradicted" in text and "11 min 14 s" in text

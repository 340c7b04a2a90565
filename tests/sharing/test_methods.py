"""The methods section that a study writes of itself: its own settings, and nothing of other studies."""

import re

import pytest
import yaml
from checkout import ROOT
from plw.cli import parse_and_run
from plw.sharing.exporting import export
from plw.sharing.methods import HOLDS, methods
from plw.sharing.sides import Side, read_side
from plw.study.configuration import load_configuration
from plw.study.runs import read_runs_csv
from small_results import STUDY, make_results, part_of, runs_of

pytestmark = pytest.mark.slow
DEVIATIONS = yaml.safe_load((ROOT / "config/deviations.yaml").read_text(encoding="utf-8"))
PAPER = load_configuration({"study": "paper"}, root=ROOT)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    export(part_of(make_results(folder / "smol_cpu", runs_of(42, 43)), 42, 43), folder / "exported", root=ROOT)
    return folder / "exported"


@pytest.fixture(scope="module")
def text(exported):
    return methods(read_side(str(exported), ROOT), deviations=DEVIATIONS, paper=PAPER)


def test_models_data_runs_settings_benchmarks_and_versions_are_the_studys(text):
    training = STUDY["training"]
    for said in (
        *(STUDY["ptlms"]["smollm2_135m"]["label"], "16 fine-tunings", "seeds 42 and 43"),
        "weights of 0, 0.0005, 0.01, 0.1, 0.5 and 1",
        f"a learning rate of {training['learning_rate']:g}",
        f"at most {training['max_length']} tokens",
        "divided by the number of predicted tokens whose weight is not zero or the sum of the weights of a micro-batch",
        "PIQA (acc_norm, 60 items)",
        *("commit abc123", "torch 2.13", "a CPU", "by prompt inversion, rule `all`, lengths in characters"),
        *("No regression was fitted.", "2.67 hours in all"),  # sixteen times 600.5 seconds
    ):
        assert said in text, said


def test_the_papers_open_choices_stand_there_and_what_the_study_does_not_do_is_left_out(text):
    assert "- Denominator of the loss (§4.1)" in text and "- Length in prompt inversion (App. A)" in text
    for absent in (
        "Mixtral",
        "PandaLM",
        "Translation",
        "Tiny",
        "enerated world",
        "GAMs",
        "Label smoothing",
        "study demo",
    ):
        assert absent not in text.split("## Settings other")[0], absent
    assert re.search(r"- `training.max_length`: 512 in the paper's study, 384 here", text)


def test_every_condition_names_a_point_that_there_is():
    assert all(any(word in point["what"] for point in DEVIATIONS) for word in HOLDS)


def test_the_papers_own_study_has_the_points_of_its_judges_and_no_settings_of_its_own(exported):
    side = read_side(str(exported), ROOT)
    paper = load_configuration({"study": "paper"}, root=ROOT)
    scores = side.scores.assign(ptlm="llama_2_7b", dataset="alpaca_data_short")
    rows = exported / "runs.csv"
    written = rows.read_text()
    rows.write_text(written.replace("smollm2_135m,alpaca_data_short", "llama_2_7b,alpaca_data_short"))
    try:
        text = methods(Side(**{**vars(side), "study": paper, "scores": scores}), deviations=DEVIATIONS, paper=PAPER)
    finally:
        rows.write_text(written)
    assert "- How the judges are run (§4.4): Mixtral" in text and "LLaMA 3's special tokens" in text
    assert "LLaMA 2 7B (meta-llama/Llama-2-7b-hf, revision 01c7f73d" in text
    assert "generated world" not in text.lower() and "## Settings other" not in text


def test_weights_of_other_tokens_and_draws_of_a_data_set_are_said(exported, text):
    assert "(the prompt loss weight for tokens of the prompt, 1 for tokens of the completion)" in text
    side = read_side(str(exported), ROOT)
    parent, *others = dict.fromkeys(row["dataset"] for row in read_runs_csv(exported / "runs.csv"))
    datasets = {name: {"label": f"{name} drawn", "from": parent, "subset": {"rows": 9}} for name in others}
    datasets[parent] = {"label": "Chat", "source": {"path": "chat.jsonl"}, "format": "messages", "turns": "all"}
    weights = {"system_loss_weight": 0.0, "earlier_completion_loss_weight": 0.5, "completion_loss_weight": 0.8}
    study = {**side.study, "datasets": datasets, "training": side.study["training"] | weights}
    changed = methods(Side(**{**vars(side), "study": study}), deviations=DEVIATIONS, paper=PAPER)
    said = "0 for those of a system turn, 0.5 for those of answers before a conversation's last, 0.8 for tokens of the"
    assert said in changed and "whole conversations" in changed
    assert bool(others) == ("drawn at random from Chat" in changed)


def test_a_study_of_given_scores_says_that_its_trainings_are_not_recorded(exported):
    side = read_side(str(exported), ROOT)
    text = methods(Side(**{**vars(side), "records": {}}), deviations=DEVIATIONS, paper=PAPER)
    assert "how the models were trained is not recorded" in text and "abc123" not in text


def test_the_command_prints_the_section(exported, text, capsys):
    parse_and_run(["methods", str(exported), "--root", str(ROOT)])
    assert capsys.readouterr().out == text

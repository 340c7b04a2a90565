"""What Figure 8 and Table 4 compare, and both of them."""

import itertools
import json
from pathlib import Path

import draw_figure_8
import make_table_4
import numpy as np
import pandas as pd
import pytest
import yaml
from plw.errors import InputError
from plw.figures.figure_8 import draw
from plw.figures.style import style_with
from plw.scores.regularizer_comparison import (
    best_settings,
    compared_scores,
    comparison_data,
    comparison_dataset,
    comparison_runs,
    equal_budget,
    settings,
)
from plw.tables.table import to_latex, to_markdown
from plw.tables.table_4 import slips, table_4
from simulated_scores import supplemental_scores

ROOT = Path(__file__).resolve().parents[2]
PRINTED = yaml.safe_load((ROOT / "config" / "paper_numbers.yaml").read_text(encoding="utf-8"))["table_4"]
REGISTRY = [{"name": f"b{i}", "metric": "acc", "group": "I" if i < 4 else "II"} for i in range(7)]
SHORT = {"name": "short", "label": "Short", "stands_for": "AlpacaDataShort"}
PTLMS = [{"name": "weak", "label": "weak", "stands_for": "LLaMA 1"}, {"name": "strong", "stands_for": "LLaMA 2"}]
PLWS = (0.0, 0.01, 0.1, 1.0)


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return supplemental_scores(plws=PLWS, strengths=(0.01, 0.1))


@pytest.fixture(scope="module")
def runs(scores, tmp_path_factory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    scores.drop_duplicates("run").to_csv(path, index=False)
    return comparison_runs(path, ("main", "regularizers"), SHORT)


@pytest.fixture(scope="module")
def data(scores, runs) -> pd.DataFrame:
    return comparison_data(compared_scores(scores, SHORT, runs=runs), REGISTRY)


def best(data: pd.DataFrame, runs: pd.DataFrame | None) -> dict:
    rows = best_settings(data, ptlms=PTLMS, runs=runs, measures=("simple", "relative"))
    return {(row["ptlm"], row["arm"]): row for row in rows}


def test_the_best_at_an_equal_budget_is_the_mean_of_all_choices_maxima():
    values = [0.3, 0.1, 0.7, 0.4, 0.2]
    for budget in (1, 2, 3, 5):
        expected = np.mean([max(choice) for choice in itertools.combinations(values, budget)])
        assert equal_budget(values, budget) == pytest.approx(expected)
    assert equal_budget(values, 6) is None and equal_budget([], 0) is None


def test_all_arms_of_a_ptlm_are_given_the_poorest_ones_budget(data, runs):
    found = best(data, runs)
    assert {row["budget"] for row in found.values()} == {2}
    for row in found.values():
        assert row["simple_mean"] <= row["simple_equal"] <= row["simple"]
        assert (row["simple_equal"] == pytest.approx(row["simple"])) == (row["settings"] == 2)


def test_runs_of_the_data_set_are_compared_and_no_others(scores, runs, data):
    assert set(data["dataset"]) == {"short"}
    assert len(data) == len(runs) == 2 * (4 + 4 * 2 * 2)
    assert data.groupby("arm").size().to_dict() == {
        "none": 4, "plw": 4, "weight_decay": 8, "minkowski": 8, "dropout": 8, "label_smoothing": 8
    }  # fmt: skip


def test_without_a_run_table_the_same_runs_are_found(scores, data):
    other = comparison_data(compared_scores(scores, SHORT, runs=None), REGISTRY)
    pd.testing.assert_frame_equal(other, data)


def test_without_a_run_table_several_normalizations_are_refused(scores):
    more = scores.assign(normalization="sum_of_weights", run=scores["run"] + "x")
    with pytest.raises(InputError, match="normalizations"):
        compared_scores(pd.concat([scores, more]), SHORT, runs=None)


def test_all_runs_share_one_scale_over_ptlms_and_regularizers(data):
    assert data["relative"].between(0, 1).all()
    scores_of_extremes = data.set_index("run")["relative"]
    assert 0 < scores_of_extremes.min() < scores_of_extremes.max() < 1


def test_the_best_setting_is_the_maximum_and_its_mean_that_of_all_settings(data, runs):
    for (ptlm, arm), row in best(data, runs).items():
        part = data[(data["ptlm"] == ptlm) & (data["arm"] == arm)]
        for measure in ("simple", "relative"):
            assert row[measure] == part[measure].max()
            assert row[f"{measure}_mean"] == pytest.approx(part[measure].mean())
            winner = part[part[measure] == row[measure]].iloc[0]
            assert (row[f"{measure}_strength"], row[f"{measure}_plw"]) == (winner["strength"], winner["plw"])
        assert row["settings"] == row["settings_planned"] == (2 if arm in ("none", "plw") else 4)


def test_only_fractional_plws_count_for_plw(data, runs):
    spoiled = data.assign(relative=data["relative"].mask(data["plw"].isin([0.0, 1.0]) & (data["arm"] == "none"), 9.0))
    assert best(spoiled, runs)["weak", "plw"]["relative_plw"] in (0.01, 0.1)
    assert best(spoiled, runs)["weak", "none"]["relative"] == 9.0


def test_seeds_of_a_setting_are_averaged_before_the_best_is_taken(data):
    twice = pd.concat([data, data.assign(seed=43, relative=0.0)])
    assert settings(twice)["relative"].max() == pytest.approx(data["relative"].max() / 2)


def test_missing_settings_are_counted_and_incomplete_runs_do_not_count(scores, runs):
    gone = scores[~(scores["run"].str.startswith("weak") & (scores["regularizer"] == "dropout"))]
    lacking = gone[~((gone["run"] == "weak-short-plw0.1-nonzero_count-none-s42") & (gone["benchmark"] == "b2"))]
    rows = best(comparison_data(compared_scores(lacking, SHORT, runs=runs), REGISTRY), runs)
    assert rows["weak", "dropout"]["relative"] is None
    assert (rows["weak", "dropout"]["settings"], rows["weak", "dropout"]["settings_planned"]) == (0, 4)
    assert (rows["weak", "plw"]["settings"], rows["weak", "plw"]["settings_planned"]) == (1, 2)
    assert rows["weak", "plw"]["relative_plw"] == 0.01


def test_the_data_set_is_found_by_role_or_is_the_only_one():
    other = {"name": "mine"}
    assert comparison_dataset([other, SHORT]) == SHORT
    assert comparison_dataset([other]) == other
    assert comparison_dataset([other, {"name": "third"}]) is None
    assert comparison_dataset([]) is None


def test_the_tables_bold_cells_are_the_largest_of_a_ptlm_and_the_papers_as_printed(data, runs):
    table = table_4(data, ptlms=PTLMS, runs=runs, numbers=PRINTED)
    for index, label in table.bold_cells:
        row = table.rows[index]
        own = [other for other in table.rows if (other["ptlm"], other["source"]) == (row["ptlm"], row["source"])]
        if row["source"] == "ours":
            assert row[label.lower()] == max(other[label.lower()] for other in own)
    bold = {(table.rows[index]["ptlm_label"], label, table.rows[index]["arm"]) for index, label in table.bold_cells}
    assert {entry for entry in bold if entry[0].startswith("LLaMA")} == {
        ("LLaMA 1", "Simple", "weight_decay"), ("LLaMA 1", "Relative", "plw"),
        ("LLaMA 2", "Simple", "label_smoothing"), ("LLaMA 2", "Relative", "plw"),
    }  # fmt: skip
    assert "| LLaMA 2 | Label Smoothing | paper | **0.538** | 0.837 |" in to_markdown(table)
    assert r"LLaMA 2 & Label Smoothing & paper & \textbf{0.538} & 0.837 &" in to_latex(table)


def test_the_papers_own_slip_is_found_from_its_numbers():
    assert slips(PRINTED) == [
        "The paper has Label Smoothing's 0.538 in bold (LLaMA 2, simple), but prints 0.541 for Dropout."
    ]


def test_a_ptlm_without_runs_has_rows_of_dashes(data, runs):
    table = table_4(data, ptlms=[{"name": "third"}], runs=runs, numbers=PRINTED)
    assert len(table.rows) == 6
    assert "| third | Dropout | ours | – | – | – | – | – | – | – | – | 0 of 0 |" in to_markdown(table)
    assert not table.bold_cells


@pytest.mark.slow
def test_figure_8_shows_every_setting_open_at_plw_0_and_filled_at_plw_1(data):
    figure = draw(data, dataset=SHORT, ptlms=PTLMS, style=style_with({}))
    right = figure.axes[3]  # of panel (b)
    points = [line for line in right.lines if len(line.get_ydata()) == 1]
    expected = data[data["arm"] != "plw"]
    assert sorted(line.get_ydata()[0] for line in points) == pytest.approx(sorted(expected["relative"]))
    filled = [line.get_ydata()[0] for line in points if line.get_markerfacecolor() != "white"]
    assert sorted(filled) == pytest.approx(sorted(expected.loc[expected["plw"] == 1, "relative"]))


@pytest.mark.slow
def test_figure_8_marks_each_ptlms_best_fractional_plw(data, runs):
    figure = draw(data, dataset=SHORT, ptlms=PTLMS, style=style_with({}))
    levels = [line.get_ydata()[0] for line in figure.axes[3].lines if list(line.get_xdata()) == [0, 1]]
    rows = best(data, runs)
    measures = [(ptlm, measure) for ptlm in ("weak", "strong") for measure in ("relative", "relative_equal")]
    assert levels == pytest.approx([rows[ptlm, "plw"][measure] for ptlm, measure in measures])


@pytest.mark.slow
def test_figure_8_without_regularized_runs_says_so_and_still_draws_the_sweep(data):
    figure = draw(data[data["regularizer"] == "none"].iloc[:0], dataset=None, ptlms=PTLMS, style=style_with({}))
    assert sum("no scores" in text.get_text() for axes in figure.axes for text in axes.texts) == 8
    sweep = draw(data[data["arm"] == "plw"], dataset=SHORT, ptlms=PTLMS, style=style_with({}))
    assert [bool(axes.texts) for axes in sweep.axes[:4]] == [False, True, False, True]


def arguments(scores: pd.DataFrame, folder: Path, experiment: str) -> list[str]:
    """Flags that both programs take, for a study in one of four states."""
    runs = scores.drop_duplicates("run")
    (runs.assign(experiments="losses") if experiment == "none" else runs).to_csv(folder / "runs.csv", index=False)
    (scores.iloc[:0] if experiment == "empty" else scores).to_csv(folder / "scores.csv", index=False)
    flags = ["--scores", str(folder / "scores.csv"), "--csv", str(folder / "x.csv")]
    flags += ["--benchmarks", json.dumps(REGISTRY), "--datasets", json.dumps([SHORT]), "--ptlms", json.dumps(PTLMS)]
    return flags if experiment == "no run table" else [*flags, "--runs", str(folder / "runs.csv")]


@pytest.mark.parametrize("experiment", ["as planned", "none", "empty", "no run table"])
def test_the_table_copes_with_whatever_is_there(scores, tmp_path, experiment):
    make_table_4.main(
        [*arguments(scores, tmp_path, experiment), "--paper-numbers", str(ROOT / "config" / "paper_numbers.yaml"),
         "--md", str(tmp_path / "x.md"), "--tex", str(tmp_path / "x.tex")]
    )  # fmt: skip
    text = (tmp_path / "x.md").read_text(encoding="utf-8")
    there = experiment in ("as planned", "no run table")
    assert ("| weak | Dropout | ours | – |" in text) != there
    assert ("The study has no such runs." in text) == (experiment == "none")
    assert ("0 of 40 runs are used" in text) == (experiment == "empty")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["as planned", "none"])
def test_the_figure_is_drawn_with_and_without_the_experiment(scores, tmp_path, experiment):
    draw_figure_8.main(
        [*arguments(scores, tmp_path, experiment), "--style", '{"dots_per_inch": 40}',
         "--pdf", str(tmp_path / "x.pdf"), "--png", str(tmp_path / "x.png")]
    )  # fmt: skip
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "x.csv")) == (40 if experiment == "as planned" else 0)

"""Figures 3 and 9, and the aggregates on one scale for all runs that they show."""

import json

import draw_datasets
import pandas as pd
import pytest
from plw.figures.datasets import draw_figure_3, draw_figure_9, figure_data, in_paper_order, without_panel
from plw.figures.style import STYLE, style_with
from plw.scores.pooled import pooled_aggregate
from simulated_scores import score_table

REGISTRY = [{"name": f"b{i}", "metric": "acc", "group": ("I", "I", "II", "III")[i]} for i in range(4)]
DATASETS = [
    {"name": "dolly_short", "label": "Dolly short", "stands_for": "DatabricksDollyShort"},
    {"name": "dolly", "label": "Dolly", "stands_for": "DatabricksDolly"},
    {"name": "ultra", "label": "Ultra", "stands_for": "UltraFeedback"},
    {"name": "mine", "label": "Mine"},
]
PTLMS = [{"name": "weak"}, {"name": "strong"}]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return score_table(datasets=("dolly_short", "dolly", "ultra", "mine"), plws=(0.0, 0.1, 1.0), benchmarks=4)


@pytest.fixture(scope="module")
def data(scores) -> pd.DataFrame:
    return figure_data(scores, datasets=DATASETS, benchmarks=REGISTRY)


def test_all_runs_share_one_scale_for_each_benchmark_and_translation_is_left_out(scores, data):
    used = scores[scores["benchmark"] != "b3"]
    table = used.pivot(index="run", columns="benchmark", values="score")
    scaled = (table - table.min()) / (table.max() - table.min())
    rows = data.set_index("run")
    assert rows["relative"].to_dict() == pytest.approx(scaled.mean(axis=1).to_dict())
    assert rows["relative_I"].to_dict() == pytest.approx(scaled[["b0", "b1"]].mean(axis=1).to_dict())
    assert rows["relative_II"].to_dict() == pytest.approx(scaled["b2"].to_dict())
    assert rows["simple"].to_dict() == pytest.approx(table.mean(axis=1).to_dict())


def test_a_run_that_lacks_a_benchmark_of_any_other_run_is_not_complete(scores):
    lacking = scores[(scores["dataset"] != "ultra") | (scores["benchmark"] != "b2")]
    rows = pooled_aggregate(lacking, REGISTRY)
    assert set(rows.loc[~rows["complete"], "dataset"]) == {"ultra"}
    assert rows.loc[rows["dataset"] == "ultra", "relative_II"].isna().all()


def crossed(axes):
    return [line for line in axes.lines if line.get_marker() == "x"]


def test_figure_3_finds_its_data_sets_by_role_and_has_colours_of_their_roles(data):
    figure = draw_figure_3(data, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))
    colours = [{line.get_color() for line in axes.lines if line not in crossed(axes)} for axes in figure.axes[:2]]
    assert colours == [
        {STYLE["colours"]["UltraFeedback"], STYLE["colours"]["DatabricksDolly"]},
        {STYLE["colours"]["DatabricksDollyShort"]},
    ]
    assert without_panel(DATASETS) == ["Mine"]


def test_the_line_with_crosses_is_the_mean_of_both_data_sets_of_a_panel_and_no_band(data):
    figure = draw_figure_3(data, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))
    both = [crossed(axes) for axes in figure.axes[:2]]
    assert [len(lines) for lines in both] == [1, 0]
    expected = data[data["dataset"].isin(["dolly", "ultra"])].groupby("w_p")["relative"].mean()
    assert list(both[0][0].get_ydata()) == pytest.approx(list(expected))
    lines = [line for axes in figure.axes[:2] for line in axes.lines]
    assert max(line.get_linewidth() for line in lines) < 2, "a wide line would pass for an interval"


@pytest.mark.slow
def test_figure_9_has_a_column_for_each_data_set_in_the_papers_order(data):
    figure = draw_figure_9(data, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))
    assert [entry["name"] for entry in in_paper_order(DATASETS)] == ["ultra", "dolly", "dolly_short", "mine"]
    assert [axes.get_title() for axes in figure.axes[:4]] == ["Ultra", "Dolly", "Dolly short", "Mine"]
    solid = next(line for line in figure.axes[9].lines if line.get_linestyle() == "-")
    expected = data[data["dataset"] == "dolly"].groupby("w_p")["relative_II"].mean()
    assert list(solid.get_ydata()) == pytest.approx(list(expected))


@pytest.mark.slow
def test_data_sets_without_scores_have_panels_that_say_so(scores):
    some = figure_data(scores[scores["dataset"] == "dolly"], datasets=DATASETS, benchmarks=REGISTRY)
    three = draw_figure_3(some, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))
    assert [[text.get_text() for text in axes.texts] for axes in three.axes[:2]] == [[], ["no scores"]]
    nine = draw_figure_9(some, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))
    assert [bool(axes.texts) for axes in nine.axes[:4]] == [True, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize(("figure", "experiment"), [("3", "main;datasets"), ("9", "main;datasets"), ("3", "main")])
def test_the_program_draws_and_copes_with_a_study_without_the_experiment(scores, tmp_path, figure, experiment):
    scores.to_csv(tmp_path / "scores.csv", index=False)
    scores.drop_duplicates("run").assign(experiments=experiment).to_csv(tmp_path / "runs.csv", index=False)
    draw_datasets.main(
        ["--figure", figure, "--scores", str(tmp_path / "scores.csv"), "--runs", str(tmp_path / "runs.csv"),
         "--benchmarks", json.dumps(REGISTRY), "--datasets", json.dumps(DATASETS), "--ptlms", json.dumps(PTLMS),
         "--style", '{"dots_per_inch": 40}', "--pdf", str(tmp_path / "x.pdf"),
         "--png", str(tmp_path / "x.png"), "--csv", str(tmp_path / "x.csv")]
    )  # fmt: skip
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert len(pd.read_csv(tmp_path / "x.csv")) == (24 if "datasets" in experiment else 0)

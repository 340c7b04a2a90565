"""Figures 5 to 7: raw scores on each benchmark of a group."""

import json

import draw_benchmarks
import pandas as pd
import pytest
from plw.figures.benchmarks import benchmarks_of_group, draw, figure_data, score_note
from plw.figures.style import style_with
from plw.scores.transform import to_w_p
from simulated_scores import score_table

REGISTRY = [
    {"name": f"b{i}", "label": f"Benchmark {i}", "metric": "acc", "group": "III" if i % 2 else "I"} for i in range(4)
]
DATASETS = [{"name": "plain", "stands_for": "AlpacaData"}, {"name": "short", "stands_for": "AlpacaDataShort"}]
PTLMS = [{"name": "weak"}, {"name": "strong"}]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return score_table(plws=(0.0, 0.1, 1.0), benchmarks=4)


def drawn(data: pd.DataFrame, group: str = "I"):
    entries = benchmarks_of_group(REGISTRY, group)
    return draw(data, group=group, benchmarks=entries, datasets=DATASETS, ptlms=PTLMS, style=style_with({}))


def test_the_data_are_the_raw_scores_of_the_group_in_the_registrys_order(scores):
    entries = benchmarks_of_group(REGISTRY[::-1], "I")
    data = figure_data(scores, entries)
    assert list(dict.fromkeys(data["benchmark"])) == ["b2", "b0"]
    assert len(data) == 2 * 12
    merged = data.merge(scores, on=["run", "benchmark"])
    assert (merged["score_x"] == merged["score_y"]).all()
    assert data["w_p"].tolist() == [to_w_p(plw) for plw in data["plw"]]


def test_each_panel_shows_the_mean_over_ptlms_of_its_benchmark(scores):
    data = figure_data(scores, benchmarks_of_group(REGISTRY, "I"))
    panels = drawn(data).axes
    assert [axes.get_title() for axes in panels] == ["Benchmark 0", "Benchmark 2"]
    rows = data[(data["benchmark"] == "b2") & (data["dataset"] == "plain")]
    solid = [line for line in panels[1].lines if line.get_linestyle() == "-"]
    assert list(solid[0].get_ydata()) == pytest.approx(list(rows.groupby("w_p")["score"].mean()))
    assert len(solid) == len(DATASETS)


def test_a_missing_run_leaves_a_gap_in_the_mean_and_is_counted(scores):
    lacking = scores[~((scores["run"] == "weak-short-plw0.1-nonzero_count-none-s42") & (scores["benchmark"] == "b2"))]
    entries = benchmarks_of_group(REGISTRY, "I")
    data = figure_data(lacking, entries)
    short = [line for line in drawn(data).axes[1].lines if line.get_linestyle() == "-"][1]
    assert [value != value for value in short.get_ydata()] == [False, True, False]
    assert score_note(data, entries, planned=12) == "runs with scores, of 12: Benchmark 2 11"
    assert score_note(figure_data(scores, entries), entries, planned=12) == ""


def test_a_benchmark_without_scores_and_a_group_without_benchmarks_say_so(scores):
    data = figure_data(scores[scores["benchmark"] != "b0"], benchmarks_of_group(REGISTRY, "I"))
    assert [text.get_text() for text in drawn(data).axes[0].texts] == ["no scores"]
    nothing = drawn(figure_data(scores, []), group="II")
    assert [text.get_text() for text in nothing.axes[0].texts] == ["no benchmark of group II"]


def test_equal_scores_of_all_runs_are_said_to_be_equal(scores):
    data = figure_data(scores.assign(score=1.0), benchmarks_of_group(REGISTRY, "I"))
    assert [text.get_text() for text in drawn(data).axes[0].texts] == ["all runs score the same"]


@pytest.mark.slow
def test_the_program_draws_a_group_and_an_empty_score_table(scores, tmp_path):
    for name, frame in (("full", scores), ("empty", scores.iloc[:0])):
        frame.to_csv(tmp_path / "scores.csv", index=False)
        scores.drop_duplicates("run").assign(experiments="main").to_csv(tmp_path / "runs.csv", index=False)
        draw_benchmarks.main(
            ["--group", "III", "--scores", str(tmp_path / "scores.csv"), "--runs", str(tmp_path / "runs.csv"),
             "--benchmarks", json.dumps(REGISTRY), "--datasets", json.dumps(DATASETS), "--ptlms", json.dumps(PTLMS),
             "--style", '{"dots_per_inch": 40}', "--pdf", str(tmp_path / f"{name}.pdf"),
             "--png", str(tmp_path / f"{name}.png"), "--csv", str(tmp_path / f"{name}.csv")]
        )  # fmt: skip
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == (24 if name == "full" else 0)

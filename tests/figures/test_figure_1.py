"""Figure 1 and the style that all figures share."""

import hashlib
import json
import re

import draw_figure_1
import pandas as pd
import pytest
from plw.errors import InputError
from plw.figures.axes import FITTED_RED
from plw.figures.figure_1 import draw, figure_data, item_errors
from plw.figures.style import STYLE, dataset_colours, style_with
from plw.scores.table import aggregate, coverage_note
from plw.scores.transform import to_w_p
from simulated_scores import score_table

DATASETS = [
    {"name": "plain", "label": "Plain", "stands_for": "AlpacaData"},
    {"name": "short", "label": "Short", "stands_for": "AlpacaDataShort"},
]
PTLMS = [{"name": "weak", "label": "weak"}, {"name": "strong", "label": "strong"}]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return score_table(plws=(0.0, 0.01, 0.1, 1.0), benchmarks=4)


def drawn(data: pd.DataFrame, **changes):
    return draw(data, datasets=DATASETS, ptlms=PTLMS, style=style_with({}), **changes)


def test_the_data_of_the_figure_are_the_aggregates_of_every_run(scores):
    data = figure_data(scores)
    expected = aggregate(scores).set_index("run")
    assert len(data) == 16
    for row in data.itertuples():
        assert row.simple == expected.loc[row.run, "simple"]
        assert row.relative == expected.loc[row.run, "relative"]


def test_the_panels_show_the_aggregates_of_their_data_set(scores):
    data = figure_data(scores)
    panels = drawn(data).axes[:3]
    for axes, name in zip(panels[1:], ("plain", "short"), strict=True):
        rows = data[data["dataset"] == name]
        means = rows.groupby("w_p")["relative"].mean()
        solid = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert len(solid) == 1
        assert list(solid[0].get_xdata()) == pytest.approx(list(means.index))
        assert list(solid[0].get_ydata()) == pytest.approx(list(means))
    points = [line for line in panels[0].lines if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in points) == 16


def test_a_mean_over_ptlms_has_a_gap_where_a_run_is_missing(scores):
    data = figure_data(scores[scores["run"] != "weak-short-plw0.1-nonzero_count-none-s42"])
    solid = next(line for line in drawn(data).axes[2].lines if line.get_linestyle() == "-")
    assert [value != value for value in solid.get_ydata()] == [False, False, True, False]


def test_a_run_that_lacks_a_benchmark_is_not_drawn_and_is_counted(scores):
    lacking = scores[~((scores["run"] == scores["run"].iloc[0]) & (scores["benchmark"] == "b1"))]
    data = figure_data(lacking)
    points = [line for line in drawn(data).axes[0].lines if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in points) == 15
    assert (
        coverage_note(data, planned=18, benchmarks=4)
        == "15 of 18 runs are drawn (2 without scores, 1 lacking benchmarks)"
    )
    assert not data["complete"].all()


def test_a_complete_figure_has_no_note(scores):
    assert coverage_note(figure_data(scores), planned=16, benchmarks=4) == ""
    assert coverage_note(figure_data(scores), planned=None, benchmarks=None) == ""


def test_a_benchmark_that_no_run_has_is_noted(scores):
    data = figure_data(scores[scores["benchmark"] != "b2"])
    assert coverage_note(data, planned=16, benchmarks=4) == "means over 3 of 4 benchmarks"
    some = scores[(scores["benchmark"] != "b2") | (scores["dataset"] == "short")]
    assert coverage_note(figure_data(some), planned=16, benchmarks=4) == "means over 3 or 4 of 4 benchmarks"


def test_a_data_set_without_scores_has_an_empty_panel_that_says_so(scores):
    figure = drawn(figure_data(scores[scores["dataset"] == "short"]))
    assert [text.get_text() for text in figure.axes[1].texts] == ["no scores"]


def test_a_data_set_has_the_colour_of_what_it_stands_for_in_any_order_and_company():
    style = style_with({})
    one = dataset_colours(DATASETS, style)
    other = dataset_colours([{"name": "mine"}, *DATASETS[::-1]], style)
    assert one["short"] == other["short"] == STYLE["colours"]["AlpacaDataShort"]
    assert len(set(other.values())) == 3


def test_a_study_changes_one_colour_and_keeps_the_rest():
    style = style_with({"colours": {"short": "#123456"}, "dots_per_inch": 90})
    colours = dataset_colours(DATASETS, style)
    assert colours == {"short": "#123456", "plain": STYLE["colours"]["AlpacaData"]}
    assert style["matplotlib"] == STYLE["matplotlib"]
    assert STYLE["dots_per_inch"] == 200


def test_an_unknown_key_of_the_style_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="colors") as error:
        style_with({"colors": {}})
    assert "colours" in str(error.value)


def test_the_items_error_of_an_aggregate_is_that_of_a_mean_of_independent_scores(scores):
    exact = scores.assign(stderr=0.03)
    errors = item_errors(exact)
    assert errors["simple_se"].to_numpy() == pytest.approx(0.03 / 2)  # of four benchmarks
    one = exact[exact["run"] == exact["run"].iloc[0]]
    spans = (
        exact[exact["dataset"] == one["dataset"].iloc[0]].groupby("benchmark")["score"].agg(lambda s: s.max() - s.min())
    )
    assert errors.loc[one["run"].iloc[0], "relative_se"] == pytest.approx(((0.03 / spans) ** 2).sum() ** 0.5 / 4)


def test_a_constant_benchmark_brings_no_error_into_the_relative_aggregate(scores):
    exact = scores.assign(stderr=0.03)
    with_constant = pd.concat([exact, exact[exact["benchmark"] == "b0"].assign(benchmark="flat", score=0.7)])
    found, before = item_errors(with_constant), item_errors(exact)
    assert found["relative_se"].to_numpy() == pytest.approx(before["relative_se"].to_numpy() * 4 / 5)


def test_without_a_standard_error_there_is_no_band(scores):
    blank = scores.assign(stderr=scores["stderr"].mask(scores["benchmark"] == "b1"))
    assert item_errors(blank)["simple_se"].isna().all()
    bands = [len(drawn(figure_data(frame)).axes[1].collections) for frame in (scores.assign(stderr=0.1), blank)]
    assert bands == [1, 0]


def regression(*, plw: float | None, significant: bool = True) -> dict:
    vertex = {"w_p": None if plw is None else to_w_p(plw)}
    ends = {"plw_ci_low": plw and plw / 2, "plw_ci_high": plw and min(plw * 2, 1.0)}
    return {"significant": significant, "fit": {"critical": {"plw": plw, "vertex": vertex, **ends}}}


@pytest.mark.parametrize(
    ("significant", "look", "words"), [(True, "-", "λ = 0.1"), (False, ":", "λ = 0.1, not significant")]
)
def test_the_critical_weight_stands_in_the_panel_of_its_data_set(scores, significant, look, words):
    regressions = {"short": regression(plw=0.1, significant=significant), "plain": regression(plw=None)}
    panels = drawn(figure_data(scores), regressions=regressions).axes
    line = next(line for line in panels[2].lines if line.get_color() == FITTED_RED and len(set(line.get_xdata())) == 1)
    assert (line.get_xdata()[0], line.get_linestyle()) == (to_w_p(0.1), look)
    bar = next(line for line in panels[2].lines if line.get_color() == FITTED_RED and len(set(line.get_xdata())) == 2)
    assert list(bar.get_xdata()) == [to_w_p(0.05), to_w_p(0.2)]
    assert [text.get_text() for text in panels[2].texts] == [words]
    assert [text.get_text() for text in panels[1].texts] == ["no λ inside (0, 1)"]
    assert not panels[0].texts


@pytest.mark.slow
def test_the_program_writes_the_same_bytes_twice_and_no_date(scores, tmp_path):
    scores.to_csv(tmp_path / "scores.csv", index=False)
    runs = scores.drop_duplicates("run").assign(experiments="main;other")
    runs.to_csv(tmp_path / "runs.csv", index=False)
    digests = []
    for place in ("one", "two"):
        folder = tmp_path / place
        draw_figure_1.main(
            ["--scores", str(tmp_path / "scores.csv"), "--runs", str(tmp_path / "runs.csv"),
             "--benchmarks", json.dumps([{"name": f"b{i}", "metric": "acc"} for i in range(4)]),
             "--datasets", json.dumps(DATASETS), "--ptlms", json.dumps(PTLMS),
             "--style", '{"dots_per_inch": 60}', "--pdf", str(folder / "f.pdf"),
             "--png", str(folder / "f.png"), "--csv", str(folder / "f.csv")]
        )  # fmt: skip
        digests.append(
            [hashlib.sha256((folder / f"f.{kind}").read_bytes()).hexdigest() for kind in ("pdf", "png", "csv")]
        )
    assert digests[0] == digests[1]
    pdf = (tmp_path / "one" / "f.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert not re.search(rb"/CreationDate|/Producer", pdf)
    assert (tmp_path / "one" / "f.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_csv(tmp_path / "one" / "f.csv")) == 16

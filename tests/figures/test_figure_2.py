"""Figure 2: boxes of the loss's stability, and measures by the prompt loss weight."""

import hashlib
import json

import draw_figure_2
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import PathPatch
from plw.figures.figure_2 import ARM_FILLS, PANELS, QUANTILES, draw, figure_data, missing_note
from plw.figures.style import STYLE, style_with

PLWS = (0.0, 0.01, 0.1, 1.0)
DATASETS = [
    {"name": "plain", "label": "Plain", "stands_for": "AlpacaData"},
    {"name": "short", "label": "Short", "stands_for": "AlpacaDataShort"},
]
PTLMS = [{"name": "weak", "label": "weak"}, {"name": "strong", "label": "strong"}]


def run_rows(*, datasets=("plain", "short"), plws=PLWS, normalization="nonzero_count", experiments="main"):
    return pd.DataFrame(
        [
            {"run": f"{ptlm}-{dataset}-plw{plw:g}-{normalization}-none-s42", "ptlm": ptlm, "dataset": dataset,
             "plw": plw, "normalization": normalization, "regularizer": "none", "strength": 0.0, "seed": 42,
             "experiments": experiments}
            for ptlm in ("weak", "strong") for dataset in datasets for plw in plws
        ]
    )  # fmt: skip


def measured(runs: pd.DataFrame, *, windows: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up measures: memorisation for `short` only."""
    rng = np.random.default_rng(3)
    rsd = pd.DataFrame(
        [
            {"run": run, "window": i, "first_step": 5 * i - 4, "last_step": 5 * i, "rsd": rng.uniform(0.05, 0.3)}
            for run in runs["run"]
            for i in range(1, windows + 1)
        ]
    )
    rows = []
    for run in runs.drop(columns="experiments").to_dict("records"):
        values = {"rsd": rsd.loc[rsd["run"] == run["run"], "rsd"].mean(), "weight_distance": rng.uniform(50, 100)}
        values |= {"generation_tokens": rng.uniform(10, 50), "rsd_completion": rng.uniform(0.05, 0.3)}
        values |= {"clipped_updates": rng.uniform(), "gradient_norm": rng.uniform(0.1, 3)}
        if run["dataset"] == "short":
            values["memorisation_bleu"] = rng.uniform(0, 80)
        rows += [run | {"measure": name, "value": value, "n": 9} for name, value in values.items()]
    return pd.DataFrame(rows), rsd


@pytest.fixture(scope="module")
def arm() -> pd.DataFrame:
    other = run_rows(datasets=("short",), plws=(0.01, 0.1), normalization="sum_of_weights", experiments="losses")
    shared = run_rows(datasets=("short",), plws=(0.01, 0.1))
    return pd.concat([shared, other])


@pytest.fixture(scope="module")
def numbers(arm):
    runs = run_rows()
    return runs, *measured(pd.concat([runs, arm[arm["normalization"] == "sum_of_weights"]]))


def drawn(data, **changes):
    return draw(data, datasets=DATASETS, ptlms=PTLMS, style=style_with({}), **changes)


def test_a_box_holds_the_quantiles_of_all_windows_of_its_data_set_and_weight(numbers):
    runs, measures, windows = numbers
    data = figure_data(measures, windows, main=runs)
    for dataset in ("plain", "short"):
        for plw in PLWS:
            cell = runs[(runs["dataset"] == dataset) & (runs["plw"] == plw)]
            values = windows.loc[windows["run"].isin(cell["run"]), "rsd"].to_numpy()
            rows = data[(data["panel"] == "a") & (data["dataset"] == dataset) & (data["plw"] == plw)]
            box = rows[rows["statistic"] != "value"].set_index("statistic")
            for name, quantile in QUANTILES.items():
                assert box.loc[name, "value"] == pytest.approx(np.quantile(values, quantile))
            assert box.loc["mean", "value"] == pytest.approx(values.mean())
            assert set(box["n"]) == {len(values)} == {14}


@pytest.mark.slow
def test_the_panel_draws_one_box_per_data_set_and_weight_at_the_quantiles(numbers):
    runs, measures, windows = numbers
    data = figure_data(measures, windows, main=runs)
    axes = drawn(data).axes[0]
    boxes = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    assert len(boxes) == 8
    edges = {(round(box.get_path().vertices[:, 1].min(), 9), round(box.get_path().vertices[:, 1].max(), 9))
             for box in boxes}  # fmt: skip
    table = data[data["panel"] == "a"].pivot_table(index=["dataset", "plw"], columns="statistic", values="value")
    assert edges == {(round(low, 9), round(high, 9)) for low, high in
                     zip(table["quartile_low"], table["quartile_high"], strict=True)}  # fmt: skip


@pytest.mark.slow
def test_the_other_panels_show_every_run_and_the_mean_over_ptlms(numbers):
    runs, measures, windows = numbers
    data = figure_data(measures, windows, main=runs)
    for axes, (measure, _, _) in zip(drawn(data).axes[1:7], list(PANELS.values())[1:], strict=True):
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        values = sorted(value for line in points for value in line.get_ydata())
        main = measures[(measures["measure"] == measure) & measures["run"].isin(runs["run"])]
        assert values == pytest.approx(sorted(main["value"]))
        solid = [line for line in axes.lines if line.get_linestyle() == "-" and line.get_linewidth() > 1]
        means = main.groupby(["dataset", "plw"])["value"].mean()
        assert [list(line.get_ydata()) for line in solid] == [
            pytest.approx(list(means[name])) for name in ("plain", "short") if name in means
        ]


def hollow(axes):
    return [line for line in axes.lines if line.get_markerfacecolor() in ARM_FILLS and line.get_markersize() == 4.5]


@pytest.mark.slow
def test_another_normalization_has_hollow_marks_and_no_line_where_its_loss_may_differ(numbers, arm):
    runs, measures, windows = numbers
    data = figure_data(measures, windows, main=runs, arm=arm)
    figure = drawn(data)
    assert [len(hollow(axes)) for axes in figure.axes[:7]] == [2, 2, 0, 0, 2, 2, 2], "one for each ptlm"
    assert {line.get_linestyle() for axes in figure.axes for line in hollow(axes)} == {"None"}
    assert set(data.loc[data["series"] == "arm", "normalization"]) == {"sum_of_weights"}
    assert "Short, loss by sum of weights" in [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.slow
def test_marks_of_another_normalization_lie_on_the_boxes_of_their_own_data_set(numbers, arm):
    runs, measures, windows = numbers
    axes = drawn(figure_data(measures, windows, main=runs, arm=arm)).axes[0]
    colour = to_rgba(STYLE["colours"]["AlpacaDataShort"], 0.55)
    boxes = [patch.get_path().vertices[:, 0] for patch in axes.patches
             if isinstance(patch, PathPatch) and patch.get_facecolor() == colour]  # fmt: skip
    middles = {round(float(box.min() + box.max()) / 2, 9) for box in boxes}
    assert len(middles) == len(PLWS)
    marks = {round(float(place), 9) for line in hollow(axes) for place in line.get_xdata()}
    assert len(marks) == 2
    assert marks < middles


@pytest.mark.slow
def test_two_other_normalizations_are_told_apart(numbers, arm):
    runs, measures, windows = numbers
    third = run_rows(datasets=("short",), plws=(0.01,), normalization="all_count", experiments="losses")
    more, _ = measured(third)
    everything = figure_data(pd.concat([measures, more]), windows, main=runs, arm=pd.concat([arm, third]))
    figure = drawn(everything)
    assert {line.get_markerfacecolor() for line in hollow(figure.axes[1])} == set(ARM_FILLS)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"Short, loss by all count", "Short, loss by sum of weights"} < set(texts)


@pytest.mark.slow
def test_panels_that_the_paper_does_not_have_say_so(numbers):
    runs, measures, windows = numbers
    titles = [axes.get_title() for axes in drawn(figure_data(measures, windows, main=runs)).axes[:7]]
    assert ["Ours" in title for title in titles] == [False] * 4 + [True] * 3


def test_a_panel_without_numbers_says_that_it_was_not_measured(numbers):
    runs, measures, windows = numbers
    kept = measures[measures["measure"] != "memorisation_bleu"]
    figure = drawn(figure_data(kept, windows, main=runs))
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes[:7]] == [
        *([], [], ["not measured"]),
        *[[]] * 4,
    ]


@pytest.mark.slow
def test_values_that_hardly_differ_lie_inside_their_panel(numbers):
    runs, measures, windows = numbers
    level = measures.assign(value=measures["value"].where(measures["measure"] != "weight_distance", 180.0))
    axes = drawn(figure_data(level, windows, main=runs)).axes[1]
    low, high = axes.get_ylim()
    assert low == 0
    assert high > 1.05 * 180


def test_nothing_measured_and_nothing_planned_still_draw(numbers):
    runs, measures, windows = numbers
    for kept in (runs, runs.head(0)):
        data = figure_data(measures.head(0), windows.head(0), main=kept)
        assert data.empty
        assert [axes.texts[0].get_text() for axes in drawn(data).axes[:7]] == ["not measured"] * 7
    assert missing_note(data, planned=kept) == "the study has no such runs"


def test_missing_runs_are_counted_for_each_measure(numbers):
    runs, measures, windows = numbers
    assert missing_note(figure_data(measures, windows, main=runs), planned=runs) == ""
    lost = runs.loc[runs["dataset"] == "short", "run"].iloc[0]
    kept = measures[(measures["run"] != lost) | ~measures["measure"].isin([PANELS[panel][0] for panel in "bcd"])]
    assert missing_note(figure_data(kept, windows, main=runs), planned=runs) == (
        "(b) weight distance: 15 of 16 runs; (c) memorisation bleu: 7 of 8 runs; (d) generation tokens: 15 of 16 runs"
    )


def test_the_size_of_the_figure_is_part_of_the_style():
    assert len(STYLE["sizes"]["figure_2"]) == 2


@pytest.mark.slow
def test_the_program_writes_the_same_bytes_twice(numbers, arm, tmp_path):
    runs, measures, windows = numbers
    everything = pd.concat([runs, arm[arm["normalization"] == "sum_of_weights"]])
    for name, frame in (("runs", everything), ("mechanism", measures), ("windows", windows)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    digests = []
    for place in ("one", "two"):
        draw_figure_2.main(
            ["--mechanism", str(tmp_path / "mechanism.csv"), "--windows", str(tmp_path / "windows.csv"),
             "--runs", str(tmp_path / "runs.csv"), "--datasets", json.dumps(DATASETS), "--ptlms", json.dumps(PTLMS),
             "--style", '{"dots_per_inch": 50}', *(
                 part for kind in ("pdf", "png", "csv") for part in (f"--{kind}", str(tmp_path / place / f"f.{kind}"))
             )]
        )  # fmt: skip
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((tmp_path / place).iterdir())])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3
    table = pd.read_csv(tmp_path / "one" / "f.csv", keep_default_na=False)
    assert set(table["panel"]) == set("abcdefg")
    assert set(table["series"]) == {"main", "arm"}

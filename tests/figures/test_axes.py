"""What figures by PLW share: the note, the legend and the room for both."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from plw.figures.axes import legend_and_note, new_figure, ptlm_marks, runs_and_mean, seed_errors
from plw.figures.saving import save_figure
from plw.figures.style import style_with


def drawn(labels: list[str], note: str):
    figure = new_figure((5, 3))
    figure.subplots()
    legend_and_note(figure, [Line2D([], [], label=label) for label in labels], note)
    figure.canvas.draw()
    return figure


def test_a_long_legend_and_a_long_note_stay_inside_the_figure_and_below_the_panels():
    figure = drawn([f"a data set with a long name {index}" for index in range(7)], "many words " * 25)
    panel = figure.axes[0].get_tightbbox()
    legend, note = figure.legends[0].get_window_extent(), figure.texts[0].get_window_extent()
    for box in (legend, note):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
        assert box.y0 >= 0
    assert note.y1 <= legend.y1 <= panel.y0


def test_a_short_legend_takes_one_row_and_leaves_more_room():
    one, many = drawn(["a", "b"], ""), drawn([f"a data set with a long name {index}" for index in range(7)], "")
    assert one.axes[0].get_position().y0 < many.axes[0].get_position().y0
    assert len(one.legends) == len(many.legends) == 1
    assert not one.texts


def test_each_ptlm_has_a_mark_of_its_own():
    marks = ptlm_marks([{"name": f"m{index}"} for index in range(4)], style_with({}))
    assert len(set(map(str, marks.values()))) == 4


def test_bars_are_the_standard_error_over_seeds_and_stand_only_where_each_ptlm_has_several():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        [{"w_p": w, "ptlm": ptlm, "seed": seed, "value": level + rng.normal()}
         for w in (0.0, 0.5, 1.0) for ptlm, level in (("a", 0.0), ("b", 9.0)) for seed in (42, 43, 44)]
    )  # fmt: skip
    rows = rows[(rows["w_p"] != 1.0) | (rows["ptlm"] == "a") | (rows["seed"] == 42)]
    found = seed_errors(rows, "value")
    assert list(found.index) == [0.0, 0.5]
    for w, error in found.items():
        one, other = (rows.loc[(rows["w_p"] == w) & (rows["ptlm"] == ptlm), "value"] for ptlm in "ab")
        assert error == pytest.approx(np.sqrt(one.var() / 3 + other.var() / 3) / 2)
    marks = ptlm_marks([{"name": "a"}, {"name": "b"}], style_with({}))
    axes = new_figure((3, 3)).subplots()
    runs_and_mean(axes, rows, "value", marks, "black")
    assert len(axes.containers) == 1
    runs_and_mean(axes, rows[rows["seed"] == 42], "value", marks, "black")
    assert len(axes.containers) == 1


def test_a_figure_is_laid_out_once_for_both_its_files_as_matplotlib_lays_it_out(tmp_path, monkeypatch):
    style = style_with({})
    saved, expected = (drawn(["a", "b"], "a note") for _ in range(2))
    expected.savefig(tmp_path / "expected.png", dpi=style["dots_per_inch"])
    solved, execute = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *given: solved.append(execute(*given)))
    save_figure(saved, pdf=tmp_path / "f.pdf", png=tmp_path / "f.png", style=style)
    assert len(solved) == 1
    assert np.allclose(saved.axes[0].get_position().bounds, expected.axes[0].get_position().bounds, atol=0.005)
    assert (tmp_path / "f.pdf").stat().st_size > 0 and (tmp_path / "f.png").stat().st_size > 0

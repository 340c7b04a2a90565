"""Figure 4: word counts and ratios of the paper's two examples, and the drawing."""

import csv

import draw_figure_4
import pytest
from plw.figures.figure_4 import COLUMN_CHARACTERS, EXAMPLES, draw_examples, example_rows, lay_out, panels_of
from plw.figures.style import style_with


@pytest.mark.parametrize(
    ("example", "form", "words", "ratio"),
    [
        (1, "original", (7, 0, 34), 34 / 7),  # printed: 4.857
        (1, "modified", (9, 34, 7), 7 / 43),  # printed: 0.163
        (2, "original", (8, 2, 34), 34 / 10),
        (2, "modified", (16, 34, 8), 8 / 50),
    ],
)
def test_word_counts_and_ratios_are_those_of_the_paper(example, form, words, ratio):
    row = next(row for row in example_rows() if (row["example"], row["form"]) == (example, form))
    assert (row["instruction_words"], row["input_words"], row["output_words"]) == words
    assert row["r_g"] == ratio


def test_the_printed_ratios_of_the_caption_come_out():
    first = [f"{row['r_g']:.3f}" for row in example_rows() if row["example"] == 1]
    assert first == ["4.857", "0.163"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_coloured_runs_spell_the_fields_of_the_instance(example):
    original, modified = panels_of(example)
    for row, panel in zip(example_rows([example]), (original, modified), strict=True):
        for name, runs in panel.fields.items():
            assert "".join(text for text, _ in runs) == row[name]


def test_layout_keeps_every_word_within_the_column():
    runs = [(EXAMPLES[0].output, "output"), (EXAMPLES[1].output, "input")]
    lines = lay_out("output", runs, COLUMN_CHARACTERS)
    assert all(column + len(text) <= COLUMN_CHARACTERS for line in lines for column, text, _ in line)
    words = " ".join(text for line in lines for _, text, key in line if key != "label")
    expected = " ".join(f"{EXAMPLES[0].output} {EXAMPLES[1].output}".split())
    assert words == f'"{expected}"'
    for line in lines:  # no two words overlap
        ends = [column + len(text) for column, text, _ in line]
        assert all(end < column for end, (column, _, _) in zip(ends, line[1:], strict=False))


def test_no_text_leaves_its_panel():
    figure = draw_examples(style_with({}))
    figure.draw_without_rendering()
    for axes in figure.axes:
        frame = axes.get_window_extent()
        for text in axes.texts:
            box = text.get_window_extent()
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1, (
                text.get_text()
            )


@pytest.mark.slow
def test_the_program_writes_pdf_png_and_csv(tmp_path):
    paths = {kind: tmp_path / f"figure_4.{kind}" for kind in ("pdf", "png", "csv")}
    draw_figure_4.main([item for kind, path in paths.items() for item in (f"--{kind}", str(path))])
    assert paths["pdf"].read_bytes().startswith(b"%PDF")
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    with open(paths["csv"], encoding="utf-8", newline="") as stream:
        assert [float(row["r_g"]) for row in csv.DictReader(stream)] == [34 / 7, 7 / 43, 34 / 10, 8 / 50]

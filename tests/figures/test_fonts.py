"""Labels are drawn as they are written, or refused by name before anything runs."""

import json
import os
import warnings

import draw_figure_1
import pytest
from checkout import ROOT, snakemake
from matplotlib import font_manager
from matplotlib.text import Text
from plw.errors import InputError, InputErrors
from plw.figures import benchmarks, datasets, figure_1, figure_8, figure_10
from plw.figures.axes import W_P_LABEL
from plw.figures.fonts import check_labels, unusual, with_fonts
from plw.figures.saving import save_figure
from plw.figures.style import style_with
from plw.scores.regularizer_comparison import comparison_data
from simulated_scores import score_table

MARKUP = ["_base", "Costs $5 | or $6_x", "R&D 50%_#1 ~^\\", "{study} {0} }{ '\"`", "two\nlines", r"\alpha \$", "жук €"]
PTLMS = [{"name": "weak", "label": MARKUP[0]}, {"name": "strong", "label": MARKUP[1]}]
OUTSIDE = "日本語 🙂"
OWN_FORMULAS = {W_P_LABEL, "$R_g$ (completion tokens / prompt tokens)"}


def tiny_font(path, letters: str) -> str:
    """A font in which each of `letters` is a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = [".notdef", *(f"u{ord(letter):04X}" for letter in letters)]
    pen = TTGlyphPen(None)
    for move, place in ((pen.moveTo, (0, 0)), (pen.lineTo, (800, 0)), (pen.lineTo, (800, 800)), (pen.lineTo, (0, 800))):
        move(place)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): f"u{ord(letter):04X}" for letter in letters})
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-200)
    font.setupNameTable({"familyName": "Squares for tests", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return str(path)


@pytest.fixture
def fonts(monkeypatch):
    """The machine's fonts, as a list to be filled."""
    found: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_: list(found))
    return found


def data_sets(labels) -> list[dict]:
    roles = ("AlpacaData", "AlpacaDataShort", "UltraFeedback", "UltraFeedbackShort")
    return [{"name": f"d{place}", "label": label, "stands_for": roles[place % 4]} for place, label in enumerate(labels)]


def score_figures(sets: list[dict]):
    """Figures 1, 3, 5, 8 and 9 of simulated scores."""
    scores = score_table(datasets=[entry["name"] for entry in sets], plws=(0.0, 0.1, 1.0), benchmarks=3)
    entries = [{"name": f"b{i}", "label": sets[0]["label"], "metric": "acc", "group": "I"} for i in range(3)]
    look = {"ptlms": PTLMS, "style": with_fonts(style_with({}), sets, PTLMS)}
    pooled = datasets.figure_data(scores, datasets=sets, benchmarks=entries)
    yield figure_1.draw(figure_1.figure_data(scores), datasets=sets, **look)
    yield datasets.draw_figure_3(pooled, datasets=sets, **look)
    yield datasets.draw_figure_9(pooled, datasets=sets, **look)
    yield benchmarks.draw(benchmarks.figure_data(scores, entries), group="I", benchmarks=entries, datasets=sets, **look)
    first = scores[scores["dataset"] == sets[0]["name"]]
    yield figure_8.draw(comparison_data(first, entries), dataset=sets[0], **look)


def gam_figure(sets: list[dict]):
    """Figure 10 without fits: its legend names the data sets."""
    gam = {"covariate": "w_p", "fits": {}, "levels": {entry["name"]: 1.0 for entry in sets}}
    style = with_fonts(style_with({}), sets)
    return figure_10.draw(figure_10.figure_data(gam), gam=gam, datasets=sets, style=style)


def test_markup_in_labels_is_drawn_as_it_is_written_and_only_our_own_formulas_are_mathematics(tmp_path):
    sets = data_sets(MARKUP)
    for figure in [*score_figures(sets), gam_figure(sets)]:
        texts = figure.findobj(Text)
        parsed = {text.get_text() for text in texts if text.get_parse_math() and "$" in text.get_text()}
        assert parsed <= OWN_FORMULAS
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save_figure(figure, pdf=tmp_path / "f.pdf", png=tmp_path / "f.png", style=style_with({"dots_per_inch": 40}))
    legend = {text.get_text() for text in next(score_figures(sets)).legends[0].get_texts()}
    assert set(MARKUP) <= legend, "a first underscore hides nothing"


def test_letters_outside_the_font_come_from_a_font_of_the_machine(tmp_path, fonts):
    fonts.append(tiny_font(tmp_path / "squares.ttf", OUTSIDE.replace(" ", "")))
    style = with_fonts(style_with({}), [{"label": OUTSIDE}])
    assert style["matplotlib"]["font.family"] == ["DejaVu Sans", "Squares for tests"]
    figure = next(score_figures(data_sets([OUTSIDE])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that is missing
        save_figure(figure, pdf=tmp_path / "f.pdf", png=tmp_path / "f.png", style=style)


def test_ordinary_labels_change_no_font_and_look_at_none(fonts, monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_: pytest.fail("looked for fonts"))
    style = style_with({})
    assert with_fonts(style, MARKUP[:5], "café Łódź") is style
    assert unusual({"label": ["é\n", "日日"]}) == "日"


def test_letters_of_no_font_are_refused_with_key_letters_and_package(fonts):
    study = {
        "name": "mine",
        "ptlms": {"weak": {"label": "weak"}},
        "datasets": {"plain": {"label": OUTSIDE}, "short": {"label": "a\tb"}},
        "benchmarks": {"piqa": {"label": "PIQA", "metric": "मीट"}},
    }
    with pytest.raises(InputErrors) as caught:
        check_labels(study, style_with({}))
    plain, short, metric = caught.value.errors
    assert "日 (U+65E5)" in str(plain) and "datasets.plain.label" in str(plain)
    assert "fonts-noto-cjk" in plain.hint and "fonts-symbola" in plain.hint
    assert "U+0009" in str(short) and "apt-get" not in str(short)
    assert "benchmarks.piqa.metric" in str(metric) and "fonts-noto-core" in metric.hint
    with pytest.raises(InputError, match="日"):
        with_fonts(style_with({}), OUTSIDE)


def test_a_font_of_bitmaps_and_a_broken_font_are_passed_over(tmp_path, fonts):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fonts += [str(tmp_path / "broken.ttf"), str(tmp_path / "gone.ttf")]
    with pytest.raises(InputError, match="日"):
        with_fonts(style_with({}), "日")


@pytest.mark.slow
def test_the_program_draws_them(tmp_path, fonts):
    fonts.append(tiny_font(tmp_path / "squares.ttf", OUTSIDE.replace(" ", "")))
    sets = data_sets([OUTSIDE, MARKUP[1]])
    score_table(datasets=("d0", "d1"), plws=(0.0, 1.0), benchmarks=2).to_csv(tmp_path / "scores.csv", index=False)
    entries = [{"name": f"b{i}", "metric": "acc"} for i in range(2)]
    files = [word for kind in ("pdf", "png", "csv") for word in (f"--{kind}", str(tmp_path / f"f.{kind}"))]
    words = ["--scores", str(tmp_path / "scores.csv"), "--benchmarks", json.dumps(entries), *files]
    draw_figure_1.main([*words, "--datasets", json.dumps(sets), "--ptlms", json.dumps(PTLMS)])
    assert (tmp_path / "f.png").stat().st_size > 10_000


@pytest.mark.workflow
@pytest.mark.slow
def test_the_workflow_refuses_labels_without_a_font_before_anything_runs_and_takes_them_with_one(tmp_path):
    study = ("--dry-run", "--config", f"study={ROOT / 'tests/cases/studies/labels.yaml'}", "--", "figure_1")
    (tmp_path / "fonts").mkdir()
    letters = "".join(chr(code) for code in (0x65E5, 0x672C, 0x8A9E, 0x1F642))
    tiny_font(tmp_path / "fonts" / "squares.ttf", letters)
    done = snakemake(*study, environment={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    if not any(font_manager.get_font(path).get_char_index(0x65E5) for path in font_manager.findSystemFonts()):
        refused = snakemake(*study)
        assert refused.returncode != 0
        said = refused.stdout + refused.stderr
        assert "datasets.plain.label" in said and "日" in said

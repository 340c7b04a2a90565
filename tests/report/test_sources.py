"""Every part of the page names a file and a rule that the workflow has."""

import re
from pathlib import Path

import pytest
from plw.report.sources import SOURCES, artifact_source, source
from report_samples import page, picture, run_row

ROOT = Path(__file__).resolve().parents[2]
RULES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))


@pytest.mark.parametrize("part", SOURCES)
def test_a_part_comes_from_a_file_that_the_rules_know(part):
    file, rule = SOURCES[part]
    if rule:
        assert re.search(rf"^\s*rule {rule}:", RULES, re.MULTILINE), rule
    layout = (ROOT / "scripts/plw/study/layout.py").read_text(encoding="utf-8")
    name = re.sub(r"\{\w+\}", "", file.rstrip("/")).rsplit("/", 1)[-1].removeprefix("alpaca_eval.").strip(".")
    assert name in RULES + layout, file


def test_an_artifacts_numbers_are_a_file_beside_the_drawing():
    assert artifact_source("figure_1") == "figures/figure_1.csv, rule draw_figure_1"
    assert artifact_source("table_losses") == "tables/table_losses.csv, rule make_table_losses"
    for pattern in ('f"draw_{artifact}"', 'f"make_{artifact}"', "figures/{artifact}.csv", "tables/{artifact}.csv"):
        assert pattern in RULES


def test_a_study_of_given_scores_names_the_rule_that_took_them():
    assert source("scores", given_scores=True) == "scores.csv, rule take_scores"
    assert "take_scores" in page(run_records=[]) and "take_scores" not in page()


def test_figures_and_tables_carry_their_source():
    html = page(
        artifacts={"figure_9": picture(9, 9), "table_2": b"**T**\n\n| a |\n|---|\n| 1 |\n"},
        score_rows=[run_row("r0", 0.5)],
    )
    assert "figures/figure_9.csv, rule draw_figure_9" in html and "tables/table_2.csv, rule make_table_2" in html

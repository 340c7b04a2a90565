"""The report page."""

import re
from pathlib import Path

from plw.report import build_page, duration, missing_groups, preflight_table, read_table, run_summary

TEMPLATE = Path(__file__).resolve().parents[1] / "scripts/plw/report.html.j2"
RECORD = {
    "plw": 0.1,
    "effective_loss": "Sum. Weights: 0.1 for prompt tokens.",
    "energy_joules": None,
    "versions": {"torch": "2"},
    "git": {"commit": "abc", "dirty": False},
    "device": {"model": None, "cpu": "a CPU", "type": "cpu"},
    "processes": 1,
    "seconds_in_all": 50.0,
    "tokens": 1000,
    "training": {"zero_stage": None},
}


def page(**changes) -> str:
    context = {
        "study": {"name": "test", "description": "x", "seeds": [42]},
        "sections": [("study", "What was run")],
        "ptlms": [{"label": "weak"}],
        "datasets": [{"label": "Short", "stands_for": "AlpacaDataShort"}],
        "planned": 2,
        "summary": run_summary([RECORD]),
        "n_scores": 10,
        "missing": [],
        "missing_groups": [],
        "artifacts": [],
        "preflight": {"columns": [], "rows": []},
        "fits": [],
    }
    return build_page(TEMPLATE, context={**context, **changes})


def test_text_that_contains_markup_appears_as_text():
    text = '<script>alert("x")</script>'
    table = {"columns": ["a"], "rows": [[{"text": text, "bold": False}]], "notes": []}
    artifact = {"name": "table_1", "title": "T", "place": "P", "caption": text, "image": None, "table": table}
    html = page(artifacts=[artifact])
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2


def test_missing_runs_are_shown():
    html = page(missing=[{"run": "r", "benchmark": "b", "reason": "no file"}], missing_groups=[])
    assert "incomplete" in html
    assert "1 missing" in html


def test_missing_scores_are_grouped_by_benchmark_and_reason():
    missing = [{"run": name, "benchmark": "b", "reason": "x"} for name in ("r1", "r2")]
    assert missing_groups(missing) == [{"benchmark": "b", "reason": "x", "runs": ["r1", "r2"]}]


def test_the_page_asks_no_network_for_anything():
    assert not re.findall(r"https?://|src=|@import", page())


def test_a_sweep_has_one_sentence_on_its_loss():
    other = {**RECORD, "plw": 1.0, "effective_loss": "Sum. Weights: 1.0 for prompt tokens."}
    assert run_summary([RECORD, other])["losses"] == ["Sum. Weights: PLW for prompt tokens."]


def test_energy_is_summed_only_where_every_run_could_read_it():
    assert run_summary([RECORD, {**RECORD, "energy_joules": 5.0}])["energy_joules"] is None
    assert run_summary([{**RECORD, "energy_joules": 5.0}] * 2)["energy_joules"] == 10.0


def test_a_markdown_table_reads_back_with_its_notes_and_bold_cells():
    text = "**Table**\n\n| a | b |\n|:--|--:|\n| x | **<0.001** |\n\nA note.\n"
    table = read_table(text)
    assert table["columns"] == ["a", "b"]
    assert table["rows"] == [[{"text": "x", "bold": False}, {"text": "<0.001", "bold": True}]]
    assert table["notes"] == ["A note."]


def test_an_empty_data_set_has_no_ratio_in_the_preflight_table():
    problem = {"rows": 0, "share": 0.0}
    found = {
        "dataset": "d",
        "rows": 0,
        "problems": dict.fromkeys(("truncated", "completion_lost", "eos_lost", "prompt_not_prefix"), problem),
        "mean_prompt_tokens": 0.0,
        "mean_completion_tokens": 0.0,
        "r_g_of_loss": None,
    }
    assert preflight_table([found], {"d": "D"})["rows"][0][-1] == "–"


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (41, 720, 12_240)] == ["41 s", "12 min", "3.4 h"]

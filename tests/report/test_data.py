"""The data before training as the report shows them."""

from plw.report.data import preflight_table, reading_table


def texts(table):
    return [[cell["text"] for cell in row] for row in table["rows"]]


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
    assert texts(preflight_table([found], {"d": "D"}))[0][-1] == "–"


def test_what_was_left_out_and_kept_of_a_data_set_stands_in_the_report_with_its_first_lines():
    first = [{"file": "data/a.jsonl", "line": line} for line in (2, 3, 4, 5, 9)]
    problems = {
        "wrong_type": {"count": 12, "kept": False, "first": first},
        "duplicate": {"count": 1, "kept": True, "first": first[:1]},
        "bad_json": {"count": 0, "kept": False, "first": []},
    }
    read = {"dataset": "d", "rows_read": 240, "rows_kept": 228, "rows_dropped": 12, "problems": problems}
    derived = {"dataset": "e", "rows_read": 228, "rows_kept": 228, "rows_dropped": 0, "inversion": {}}
    assert texts(reading_table([read, derived], {"d": "D"})) == [
        ["D", "240", "228", "12", "with a field that is no text", "a.jsonl, line 2, 3, 4, 5, 9, …", "left out"],
        ["", "", "", "1", "equal to an earlier one", "a.jsonl, line 2", "kept"],
        ["e", "228", "228", "0", "nothing was noticed", "–", "–"],
    ]

"""From a study's entry to instances.jsonl and rows.json, through the programs."""

import gzip
import json

import describe_dataset
import prepare_dataset
import pytest
from plw.data.instances import DROPPED, KEPT, NOTES, Instance
from plw.data.preparation import derive_dataset
from plw.data.ratios import count_words
from plw.data.reading import WORDS, in_one_line, places, without_texts
from plw.errors import InputError
from plw.files import read_json, read_jsonl
from tiny import tiny_tokenizer

LONG = "the small cat walks under the old tree and sees a dog near the river"


def rows(number=60):
    """Alternately long and short outputs, every third row with an input."""
    return [
        {
            "instruction": f"name a cat of house {index}",
            "input": "the red house" if index % 3 == 0 else "",
            "output": LONG if index % 2 == 0 else "a cat",
        }
        for index in range(number)
    ]


@pytest.fixture
def prepare(tmp_path):
    """Run prepare_dataset.py; returns its instances and its report."""

    def run(name, entry, *flags):
        paths = {key: tmp_path / name / file for key, file in (("instances", "i.jsonl"), ("rows", "r.json"))}
        written = [item for key, path in paths.items() for item in (f"--{key}", str(path))]
        prepare_dataset.main(["--name", name, "--dataset", json.dumps(entry), *map(str, flags), *written])
        return read_jsonl(paths["instances"]), read_json(paths["rows"])

    run.folder = tmp_path
    return run


def source_file(folder, content=None):
    path = folder / "data.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in content or rows()).encode()))
    return {"path": str(path)}


def test_a_source_is_read_into_instances_with_their_rows(prepare):
    instances, report = prepare("plain", {"label": "Plain", "source": source_file(prepare.folder), "format": "alpaca"})
    assert [{key: row[key] for key in ("instruction", "input", "output")} for row in instances] == rows()
    assert [row["source_row"] for row in instances] == list(range(60))
    assert not any(row["inverted"] for row in instances)
    assert (report["dataset"], report["rows_read"], report["rows_kept"]) == ("plain", 60, 60)
    assert report["problems"]["duplicate"]["count"] == 0


def test_limit_and_strict_are_passed_on(prepare):
    source = source_file(prepare.folder, [*rows(5), {"instruction": "x"}])
    instances, report = prepare("some", {"source": source, "format": "alpaca", "limit": 3})
    assert len(instances) == 3 == report["rows_read"]
    with pytest.raises(InputError, match=r"datasets\.all"):
        prepare("all", {"source": source, "format": "alpaca", "strict": True})
    assert not (prepare.folder / "all").exists()


def test_a_derived_data_set_is_inverted_from_its_parent(prepare):
    prepare("plain", {"source": source_file(prepare.folder), "format": "alpaca"})
    parent = prepare.folder / "plain" / "i.jsonl"
    instances, report = prepare("short", {"from": "plain", "inversion": {"rule": "all"}}, "--parent", parent)
    assert [row["inverted"] for row in instances] == [index % 2 == 0 for index in range(60)]
    assert (report["from"], report["rows_inverted"], report["rows_dropped"]) == ("plain", 30, 0)
    assert report["inversion"] == {
        "rule": "all",
        "unit": "characters",
        "r_g": None,
        "tolerance": 0.02,
        "seed": 42,
        "achieved": None,
        "within_tolerance": None,
    }


def test_a_target_needs_the_tokenizer_and_reports_what_was_reached(prepare):
    prepare("plain", {"source": source_file(prepare.folder, rows(600)), "format": "alpaca"})
    parent = prepare.folder / "plain" / "i.jsonl"
    entry = {"from": "plain", "inversion": {"rule": "target", "r_g": 0.6}}
    with pytest.raises(InputError, match="needs a tokenizer"):
        prepare("medium", entry, "--parent", parent)
    tiny_tokenizer(prepare.folder / "tokenizer")
    tokenizer = json.dumps({"path": str(prepare.folder / "tokenizer")})
    instances, report = prepare("medium", entry, "--parent", parent, "--tokenizer", tokenizer)
    assert report["inversion"]["within_tolerance"] is True
    assert report["rows_inverted"] == sum(row["inverted"] for row in instances) > 0
    target = report["inversion"]["achieved"]
    files = {kind: prepare.folder / f"{kind}.json" for kind in ("statistics", "preflight")}
    describe_dataset.main(
        ["--name", "medium", "--instances", str(prepare.folder / "medium" / "i.jsonl"), "--max-length", "512"]
        + ["--tokenizer", tokenizer, "--training-tokenizer", tokenizer]
        + [item for kind, path in files.items() for item in (f"--{kind}", str(path))]
    )
    statistics, preflight = read_json(files["statistics"]), read_json(files["preflight"])
    assert statistics["r_g"]["ratio_of_mean_tokens"] == target
    assert statistics["dataset"] == preflight["dataset"] == "medium"
    assert statistics["rows"] == preflight["rows"] == 600
    assert statistics["rows_inverted"] == report["rows_inverted"]


def test_no_tokenizer_is_loaded_where_none_is_needed():
    def must_not_load():
        raise AssertionError("the token counter was loaded")

    parent = [Instance("a", "", "bcd", source_row=0)]
    for unit in ("characters", "words"):
        derive_dataset("x", {"from": "y", "inversion": {"unit": unit}}, parent, must_not_load)


def test_a_target_that_a_small_data_set_misses_is_reported_and_warned_about():
    parent = [Instance("a b", "", "c d e f g h", source_row=index) for index in range(2)]
    entry = {"from": "y", "inversion": {"rule": "target", "r_g": 1.5}}
    with pytest.warns(UserWarning, match="too small"):
        _, report = derive_dataset("x", entry, parent, lambda: count_words)
    assert report["inversion"]["within_tolerance"] is False


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"from": "y", "inversion": {"ratio": 1}}, "Unknown key"),
        ({"from": "y", "inversion": {}, "limit": 3}, "has no limit"),
        ({"from": "y", "inversion": {"unit": "letters"}}, "Unknown unit"),
    ],
)
def test_wrong_entries_of_derived_data_sets_are_refused(entry, message):
    with pytest.raises(InputError, match=message):
        derive_dataset("x", entry, [Instance("a", "", "b", source_row=0)], lambda: None)


def test_what_is_left_out_and_what_is_kept_is_said_in_one_line(prepare, capsys):
    """A conversation's later turns and system turn, duplicates and empty outputs as well as rows left out."""

    def turn(role, content):
        return {"role": role, "content": content}

    good = [turn("user", "Hi"), turn("assistant", "Ho")]
    chats = [[turn("system", "Be kind"), *good], [*good, turn("user", "More?")], good,
             [turn("user", "Go"), turn("assistant", "")]]  # fmt: skip
    content = [*({"messages": chat} for chat in chats), *({"messages": [turn("user", 7)]} for _ in range(6))]
    entry = {"source": source_file(prepare.folder, content), "format": "messages", "most_left_out": 0.9}
    prepare("faq", entry)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Data set faq: ")]
    assert "6 of 10 rows left out: 6 lacking a field (data.jsonl.gz, line 5, 6, 7, 8, 9, …)." in line
    for words in (
        "1 with an empty completion",
        "2 equal to an earlier one",
        "1 whose system turn",
        "1 whose later turns",
    ):
        assert words in line


def test_nothing_is_said_of_a_data_set_in_which_nothing_was_met(prepare, capsys):
    prepare("plain", {"source": source_file(prepare.folder)})
    assert capsys.readouterr().out == ""


def test_rows_that_an_inversion_leaves_out_are_said_as_such():
    record = {"dataset": "tiny", "rows_read": 96, "rows_kept": 51, "rows_dropped": 45, "inversion": {"rule": "tiny"}}
    assert in_one_line(record, "Tiny\n|x") == ("Tiny |x: 45 of 96 rows left out: 45 by the inversion's rule (App. D).")


def test_every_reason_of_the_readers_has_its_words():
    assert set(WORDS) == {*DROPPED, *KEPT, *NOTES}


def test_a_file_name_commands_no_terminal_and_can_be_written():
    shown = places([{"file": "a\x1b[2J\udce9.jsonl", "line": 3}], 1)
    assert shown == "a\\x1b[2J\\udce9.jsonl, line 3"


def test_what_is_packed_holds_counts_and_lines_but_no_text_and_no_path():
    first = [{"file": "/mine/faq.jsonl", "line": 3, "detail": "my secret is not among the fields"}]
    problems = {"missing_field": {"count": 1, "kept": False, "first": first}}
    record = {"dataset": "faq", "source": {"path": "/mine"}, "rows_read": 9, "rows_dropped": 1, "problems": problems}
    packed = without_texts(record)
    assert "secret" not in json.dumps(packed) and "/mine" not in json.dumps(packed)
    assert in_one_line(packed) == in_one_line(record)
    assert without_texts({"dataset": "tiny", "rows_read": 9}) == {"dataset": "tiny", "rows_read": 9}


def test_a_smaller_draw_lies_in_a_larger_one_in_the_order_of_the_rows(prepare):
    prepare("plain", {"label": "Plain", "source": source_file(prepare.folder)})
    drawn = {}
    for count in (7, 20, 60):
        entry = {"label": "Few", "from": "plain", "subset": {"rows": count}}
        parent = prepare.folder / "plain" / "i.jsonl"
        drawn[count], report = prepare(f"few{count}", entry, "--parent", parent)
        assert (report["rows_read"], report["rows_kept"], report["rows_dropped"]) == (60, count, 60 - count)
        assert report["subset"] == {"rows": count, "seed": 42}
        places = [row["source_row"] for row in drawn[count]]
        assert places == sorted(set(places))
    assert all(row in drawn[20] for row in drawn[7])
    assert drawn[60] == read_jsonl(prepare.folder / "plain" / "i.jsonl")
    other, _ = prepare(
        "other", {"from": "plain", "subset": {"rows": 20, "seed": 1}}, "--parent", prepare.folder / "plain" / "i.jsonl"
    )
    assert other != drawn[20]
    assert in_one_line(report | {"rows_dropped": 40}, "Few") == "Few: 40 of 60 rows left out: 40 not drawn."


def test_more_rows_than_there_are_is_an_error_with_their_number():
    instances = [Instance("say", "", "a", number) for number in range(5)]
    with pytest.raises(InputError, match=r"More rows(.|\n)*6(.|\n)*mine has 5 rows after reading"):
        derive_dataset("few", {"from": "mine", "subset": {"rows": 6}}, instances, lambda: None)
    with pytest.raises(InputError, match="Unknown key of a subset"):
        derive_dataset("few", {"from": "mine", "subset": {"row": 6}}, instances, lambda: None)

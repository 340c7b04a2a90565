"""Rows of files: every form that is read, and the name of what is not."""

import csv
import gzip
import json
import tracemalloc

import pytest
from checkout import ROOT
from hub_repositories import parquet
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.errors import InputError
from plw.study.rows import RowError, file_rows, parse_rows, text_problem

CASES = ROOT / "tests/cases/files"
COLOURS = [f"Colour number {number} is green." for number in range(3)]


def values(content, file):
    return [row.value for row in parse_rows(content, file)]


@pytest.mark.parametrize("name", ["utf16.jsonl", "wrapped.json", "columns.json", "pretty.jsonl"])
def test_what_can_be_read_without_a_guess_is_read(name):
    assert [row["output"] for row in values((CASES / name).read_bytes(), name)] == COLOURS


def test_every_file_of_several_joined_ones_may_bring_its_byte_order_mark():
    rows = list(parse_rows((CASES / "two_boms.jsonl").read_bytes(), "two_boms.jsonl"))
    assert [row.value["output"] for row in rows] == COLOURS * 2
    assert [row.line for row in rows] == [1, 2, 3, 4, 5, 6]


def test_bad_lines_are_rows_with_an_error_and_blank_lines_are_none():
    content = b'{"a": 1}\n\n{"a": \n{"a": "\xff"}\r\n{"a": 2}\n'
    rows = list(parse_rows(content, "x.jsonl"))
    assert [row.line for row in rows] == [1, 3, 4, 5]
    assert [row.value.reason if isinstance(row.value, RowError) else None for row in rows] == [
        None,
        "bad_json",
        "bad_encoding",
        None,
    ]


def test_a_damaged_array_or_gzip_file_is_an_input_error():
    with pytest.raises(InputError, match="line 2"):
        list(parse_rows(b'[{"a": 1},\n{"a": }]', "x.json"))
    with pytest.raises(InputError, match="gzip"):
        list(parse_rows(gzip.compress(b'{"a": 1}\n' * 100)[:-20], "x.jsonl.gz"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x80\x04\x95", "pickle"),
        ("a b".encode("utf-16-le") * 20, "UTF-16"),
        (b" \n", "empty"),
        (b"\xff\xfea", "begins as UTF-16"),
    ],
)
def test_a_file_without_rows_is_named_for_what_it_is(content, words):
    with pytest.raises(InputError) as caught:
        values(content, "x.jsonl")
    assert words in str(caught.value) and "x.jsonl" in str(caught.value)


def test_tables_have_a_header_text_cells_and_lines_of_the_file():
    content = b'instruction,output\nA,"two\nlines"\n\nB,C\nD\n'
    rows = list(parse_rows(content, "x.csv"))
    assert rows[0].value == {"instruction": "A", "output": "two\nlines"}
    assert [row.line for row in rows] == [2, 5, 6], "where each begins"
    assert rows[2].value == RowError("wrong_type", "1 cells under a header of 2")
    assert values(content.replace(b",", b"\t"), "x.tsv.gz")[1] == {"instruction": "B", "output": "C"}
    with pytest.raises(InputError, match="line 2"):
        values("a,b\nx,\xe9\n".encode("latin-1"), "x.csv")
    with pytest.raises(InputError, match="twice"):
        values(b"a,a\n1,2\n", "x.csv")


def test_a_cell_may_be_as_long_as_the_table_and_other_readers_keep_their_limit():
    limit = csv.field_size_limit()
    values(b"a\nb\n", "x.csv")
    assert csv.field_size_limit() == limit
    assert values(b"a\n" + b"b" * (limit + 1) + b"\n", "x.csv") == [{"a": "b" * (limit + 1)}]


def test_a_row_that_is_itself_one_object_is_not_taken_apart():
    row = {"messages": [{"role": "user", "content": "Hi"}]}
    assert values(json.dumps(row).encode(), "x.json") == [row]
    assert values(json.dumps({"data": [{"a": 1}]}).encode(), "x.jsonl") == [{"data": [{"a": 1}]}]
    with pytest.raises(InputError, match="data and train"):
        values(json.dumps({"data": [{"a": 1}], "train": [{"a": 2}]}).encode(), "x.json")


@pytest.mark.parametrize("bomb", [b"[" * 100_000, b'{"a": ' + b"9" * 100_000 + b"}"])
def test_what_makes_the_decoder_give_up_is_a_bad_row(bomb):
    assert values(b'{"a": 1}\n' + bomb, "x.jsonl")[1].reason == "bad_json"


def test_a_gzip_file_of_nothing_but_air_is_refused_with_bounded_memory():
    with pytest.raises(InputError, match="200 times"):
        values(gzip.compress(b"0" * (300 * 2**20), 1), "x.jsonl.gz")


def test_gzip_files_joined_one_behind_the_other_are_read_whole():
    assert values(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n'), "x.jsonl.gz") == [{"a": 1}, {"a": 2}]


def test_texts_that_cannot_be_written_are_told_with_the_place():
    assert text_problem("Grüße") is None
    assert text_problem("ab\ud83d") == "half a surrogate pair (U+D83D) at character 2"
    assert text_problem(b"a\xe9".decode("utf-8", errors="surrogateescape")) == "byte 0xe9 at character 1 is not UTF-8"


@settings(max_examples=100)
@given(st.binary(max_size=60), st.sampled_from(["x.json", "x.jsonl", "x.csv", "x.tsv", "x.jsonl.gz", "x.parquet"]))
def test_any_bytes_are_rows_or_a_message(content, name):
    try:
        assert all(row.line >= 1 for row in parse_rows(content, name))
    except InputError as error:
        assert name in str(error)


FORMS = {
    "x.jsonl": b'{"a": "\xc3\xa4"}\n\n{"a": 1}\r\n{"a": \n\xff\n[1]\n{"a": 2}',
    "marks.jsonl": b'\xef\xbb\xbf{"a": 1}\n\xef\xbb\xbf{"a": 2}\n',
    "spread.jsonl": b'{\n "a": 1\n}\n{"a": 2}\n',
    "array.json": b'[{"a": 1},\n {"a": 2}]',
    "lines.json": b'{"a": 1}\n{"a": 2}\n',
    "one.json": b'{"data": [{"a": 1}]}\n',
    "row.json": b'{"a": 1}',
    "wide.json": '{"a": 1}\n{"a": 2}'.encode("utf-16"),
    "x.csv": b"a,b\n1,2\n",
    "words.txt": b"no rows\nat all\n",
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_a_file_that_is_read_in_parts_has_the_rows_of_the_whole(tmp_path, monkeypatch, name, packed, chunk):
    content = FORMS[name]
    if packed:  # two members with zeros between, as block-wise writers leave them
        content = gzip.compress(content[:9]) + b"\0\0\0" + gzip.compress(content[9:]) + b"\0"
    expected = list(parse_rows(content, name + packed))
    file = tmp_path / (name + packed)
    file.write_bytes(content)
    monkeypatch.setattr("plw.study.content.CHUNK", chunk)
    assert list(file_rows(file, file.name)) == expected


def test_lines_and_tables_of_parquet_are_not_read_as_a_whole(tmp_path, monkeypatch):
    """The whole of a file is asked for nowhere, and rows come while most of it is unread."""
    rows = [{"a": "word " * 50, "b": number} for number in range(20_000)]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "x.jsonl").write_bytes(text)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(text, 1))
    (tmp_path / "x.parquet").write_bytes(parquet(rows))
    monkeypatch.setattr("plw.study.rows.read_content", None)
    monkeypatch.setattr("plw.study.content.CHUNK", 2**16)
    for name in ("x.jsonl", "x.jsonl.gz", "x.parquet"):
        tracemalloc.start()
        assert sum(1 for row in file_rows(tmp_path / name, name) if row.value["b"] == row.line - 1) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < len(text) / 2, name

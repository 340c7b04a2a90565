"""Hostile files of rows: a message or rows, never a traceback, and no row without a word."""

import csv
import gzip
import io
import json

from fuzzing import changed, corpus, fuzz, tried
from hypothesis import strategies as st
from plw.data.instances import CHATS, DROPPED, READERS, TURNS, read_instances
from plw.data.reading import in_one_line
from plw.errors import InputError
from plw.study.rows import parse_rows

SEEDS = corpus("files/*", "chat/*", "benchmarks/*", "scores/*")
TABLE = b'instruction,input,output\nSay a,,b\n"two\nlines",x,y\n'
NAMES = ["x.jsonl", "x.json", "x.csv", "x.tsv", "x.txt", "x.jsonl.gz"]


def complete(line):
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


@tried(250, 14_000)
def test_every_row_is_kept_or_named(examples):
    def check(content, name, form, turns):
        turns = turns if form in CHATS else "first"
        if name.endswith(".gz"):
            content = gzip.compress(content, 1)
        try:
            rows = list(parse_rows(content, name))
            instances, report = read_instances(rows, form, turns=turns, most_left_out=1.0)
        except InputError as error:
            assert len(str(error)) < 10_000
            return
        record = report.as_json()
        dropped = sum(record["problems"][reason]["count"] for reason in DROPPED)
        assert len(rows) == record["rows_read"] == len(instances) + dropped
        in_one_line({"dataset": "d", **record}).encode("utf-8")
        assert all(row.line >= 1 for row in rows)

    forms, turns = st.sampled_from(list(READERS)), st.sampled_from(TURNS)
    fuzz(check, examples, changed([*SEEDS, TABLE]), st.sampled_from(NAMES), forms, turns)


@tried(60, 2_000)
def test_no_line_of_a_file_is_lost(examples):
    """Against counts of one's own: the lines of JSON Lines, the rows that the csv module finds."""

    def check(content, name):
        try:
            rows = list(parse_rows(content, name))
        except InputError:
            return
        if name.endswith(".csv"):
            text = content.removeprefix(b"\xef\xbb\xbf")
            if not text.startswith((b"\xff\xfe", b"\xfe\xff", b"PAR1", b"\x1f\x8b")):
                cells = [row for row in csv.reader(io.StringIO(text.decode(), newline="")) if row]
                assert len(rows) == len(cells) - 1
            return
        lines = [line.removeprefix(b"\xef\xbb\xbf") for line in content.split(b"\n")]
        lines = [line for line in lines if line.strip()]
        if all(map(complete, lines)):
            assert len(rows) == len(lines)

    fuzz(
        check,
        examples,
        changed([TABLE, *corpus("files/*.jsonl", "chat/*.jsonl")]),
        st.sampled_from(NAMES[:1] + NAMES[2:3]),
    )

"""JSON arrays and tables as they come: the rows and the messages of the file read as a whole, in bounded memory."""

import csv
import gzip
import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plw.errors import InputError
from plw.study.forms.arrays import array_values, unique_keys
from plw.study.rows import RowError, SourceRow, file_rows

NAMES = ("x.json", "x.csv", "x.tsv")


def whole_array(content: bytes, file: str) -> list[SourceRow]:
    """The reference: Python's own decoder on the whole text."""
    try:
        values = json.loads(content.decode("utf-8", errors="surrogateescape"), object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise InputError(f"A file is not valid JSON: {error.msg}.", where=f"{file}, line {error.lineno}") from None
    except ValueError as error:
        raise InputError(f"A file is not valid JSON: {error}.", where=file) from None
    return [SourceRow(number, file, value) for number, value in enumerate(values, start=1)]


def whole_table(content: bytes, file: str) -> list[SourceRow]:
    """The reference: the whole text decoded at once, and Python's reader of tables on it."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = f"{error}. Save it as UTF-8 (e.g. `iconv -f LATIN1 -t UTF-8`, if it is Latin-1)."
        raise InputError("A table is not UTF-8.", where=f"{file}, line {line}", hint=hint) from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in file else ",", strict=True)

    def rows():
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise InputError(f"A table cannot be read: {error}.", where=f"{file}, line {line}") from None
            if row is None:
                return
            if row:
                yield line, row

    found = rows()
    place, header = next(found, (1, []))
    if not any(header):
        raise InputError("A table has no header.", where=f"{file}, line {place}")
    for name in sorted(header):
        if header.count(name) > 1:
            raise InputError("A table names a column twice.", value=name, where=f"{file}, line {place}")
    fault = f"cells under a header of {len(header)}"
    return [
        SourceRow(
            line,
            file,
            dict(zip(header, row, strict=True))
            if len(row) == len(header)
            else RowError("wrong_type", f"{len(row)} {fault}"),
        )
        for line, row in found
    ]


def result(rows):
    """The rows, or the message."""
    try:
        return list(rows())
    except InputError as error:
        return str(error)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
arrays = st.builds(
    lambda rows, indent, plain, end: (json.dumps(rows, indent=indent, ensure_ascii=plain) + end).encode(
        "utf-8", "replace"
    ),
    st.lists(values, max_size=6),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sampled_from(["", "\n", " \n\n", "]", "\n[1]"]),
)
cells = st.text(alphabet=st.sampled_from('ab,\t"\n\rä€😀\u2028 '), max_size=6)


def as_table(rows, delimiter):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, lineterminator="\r\n" if len(rows) % 2 else "\n").writerows(rows)
    return stream.getvalue().encode()


tables = st.builds(
    as_table, st.lists(st.lists(cells, min_size=1, max_size=3), max_size=6), st.sampled_from([",", "\t"])
)


@st.composite
def files(draw):
    """A name and the content of a file that is whole, cut off, or with some bytes put in, taken out or changed."""
    name = draw(st.sampled_from(NAMES))
    content = draw(arrays if name == "x.json" else tables)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(content)))
        put = draw(
            st.sampled_from([b"", b'"', b",", b"]", b"}", b"\n", b"\xff", b"\xe2\x82", b"\\", b"1e", b"-", b"\t"])
        )
        content = content[:place] + put + content[place + draw(st.integers(0, 2)) :]
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return name, content


@settings(max_examples=300, deadline=None)
@given(files(), st.integers(1, 40), st.booleans())
def test_a_file_read_in_parts_gives_the_rows_or_the_message_of_the_whole(tmp_path_factory, file, chunk, packed):
    name, content = file
    if not content.strip() or (name == "x.json" and not content.lstrip().startswith(b"[")) or b"\0" in content[:64]:
        return  # what is no array and holds no rows is told elsewhere
    reference = whole_array if name == "x.json" else whole_table
    full = name + ".gz" * packed
    place = tmp_path_factory.mktemp("rows") / full
    place.write_bytes(gzip.compress(content) if packed else content)
    expected = result(lambda: reference(content, full))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("plw.study.content.CHUNK", chunk)
        found = result(lambda: file_rows(place, full))
    assert repr(found) == repr(expected)  # NaN is equal to nothing


@pytest.mark.parametrize(
    "text",
    [
        *("[1.5e+3,-0.25]", "[" + "9" * 5000 + ".5]", "[" + "9" * 5000 + "]", '[{"a":1,"a":2}]', "[-Infinity, NaN]"),
        *('["\\ud83d\\ude00\\u00e4"]', "[1,]", "[,1]", "[1 2]", "[", "[]", "[]x", '["a\nb"]', "[tru", "[" * 100_000),
        *('[{"a": "' + "word " * 200 + '"}]', " [ 1 , 2 ] ", '[{"a": "never ended}]', "[\n1,\n2\n,\nx]"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 64, 10**6])
def test_wherever_a_part_ends_a_value_is_whole(text, size):
    content = text.encode()
    parts = [content[place : place + size] for place in range(0, len(content), size)]
    if size == 1 and len(content) > 10_000:
        parts = [*parts[:5000], content[5000:]]
    try:
        expected = repr([row.value for row in whole_array(content, "x.json")])
    except (InputError, RecursionError) as error:
        expected = str(error) if isinstance(error, InputError) else "nested too deeply"
    found = result(lambda: array_values(parts, "x.json"))
    assert expected in (found if isinstance(found, str) else repr(found))


def test_a_value_longer_than_a_line_may_be_is_refused_at_its_line(monkeypatch):
    monkeypatch.setattr("plw.study.forms.arrays.MOST_LINE", 1000)
    parts = [b'[1,\n2,\n"', *[b"a" * 100] * 50, b'"]']
    rows = array_values(parts, "x.json")
    assert [next(rows), next(rows)] == [1, 2]
    with pytest.raises(InputError, match=r"longer than(.|\n)*x.json, line 3"):
        next(rows)


def test_a_cell_that_never_ends_is_refused_before_the_table_is_in_memory(tmp_path, monkeypatch):
    before = csv.field_size_limit(1000)
    try:
        monkeypatch.setattr("plw.study.forms.tables.MOST_LINE", 1000)
        (tmp_path / "x.csv").write_text('a,b\n1,"' + "word\n" * 5000)
        with pytest.raises(InputError, match=r"field larger than field limit(.|\n)*line 2"):
            list(file_rows(tmp_path / "x.csv", "x.csv"))
        (tmp_path / "x.csv").write_text("a,b\n1,2\n" + "word" * 5000)
        with pytest.raises(InputError, match=r"A line is longer(.|\n)*line 3"):
            list(file_rows(tmp_path / "x.csv", "x.csv"))
    finally:
        csv.field_size_limit(before)


def test_arrays_and_tables_are_not_read_as_a_whole(tmp_path, monkeypatch):
    rows = [{"a": "word " * 50, "b": number} for number in range(20_000)]
    texts = {
        "x.json": json.dumps(rows),
        "x.csv": "a,b\n" + "".join(f'"{row["a"]}\n",{row["b"]}\n' for row in rows),
    }
    monkeypatch.setattr("plw.study.rows.read_content", None)
    monkeypatch.setattr("plw.study.content.CHUNK", 2**16)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode(), 1))
        for file in (name, f"{name}.gz"):
            tracemalloc.start()
            found = file_rows(tmp_path / file, file)
            assert sum(int(row.value["b"]) == number for number, row in enumerate(found)) == 20_000
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < len(text) / 4, file

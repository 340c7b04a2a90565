"""Rows of a file: JSON Lines, JSON, CSV, TSV or Parquet, told by content where content tells; nothing is guessed.

A row that cannot be read is a RowError, so that it can be counted and shown; a file that cannot be read is named for
what it is. What the rows mean is for others.
"""

import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from plw.errors import InputError
from plw.study.content import (
    ENCODINGS,
    MOST_LINE,
    MOST_TIMES,
    NOT_ROWS,
    SMALL_BYTES,
    check_file,
    file_chunks,
    long_line,
    plain_utf8,
    read_content,
)
from plw.study.forms.arrays import array_values, unique_keys
from plw.study.forms.tables import table_cells

PARQUET_ROWS = 1000  # at a time, as Python objects
HEAD = 64  # bytes in which a file's form is looked for
MARK = b"\xef\xbb\xbf"  # UTF-8's byte-order mark
TABLES = (".csv", ".tsv")
WRAPPERS = ("data", "rows", "examples", "instances", "items", "records", "samples", "train")


@dataclass(frozen=True)
class RowError:
    """A row that could not be read: `reason` (bad_json, bad_encoding, wrong_type) and `detail`, the decoder's words."""

    reason: str
    detail: str


@dataclass(frozen=True)
class SourceRow:
    """One row and its place.

    line   from 1: the line of a text file, the position in a JSON array or in a table
    file   path or address, for messages
    value  the parsed value of the row, or a RowError
    """

    line: int
    file: str
    value: object


def file_rows(path: Path, file: str) -> Iterator[SourceRow]:
    """`parse_rows` of a file; lines, arrays, tables and Parquet take no more memory than their longest part.

    file  what messages call it
    Raises InputError as `read_content` before the first row, and as `parse_rows`.
    UTF-16 and UTF-32, one JSON object that holds the rows, and objects over several lines are read whole.
    """
    check_file(path)
    try:
        yield from _streamed(path, file)
    except OSError as error:
        raise InputError("A file of rows cannot be read.", value=file, hint=str(error)) from None


def _streamed(path: Path, file: str) -> Iterator[SourceRow]:
    size = path.stat().st_size
    with open(path, "rb") as stream:
        if stream.read(4) == b"PAR1":
            stream.seek(0)
            yield from _parquet_rows(stream, size, file)
            return
        head, chunks = _text_chunks(stream, size, file)
        form = _form(head, file)
        if form == "lines":
            yield from _line_rows(chunks, file)
        elif form == "array":
            yield from _numbered(array_values(chunks, file), file)
        elif form == "table":
            yield from _table_rows(lambda: _text_chunks(stream, size, file)[1], file)[1]
    if form is None:
        yield from parse_rows(read_content(path), file)


def _text_chunks(stream: BinaryIO, size: int, file: str) -> tuple[bytes, Iterator[bytes]]:
    """The first HEAD bytes or more of a file, unzipped, and all of it in parts without a byte-order mark."""
    stream.seek(0)
    chunks, head = file_chunks(stream, size, file), b""
    while len(head) < HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head, itertools.chain([head.removeprefix(MARK)], chunks)


def parse_rows(content: bytes, file: str) -> Iterator[SourceRow]:
    """The rows of one file, gzipped or not; blank lines are skipped.

    Parquet, a JSON array and JSON objects over several lines are told by their content, CSV and TSV (with a header) by
    their names. One JSON object that holds the rows is read where its key says so (WRAPPERS), or where it has a column
    under each name as pandas writes it. UTF-8 with or without byte-order marks; UTF-16 and UTF-32 with one.
    InputError for a file that holds no rows, which says what it is. A damaged array or table gives the rows before the
    damage, then the InputError.
    """
    if content[:4] == b"PAR1":
        yield from _parquet_rows(io.BytesIO(content), len(content), file)
        return
    name = file.removesuffix(".gz").lower()
    if name.endswith(TABLES):
        yield from read_table(content, file)[1]
        return
    content = plain_utf8(content, file)
    if content.lstrip()[:1] == b"[" and not name.endswith(".jsonl"):
        yield from _numbered(array_values([content], file), file)
    elif (rows := None if name.endswith(".jsonl") else _object_with_rows(content, file)) is not None:
        yield from _numbered(rows, file)
    elif (objects := _spread_objects(content)) is not None:
        yield from (SourceRow(line, file, value) for line, value in objects)
    else:
        yield from _line_rows([content], file)


def _form(head: bytes, file: str) -> str | None:
    """lines, array or table: what a file that begins so is for certain, and can be read as it comes.

    Everything else (other encodings, one object with the rows, objects over several lines, what holds no rows) is told
    from the whole.
    """
    name = file.removesuffix(".gz").lower()
    if b"\0" in head[:64] or any(map(head.startswith, (*ENCODINGS, *NOT_ROWS))) or not head.strip():
        return None
    if name.endswith(TABLES):
        return "table"
    text = head.removeprefix(MARK).lstrip()
    if text.startswith(b"[") and not name.endswith(".jsonl"):
        return "array"
    first, _, rest = text.partition(b"\n")
    if not first.startswith(b"{") or not _complete(first.strip()):
        return None
    return "lines" if name.endswith(".jsonl") or rest.strip() else None  # else one object may hold the rows


def _line_rows(chunks: Iterable[bytes], file: str) -> Iterator[SourceRow]:
    for number, line in enumerate(_lines(chunks, file), start=1):
        line = line.removeprefix(MARK)  # files joined one behind the other bring their own marks
        if line.strip():
            yield SourceRow(number, file, _parse_line(line))


def _lines(chunks: Iterable[bytes], file: str) -> Iterator[bytes]:
    """The lines of a text in parts; InputError for one that is longer than MOST_LINE."""
    parts: list[bytes] = []  # of the line that is not ended yet
    length, number = 0, 1
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        if whole:
            yield b"".join([*parts, whole[0]])
            yield from whole[1:]
            parts, length, number = [], 0, number + len(whole)
        parts.append(rest)
        length += len(rest)
        if length > MOST_LINE:
            raise long_line(file, number)
    yield b"".join(parts)


def text_problem(value: str) -> str | None:
    """What keeps a text from being written or tokenised: half a surrogate pair, or bytes that were no UTF-8."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"byte 0x{code - 0xDC00:02x} at character {error.start} is not UTF-8"
        return f"half a surrogate pair (U+{code:04X}) at character {error.start}"
    return None


def _check_parquet(metadata, size: int, file: str) -> None:
    """Refuse a table that unpacks to more than text can, or that has more rows than bytes."""
    unpacked = sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
    if unpacked > max(SMALL_BYTES, MOST_TIMES * size):
        what = f"A Parquet file holds more than {MOST_TIMES} times its own size: this is no text."
        raise InputError(what, value=file)
    if metadata.num_rows > max(SMALL_BYTES >> 10, size):
        raise InputError("A Parquet file has more rows than bytes.", value=file)


def read_table(content: bytes, file: str) -> tuple[list[str], Iterator[SourceRow]]:
    """The header and the rows of a table of cells, gzipped or not: tabs between them in .tsv, commas in any other file.

    All values are text; a row's line is where it begins. InputError for what is no table with a header in UTF-8.
    """
    text = plain_utf8(content, file)
    return _table_rows(lambda: iter([text]), file)


def _table_rows(open_chunks: Callable[[], Iterator[bytes]], file: str) -> tuple[list[str], Iterator[SourceRow]]:
    delimiter = "\t" if file.removesuffix(".gz").lower().endswith(".tsv") else ","
    (_, header), cells = table_cells(open_chunks, file, delimiter=delimiter)
    return header, (SourceRow(line, file, _table_row(header, row)) for line, row in cells)


def _table_row(header: list[str], cells: list[str]) -> object:
    if len(cells) != len(header):
        return RowError("wrong_type", f"{len(cells)} cells under a header of {len(header)}")
    return dict(zip(header, cells, strict=True))


def _parse(text: str) -> Any:
    """One JSON value; ValueError also for what makes the decoder give up (nesting, numbers of thousands of digits)."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse_line(line: bytes) -> object:
    try:
        return _parse(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError("bad_encoding", str(error))
    except ValueError as error:
        return RowError("bad_json", getattr(error, "msg", str(error)))


def _numbered(rows: Iterable[object], file: str) -> Iterator[SourceRow]:
    return (SourceRow(number, file, row) for number, row in enumerate(rows, start=1))


def _object_with_rows(content: bytes, file: str) -> list | None:
    """The rows in a file that is one JSON object; None for any other file, and for an object that is itself a row."""
    if content.lstrip()[:1] != b"{":
        return None
    try:
        whole = _parse(content.decode("utf-8", errors="surrogateescape"))
    except ValueError:
        return None  # several objects, or none
    lists = [key for key, value in whole.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    named = [key for key in lists if key.lower() in WRAPPERS]
    if len(named) == 1:
        return whole[named[0]]
    if len(named) > 1:
        hint = "Save the rows that you mean as a file of their own."
        raise InputError(f"A file is one object with rows under {' and '.join(named)}.", value=file, hint=hint)
    columns = list(whole.values())
    if len(columns) > 1 and all(isinstance(column, dict) for column in columns):
        numbers = list(columns[0])
        if numbers and all(list(column) == numbers for column in columns) and all(map(str.isdigit, numbers)):
            return [{name: column[number] for name, column in whole.items()} for number in numbers]
    return None


def _spread_objects(content: bytes) -> list[tuple[int, dict]] | None:
    """(line, object) of JSON objects that are written over several lines; None if that is not what a file is."""
    first = content.lstrip().split(b"\n", 1)[0].strip()
    if not first.startswith(b"{") or _complete(first):
        return None
    text = content.decode("utf-8", errors="surrogateescape")
    decoder, objects, position = json.JSONDecoder(object_pairs_hook=unique_keys), [], 0
    try:
        while match := re.compile(r"[^\s,\ufeff]").search(text, position):
            value, position = decoder.raw_decode(text, match.start())
            if not isinstance(value, dict):
                return None
            objects.append((text.count("\n", 0, match.start()) + 1, value))
    except (ValueError, RecursionError):
        return None
    return objects


def _complete(line: bytes) -> bool:
    return not isinstance(_parse_line(line), RowError)


def _parquet_rows(stream: BinaryIO, size: int, file: str) -> Iterator[SourceRow]:
    import pyarrow  # only this function needs it
    import pyarrow.parquet

    line = 0
    try:
        table = pyarrow.parquet.ParquetFile(stream)
        _check_parquet(table.metadata, size, file)
        for batch in table.iter_batches(batch_size=PARQUET_ROWS):
            for row in batch.to_pylist():
                line += 1
                yield SourceRow(line, file, row)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        hint = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError("A Parquet file is damaged.", value=file, where=f"row {line + 1}", hint=hint) from None

"""Rows of a file: JSON Lines, JSON, CSV, TSV or Parquet, told by content where content tells; nothing is guessed.

A row that cannot be read is a RowError, so that it can be counted and shown; a file that cannot be read is named for
what it is. What the rows mean is for others.
"""

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plw.errors import InputError

# A file is read whole, and its rows as Python objects take some ten times its size; a row as long as MOST_LINE is no
# example of anything. Larger sets come in several files, which are read one after the other.
MOST_BYTES = 4 * 2**30
MOST_LINE = 256 * 2**20
CHUNK = 2**22
PARQUET_ROWS = 1000  # at a time, as Python objects
# A text file compresses to a tenth, seldom to a fiftieth; gzip can reach a thousand (zlib.net). Small files may.
MOST_TIMES = 200
SMALL_BYTES = 100 * 2**20
WRAPPERS = ("data", "rows", "examples", "instances", "items", "records", "samples", "train")
ENCODINGS = {  # byte-order marks, the longer ones first: UTF-32's begins with UTF-16's
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
NOT_ROWS = {
    b"PK\x03\x04": ("a zip archive (perhaps a spreadsheet)", "Unpack it, or save the sheet as CSV."),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "Unpack it with `zstd -d`."),
    b"\xfd7zXZ": ("compressed by xz", "Unpack it with `xz -d`."),
    b"BZh": ("compressed by bzip2", "Unpack it with `bzip2 -d`."),
    b"ARROW1": ("an Arrow file", "Save it as Parquet or JSON Lines (datasets: `to_parquet`, `to_json`)."),
    b"\xff\xff\xff\xff": ("an Arrow stream", "Save it as Parquet or JSON Lines (datasets: `to_parquet`, `to_json`)."),
    b"SQLite format 3": ("a database", "Export the table as CSV."),
    b"%PDF": ("a PDF", "Give the data themselves."),
    b"\x80\x04": ("a Python pickle", "Pickles can run code and are not read; save it as JSON Lines."),
    b"\x80\x05": ("a Python pickle", "Pickles can run code and are not read; save it as JSON Lines."),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "Fetch the file with `git lfs pull`."),
    b"<!DOCTYPE": ("a web page", "Download the raw file behind it."),
    b"<!doctype": ("a web page", "Download the raw file behind it."),
    b"<html": ("a web page", "Download the raw file behind it."),
}


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


def read_content(path: Path) -> bytes:
    """The bytes of a file of rows. InputError, before memory is taken, for what is no file or too large to be one."""
    file = str(path)
    if not path.is_file():
        raise InputError("A source is no ordinary file.", value=file, hint="A device or a pipe has no end to wait for.")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            hint = "Split it into several files and name them as a list, or by a pattern: {path: part_*.jsonl}."
            raise InputError(f"A file of rows has more than {MOST_BYTES >> 30} GiB.", value=file, hint=hint)
        if size > MOST_LINE:
            _check_lines(path)
        return path.read_bytes()
    except OSError as error:
        raise InputError("A file of rows cannot be read.", value=file, hint=str(error)) from None


def _check_lines(path: Path) -> None:
    """Refuse a text file with a line longer than MOST_LINE."""
    with open(path, "rb") as stream:
        if stream.read(4) == b"PAR1":
            return
        stream.seek(0)
        number, length = 1, 0
        while chunk := stream.read(CHUNK):
            first = chunk.find(b"\n")
            length += len(chunk) if first < 0 else first
            if length > MOST_LINE:
                what = f"A line is longer than {MOST_LINE >> 20} MiB."
                hint = "One row a line (JSON Lines), or the rows of an array on lines of their own."
                raise InputError(what, where=f"{path}, line {number}", hint=hint)
            if first >= 0:
                number += chunk.count(b"\n")
                length = len(chunk) - 1 - chunk.rfind(b"\n")


def parse_rows(content: bytes, file: str) -> Iterator[SourceRow]:
    """The rows of one file, gzipped or not; blank lines are skipped.

    Parquet, a JSON array and JSON objects over several lines are told by their content, CSV and TSV (with a header) by
    their names. One JSON object that holds the rows is read where its key says so (WRAPPERS), or where it has a column
    under each name as pandas writes it. UTF-8 with or without byte-order marks; UTF-16 and UTF-32 with one.
    InputError for a file that holds no rows, which says what it is.
    """
    if content[:4] == b"PAR1":
        yield from _parquet_rows(content, file)
        return
    name = file.removesuffix(".gz").lower()
    if name.endswith((".csv", ".tsv")):
        yield from read_table(content, file)[1]
        return
    content = _plain_utf8(content, file)
    if content.lstrip()[:1] == b"[" and not name.endswith(".jsonl"):
        yield from _numbered(_whole_json(content, file), file)
    elif (rows := None if name.endswith(".jsonl") else _object_with_rows(content, file)) is not None:
        yield from _numbered(rows, file)
    elif (objects := _spread_objects(content)) is not None:
        yield from (SourceRow(line, file, value) for line, value in objects)
    else:
        for number, line in enumerate(content.split(b"\n"), start=1):
            line = line.removeprefix(b"\xef\xbb\xbf")  # files joined one behind the other bring their own marks
            if line.strip():
                yield SourceRow(number, file, _parse_line(line))


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
    delimiter = "\t" if file.removesuffix(".gz").lower().endswith(".tsv") else ","
    try:
        text = _plain_utf8(content, file).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        hint = f"{error}. Save it as UTF-8 (e.g. `iconv -f LATIN1 -t UTF-8`, if it is Latin-1)."
        raise InputError("A table is not UTF-8.", where=f"{file}, line {line}", hint=hint) from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # of the process, so it may only grow
    cells = _cells(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), file)
    line, header = next(cells, (1, []))
    if not any(header):
        raise InputError("A table has no header.", where=f"{file}, line {line}")
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InputError("A table names a column twice.", value=doubled[0], where=f"{file}, line {line}")
    return header, (SourceRow(line, file, _table_row(header, row)) for line, row in cells)


def _cells(reader, file: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins, and its cells; blank lines are skipped."""
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


def _table_row(header: list[str], cells: list[str]) -> object:
    if len(cells) != len(header):
        return RowError("wrong_type", f"{len(cells)} cells under a header of {len(header)}")
    return dict(zip(header, cells, strict=True))


def _plain_utf8(content: bytes, file: str) -> bytes:
    return _as_utf8(_unzipped(content, file) if content[:2] == b"\x1f\x8b" else content, file)


def _unzipped(content: bytes, file: str) -> bytes:
    limit = min(MOST_BYTES, max(SMALL_BYTES, MOST_TIMES * len(content)))
    parts, size, rest = [], 0, content
    try:
        while rest:  # one member of the file after the other
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(rest, limit - size + 1))
            size += len(parts[-1])
            if size > limit:
                much = f"{MOST_TIMES} times its own size" if limit < MOST_BYTES else f"{MOST_BYTES >> 30} GiB"
                raise InputError(f"A gzip file holds more than {much}: this is no text.", value=file)
            if not member.eof:
                raise EOFError("it ends before its end-of-stream marker")
            rest = member.unused_data.lstrip(b"\0")
    except (zlib.error, EOFError) as error:
        raise InputError("A gzip file is damaged.", value=file, hint=str(error)) from None
    return b"".join(parts)


def _as_utf8(content: bytes, file: str) -> bytes:
    """The content without a byte-order mark, from UTF-16 or UTF-32 into UTF-8."""
    if not content.strip():
        raise InputError("A file of rows is empty.", value=file)
    for mark, encoding in ENCODINGS.items():
        if content.startswith(mark):
            try:
                return content.decode(encoding).encode("utf-8", errors="surrogatepass")
            except UnicodeDecodeError as error:
                raise InputError(f"This file begins as {encoding} and is not.", value=file, hint=str(error)) from None
    for start, (kind, hint) in NOT_ROWS.items():
        if content.startswith(start):
            raise InputError(f"This file holds no rows: it is {kind}.", value=file, hint=hint)
    if b"\0" in content[:64]:
        hint = (
            "Convert it, e.g. `iconv -f UTF-16LE -t UTF-8 FILE > NEW`; without a byte-order mark it would be a guess."
        )
        raise InputError("This file is no UTF-8 text; it looks like UTF-16 or binary.", value=file, hint=hint)
    return content.removeprefix(b"\xef\xbb\xbf")


def _parse(text: str) -> Any:
    """One JSON value; ValueError also for what makes the decoder give up (nesting, numbers of thousands of digits)."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict:
    """A JSON object; of a key that is given twice the decoder itself would take the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is given twice")
    return found


def _parse_line(line: bytes) -> object:
    try:
        return _parse(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError("bad_encoding", str(error))
    except ValueError as error:
        return RowError("bad_json", getattr(error, "msg", str(error)))


def _whole_json(content: bytes, file: str) -> Any:
    # Bytes that are not UTF-8 become lone surrogates, so that they spoil only the row they stand in.
    try:
        return _parse(content.decode("utf-8", errors="surrogateescape"))
    except json.JSONDecodeError as error:
        raise InputError(f"A file is not valid JSON: {error.msg}.", where=f"{file}, line {error.lineno}") from None
    except ValueError as error:
        raise InputError(f"A file is not valid JSON: {error}.", where=file) from None


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
    decoder, objects, position = json.JSONDecoder(object_pairs_hook=_object), [], 0
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


def _parquet_rows(content: bytes, file: str) -> Iterator[SourceRow]:
    import pyarrow  # only this function needs it
    import pyarrow.parquet

    line = 0
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(content))
        _check_parquet(table.metadata, len(content), file)
        for batch in table.iter_batches(batch_size=PARQUET_ROWS):
            for row in batch.to_pylist():
                line += 1
                yield SourceRow(line, file, row)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        hint = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError("A Parquet file is damaged.", value=file, where=f"row {line + 1}", hint=hint) from None

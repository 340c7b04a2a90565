"""CSV and TSV as they come: no more of a table is held than its longest row.

A table is gone through twice: the first time only its encoding is looked at, so that a wrong one is said before any row
is used.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator

from plw.errors import InputError
from plw.study.content import MOST_LINE, long_line

Cells = tuple[int, list[str]]  # the line on which a row begins, and its cells


def table_cells(
    open_chunks: Callable[[], Iterator[bytes]], file: str, *, delimiter: str
) -> tuple[Cells, Iterator[Cells]]:
    """The header and the rows of a table; blank lines are skipped.

    open_chunks  called twice: the text in parts, UTF-8 without a mark
    file         what messages call it
    Raises InputError for what is not UTF-8 and for a table without a header or with a column twice at once; for what
    is no table at its row.
    """
    characters = _characters(open_chunks(), file)
    limit = max(csv.field_size_limit(), min(characters, MOST_LINE) + 1)
    csv.field_size_limit(limit)  # of the process, so it may only grow
    text = io.TextIOWrapper(io.BufferedReader(_Parts(open_chunks())), encoding="utf-8", newline="")
    cells = _cells(csv.reader(text, delimiter=delimiter, strict=True), file)
    line, header = next(cells, (1, []))
    if not any(header):
        raise InputError("A table has no header.", where=f"{file}, line {line}")
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InputError("A table names a column twice.", value=doubled[0], where=f"{file}, line {line}")
    return (line, header), cells


def _cells(reader, file: str) -> Iterator[Cells]:
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


def _characters(chunks: Iterable[bytes], file: str) -> int:
    """How many characters a text in parts has; InputError for what is not UTF-8, and for a line beyond MOST_LINE."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    characters = given = length = 0
    line, end = 1, False
    parts = iter(chunks)
    while not end:
        chunk = next(parts, b"")
        end = not chunk
        waiting = len(decoder.getstate()[0])  # bytes of a character that the last part cut
        try:
            characters += len(decoder.decode(chunk, final=end))
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            said = _said(error, given - waiting)
            hint = f"{said}. Save it as UTF-8 (e.g. `iconv -f LATIN1 -t UTF-8`, if it is Latin-1)."
            raise InputError("A table is not UTF-8.", where=f"{file}, line {line}", hint=hint) from None
        first = chunk.find(b"\n")
        if (length := length + (len(chunk) if first < 0 else first)) > MOST_LINE:
            raise long_line(file, line)
        if first >= 0:
            line += chunk.count(b"\n")
            length = len(chunk) - 1 - chunk.rfind(b"\n")
        given += len(chunk)
    return characters


def _said(error: UnicodeDecodeError, before: int) -> str:
    """The decoder's words with the position in the whole text."""
    first, last = error.start + before, error.end - 1 + before
    place = f"byte 0x{error.object[error.start]:02x} in position {first}"
    if error.end - error.start != 1:
        place = f"bytes in position {first}-{last}"
    return f"'utf-8' codec can't decode {place}: {error.reason}"


class _Parts(io.RawIOBase):
    """A stream of bytes out of parts."""

    def __init__(self, parts: Iterator[bytes]):
        self._parts, self._rest = parts, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        given = min(len(buffer), len(self._rest))
        buffer[:given] = self._rest[:given]
        self._rest = self._rest[given:]
        return given

"""The bytes of a file of rows: not too many, unzipped, in UTF-8; what holds no rows is named for what it is."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from plw.errors import InputError

# Lines, arrays, tables, and Parquet by PARQUET_ROWS, are read one row after the other; any other file whole, and its
# rows as Python objects take some ten times its size. A row as long as MOST_LINE is no example of anything.
MOST_BYTES = 4 * 2**30
MOST_LINE = 256 * 2**20
CHUNK = 2**20
# A text file compresses to a tenth, seldom to a fiftieth; gzip can reach a thousand (zlib.net). Small files may.
MOST_TIMES = 200
SMALL_BYTES = 100 * 2**20
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


def read_content(path: Path) -> bytes:
    """The bytes of a file of rows. InputError, before memory is taken, for what is no file or too large to be one."""
    check_file(path)
    try:
        if path.stat().st_size > MOST_LINE:
            _check_lines(path)
        return path.read_bytes()
    except OSError as error:
        raise InputError("A file of rows cannot be read.", value=str(path), hint=str(error)) from None


def check_file(path: Path) -> None:
    """Refuse what is no file, cannot be read, or is too large."""
    file = str(path)
    if not path.is_file():
        raise InputError("A source is no ordinary file.", value=file, hint="A device or a pipe has no end to wait for.")
    try:
        with open(path, "rb"):
            size = path.stat().st_size
    except OSError as error:
        raise InputError("A file of rows cannot be read.", value=file, hint=str(error)) from None
    if size > MOST_BYTES:
        hint = "Split it into several files and name them as a list, or by a pattern: {path: part_*.jsonl}."
        raise InputError(f"A file of rows has more than {MOST_BYTES >> 30} GiB.", value=file, hint=hint)


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
                raise long_line(str(path), number)
            if first >= 0:
                number += chunk.count(b"\n")
                length = len(chunk) - 1 - chunk.rfind(b"\n")


def file_chunks(stream: BinaryIO, size: int, file: str) -> Iterator[bytes]:
    """The content of a file, unzipped where it is gzipped, in parts of about CHUNK."""
    first = stream.read(2)
    stream.seek(0)
    parts = iter(lambda: stream.read(CHUNK), b"")
    return _unzipped_chunks(parts, size, file) if first == b"\x1f\x8b" else parts


def long_line(file: str, number: int) -> InputError:
    """The error of a line that is longer than MOST_LINE."""
    hint = "Is a quotation mark or the end of a line missing? JSON Lines have one row a line."
    return InputError(f"A line is longer than {MOST_LINE >> 20} MiB.", where=f"{file}, line {number}", hint=hint)


def plain_utf8(content: bytes, file: str) -> bytes:
    """The content unzipped, and in UTF-8 without a mark; InputError for what holds no rows."""
    return _as_utf8(_unzipped(content, file) if content[:2] == b"\x1f\x8b" else content, file)


def _unzipped(content: bytes, file: str) -> bytes:
    return b"".join(_unzipped_chunks(iter([content]), len(content), file))


def _unzipped_chunks(parts: Iterator[bytes], size: int, file: str) -> Iterator[bytes]:
    """What a gzip file holds, one member after the other; InputError for a damaged one, and for a bomb.

    size  of the file in bytes
    """
    limit = min(MOST_BYTES, max(SMALL_BYTES, MOST_TIMES * size))
    member, inside, given = zlib.decompressobj(wbits=31), True, 0
    try:
        for rest in parts:
            while rest := rest if inside else rest.lstrip(b"\0"):  # zeros may stand between members
                if not inside:
                    member, inside = zlib.decompressobj(wbits=31), True
                for piece in _inflated(member, rest):
                    given += len(piece)
                    if given > limit:
                        much = f"{MOST_TIMES} times its own size" if limit < MOST_BYTES else f"{MOST_BYTES >> 30} GiB"
                        raise InputError(f"A gzip file holds more than {much}: this is no text.", value=file)
                    yield piece
                rest, inside = member.unused_data, not member.eof
        if inside:
            raise EOFError("it ends before its end-of-stream marker")
    except (zlib.error, EOFError) as error:
        raise InputError("A gzip file is damaged.", value=file, hint=str(error)) from None


def _inflated(member: Any, rest: bytes) -> Iterator[bytes]:
    """What some bytes of a gzip member give, by CHUNK."""
    piece = b"\0" * CHUNK
    while not member.eof and (rest or len(piece) == CHUNK):
        piece = member.decompress(rest, CHUNK)
        rest = member.unconsumed_tail
        if piece:
            yield piece


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

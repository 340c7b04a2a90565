"""A JSON array of any length, value by value: no more of its text is held than its longest value or two parts of it.

The decoder is Python's own, so values and messages are those of the array read as a whole. No library is needed: a
value that a part cuts off fails near the part's end, or in a text that does not end, and is tried again with more.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from plw.errors import InputError
from plw.study.content import MOST_LINE

SPACE = re.compile(r"[ \t\n\r]*")
# A word of JSON or an escape that is cut off fails where it begins: the longest are -Infinity and \uXXXX. A number may
# go on where it seems to end (1.5e+3).
MARGIN = 16


def unique_keys(pairs: list[tuple[str, Any]]) -> dict:
    """A JSON object; of a key that is given twice the decoder itself would take the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is given twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)


def array_values(chunks: Iterable[bytes], file: str) -> Iterator[Any]:
    """The values of the one JSON array in a text that comes in parts, UTF-8 without a mark.

    Bytes that are not UTF-8 become lone surrogates, so that they spoil only the value they stand in.
    file  what messages call it
    Raises InputError where the text stops being a JSON array (after the values before that place), and for a value
    longer than MOST_LINE.
    """
    window = _Window(chunks)
    try:
        if window.next() != "[":
            raise window.fault("Expecting value")
        window.at += 1
        more = window.next() != "]"
        while more:
            if (value := window.value()) is TOO_LONG:
                what = f"A row is longer than {MOST_LINE >> 20} MiB."
                raise InputError(what, where=f"{file}, line {window.line(window.at)}")
            yield value
            if (mark := window.next()) not in ("]", ","):
                raise window.fault("Expecting ',' delimiter")
            if more := mark == ",":
                window.at += 1
                window.next()
        window.at += 1
        if window.next():
            raise window.fault("Extra data")
    except json.JSONDecodeError as error:
        place = f"{file}, line {window.line(error.pos)}"
        raise InputError(f"A file is not valid JSON: {error.msg}.", where=place) from None
    except RecursionError:
        raise InputError("A file is not valid JSON: nested too deeply.", where=file) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"A file is not valid JSON: {error}.", where=file) from None


TOO_LONG = object()


class _Window:
    """The part of a text that is being decoded: `text`, of which the first `at` characters are done with."""

    def __init__(self, chunks: Iterable[bytes]):
        self.text, self.at, self._ended, self._lines = "", 0, False, 0
        self._chunks, self._decoder = iter(chunks), codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def next(self) -> str:
        """The next character that is no white space, not passed over; empty at the end."""
        while True:
            self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self.at < len(self.text) or self._ended:
                return self.text[self.at : self.at + 1]
            self._grow()

    def value(self) -> Any:
        """The value that begins here; TOO_LONG for one that is. ValueError as of the decoder, for what is none."""
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
                if self._ended or end + MARGIN <= len(self.text):
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                cut = error.pos + MARGIN > len(self.text) or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    raise
            except ValueError:  # too many digits, of which the rest may make a fraction; a key that is given twice
                if self._ended or not self.text[-1].isdigit():
                    raise
            if len(self.text) - self.at > MOST_LINE:
                return TOO_LONG
            self._grow()

    def fault(self, words: str) -> json.JSONDecodeError:
        """The decoder's error at this place."""
        return json.JSONDecodeError(words, self.text, self.at)

    def line(self, place: int) -> int:
        """The line of the whole text, from 1, on which a place in the window lies."""
        return self._lines + self.text.count("\n", 0, place) + 1

    def _grow(self) -> None:
        """Drop what is done with, and double the rest, so that a long value is tried a few times only."""
        self._lines += self.text.count("\n", 0, self.at)
        kept = self.text[self.at :]
        parts, lacking = [kept], max(1, len(kept))
        while lacking > 0 and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            parts.append(self._decoder.decode(chunk or b"", final=self._ended))
            lacking -= len(parts[-1])
        self.text, self.at = "".join(parts), 0

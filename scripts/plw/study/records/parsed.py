"""What files of Python say, without being parsed twice: each job of a sweep asks for the same sixty files.

It is kept by the files' bytes, beside what Python keeps of the modules that it compiles, and may be deleted like that.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from plw.files import write_text

MOST = 1000  # files that are kept; the oldest go


class Parsed(NamedTuple):
    """Of one file: the sum of its statements, and the names that it imports."""

    sum: str
    imports: tuple[str, ...]


class ParsedFiles:
    """Files of Python by their bytes.

    parse  what is asked where a file is not known;  parser: the bytes of the module that it belongs to: another one's
           findings are not believed
    """

    def __init__(self, parse: Callable[[bytes], Parsed], parser: bytes, kept: Path):
        self._parse, self._parser, self._kept = parse, hashlib.sha256(parser).hexdigest(), kept
        self._known: dict[str, Parsed] | None = None
        self._new = False

    def of(self, content: bytes) -> Parsed:
        """What is known of a file, or found now."""
        if self._known is None:
            self._known = self._read()
        key = hashlib.sha256(content).hexdigest()
        if key not in self._known:
            self._known[key] = self._parse(content)
            self._new = True
        return self._known[key]

    def keep(self) -> None:
        """Keep for other processes what was found, where Python itself would write."""
        if not self._new or self._known is None or sys.dont_write_bytecode:
            return
        newest = list(self._known.items())[-MOST:]
        with suppress(OSError):
            write_text(self._kept, json.dumps({"parser": self._parser, "files": dict(newest)}))
        self._new = False

    def _read(self) -> dict[str, Parsed]:
        """What was kept; nothing where the file is not there, damaged, or another parser's."""
        try:
            content = json.loads(self._kept.read_text(encoding="utf-8"))
            if content["parser"] != self._parser:
                return {}
            return {key: Parsed(str(found), tuple(map(str, names))) for key, (found, names) in content["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}


def place_beside(module: str) -> Path:
    """Where `ParsedFiles` of a module's file are kept."""
    return Path(importlib.util.cache_from_source(module)).with_suffix(".parsed.json")

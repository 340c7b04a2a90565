"""Parameters and inputs that an earlier call recorded in another form, and that still hold.

Snakemake runs a job again when its parameters or its list of inputs are not those recorded. Where a version of this
project tells its rules less (a label is no parameter any more) or more (a model folder's weights are inputs beside its
configuration), a study that was finished before would train again for nothing. Rules ask here first: what was recorded
stays, as long as it says the same of everything that decides.
"""

import ast
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol


class Record(Protocol):
    """What Snakemake keeps of a file that it made: parameters as their `repr`, inputs as paths."""

    params: Sequence[str] | None
    input: Sequence[str] | None


class Earlier:
    """What was recorded of finished files.

    read  gives the record of a path, None where there is none
    """

    def __init__(self, read: Callable[[str], Record | None]):
        self._read = read

    def text(self, path: str, text: str, *, left_out: Collection[str]) -> str:
        """A parameter of the job that makes `path`: what was recorded, where it differs in `left_out` keys alone.

        text  JSON of a mapping or of a list of mappings, without these keys
        """
        record = self._read(path)
        return recorded_text(record.params or [], text, left_out) if record else text

    def files(self, path: str, files: Sequence[str], *, before: Collection[str]) -> list[str]:
        """Inputs of the job that makes `path`: only those that rules named `before`, if only they were recorded.

        before  those of `files` that rules always named
        Once one of the others is newer than `path` all are named, so that what was replaced is noticed.
        """
        record = self._read(path)
        others = set(files) - set(before)
        recorded = set(record.input or ()) if record else set()
        if not set(before) <= recorded or others & recorded or any(_time(file) > _time(path) for file in others):
            return list(files)
        return [file for file in files if file not in others]

    def project_files(self, path: str, files: Sequence[str], *, folder: str) -> list[str]:
        """Files of a folder of this project as inputs of the job that makes `path`; none where none was recorded.

        Their times say nothing, because a checkout changes them.
        """
        record = self._read(path)
        unknown = record is not None and not any(name.startswith(f"{folder}/") for name in record.input or ())
        return [] if unknown else list(files)


def recorded_text(recorded: Sequence[str], text: str, left_out: Collection[str]) -> str:
    """That of the recorded parameters (each its `repr`) which is `text` but for the keys `left_out`; else `text`."""
    now = json.loads(text)
    for shown in recorded:
        try:
            old = ast.literal_eval(shown)
            value = json.loads(old)
        except (ValueError, SyntaxError, TypeError, RecursionError):  # a number, or text that is no JSON
            continue
        if value != now and without(value, left_out) == now:
            return old
    return text


def without(value: object, keys: Collection[str]) -> object:
    """A mapping, or each mapping of a list, without `keys`."""
    if isinstance(value, list):
        return [without(item, keys) for item in value]
    return {key: item for key, item in value.items() if key not in keys} if isinstance(value, dict) else value


def _time(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0

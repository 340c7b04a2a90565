"""Instances: instruction data in one form (instruction, input, output), read from four common formats.

Rows are kept exactly as they are: no stripping, and only "" counts as an empty input. White space and fillers
such as "<noinput>" stay, because the totals of the paper's Table 1 come out only that way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from plw.errors import InputError, nearest_hint
from plw.study.sources import RowError, SourceRow

# What can be wrong with a row. Of the reasons in KEPT the row stays: the paper's data hold empty outputs and
# duplicates, and Table 1 counts them. NOTES are no faults: turns of a conversation that do not fit a triple.
DROPPED = ("bad_json", "bad_encoding", "not_an_object", "missing_field", "wrong_type", "empty_instruction")
KEPT = ("empty_output", "duplicate")
NOTES = ("system_turn_ignored", "later_turns_ignored")
FIRST_PLACES = 5  # how many places of each reason a report names


@dataclass(frozen=True)
class Instance:
    """One example. `source_row` counts the rows of the source from 0; `inverted` marks prompt inversion."""

    instruction: str
    input: str
    output: str
    source_row: int
    inverted: bool = False


@dataclass
class RowReport:
    """What a reader met: numbers of rows, and for each reason its count and the first places."""

    format: str
    rows_read: int = 0
    rows_kept: int = 0
    counts: Counter = field(default_factory=Counter)
    places: dict[str, list[dict]] = field(default_factory=dict)

    def note(self, reason: str, row: SourceRow) -> None:
        """Count `row` under `reason`; the first five are kept with file and line."""
        self.counts[reason] += 1
        if self.counts[reason] <= FIRST_PLACES:
            self.places.setdefault(reason, []).append({"file": row.file, "line": row.line})

    def as_json(self) -> dict:
        """The report as plain values: every known reason is there, with 0 where nothing was met."""
        problems = {
            reason: {
                "count": self.counts[reason],
                "kept": reason not in DROPPED,
                "first": self.places.get(reason, []),
            }
            for reason in (*DROPPED, *KEPT, *NOTES)
        }
        return {
            "format": self.format,
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "rows_dropped": self.rows_read - self.rows_kept,
            "problems": problems,
        }

    def describe(self, reason: str) -> str:
        """One line of a message, e.g. '2 × missing_field: data.jsonl, line 3; data.jsonl, line 9'."""
        places = "; ".join(f"{place['file']}, line {place['line']}" for place in self.places[reason])
        more = "; …" if self.counts[reason] > FIRST_PLACES else ""
        return f"{self.counts[reason]} × {reason}: {places}{more}"


class _RowProblem(ValueError):
    """Why a row cannot become an instance; the argument is one of DROPPED."""


def _text(row: dict, key: str, *, default: str | None = None) -> str:
    """The text under `key`; a missing key is an error unless there is a default."""
    value = row.get(key, default)
    if value is None:
        raise _RowProblem("missing_field")
    if not isinstance(value, str):
        raise _RowProblem("wrong_type")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair: no text that could be written or tokenised
        raise _RowProblem("bad_encoding") from None
    return value


Triple = tuple[str, str, str]
Notes = tuple[str, ...]


def _from_alpaca(row: dict) -> tuple[Triple, Notes]:
    # Alpaca's own code reads `example.get("input", "")`: a row without the field is a row without input.
    return (_text(row, "instruction"), _text(row, "input", default=""), _text(row, "output")), ()


def _from_dolly(row: dict) -> tuple[Triple, Notes]:
    return (_text(row, "instruction"), _text(row, "context", default=""), _text(row, "response")), ()


def _from_ultrafeedback(row: dict) -> tuple[Triple, Notes]:
    """The first prompt and the preferred answer to it (the paper does not name the field)."""
    return _first_exchange(row, "chosen")


def _from_messages(row: dict) -> tuple[Triple, Notes]:
    """The first user turn and the first assistant turn after it; a system turn is left out and counted."""
    return _first_exchange(row, "messages")


def _first_exchange(row: dict, key: str) -> tuple[Triple, Notes]:
    turns = row.get(key)
    if turns is None:
        raise _RowProblem("missing_field")
    if not isinstance(turns, (list, tuple)) or not all(isinstance(turn, dict) for turn in turns):
        raise _RowProblem("wrong_type")
    roles = [turn.get("role") for turn in turns]
    if "user" not in roles or "assistant" not in roles[roles.index("user") :]:
        raise _RowProblem("missing_field")
    asked = roles.index("user")
    answered = roles.index("assistant", asked)
    notes = ("system_turn_ignored",) * ("system" in roles) + ("later_turns_ignored",) * (len(turns) > answered + 1)
    return (_text(turns[asked], "content"), "", _text(turns[answered], "content")), notes


READERS: dict[str, Callable[[dict], tuple[Triple, Notes]]] = {
    "alpaca": _from_alpaca,
    "dolly": _from_dolly,
    "ultrafeedback": _from_ultrafeedback,
    "messages": _from_messages,
}


def read_instances(
    rows: Iterable[SourceRow],
    format: str,
    *,
    limit: int | None = None,
    strict: bool = False,
    where: str | None = None,
) -> tuple[list[Instance], RowReport]:
    """Read `rows` as instances and report what was wrong with them.

    format  alpaca, dolly, ultrafeedback or messages
    limit   stop after this many instances (None: all)
    strict  every malformed row, empty output and duplicate is an error, reported together
    where   the key path that names the source, for messages
    Raises InputError for an unknown format, for a source without a usable row, and in strict mode.
    """
    if format not in READERS:
        hint = nearest_hint(format, list(READERS)) or f"known formats: {', '.join(READERS)}"
        raise InputError("Unknown format of instruction data.", value=format, where=where, hint=hint)
    report = RowReport(format)
    instances: list[Instance] = []
    seen: set[Triple] = set()
    for index, row in enumerate(rows):
        if limit is not None and len(instances) >= limit:
            break
        report.rows_read += 1
        try:
            triple, notes = _read_row(row.value, READERS[format])
        except _RowProblem as problem:
            report.note(str(problem), row)
            continue
        for note in (*notes, *_kept_problems(triple, seen)):
            report.note(note, row)
        seen.add(triple)
        instances.append(Instance(*triple, source_row=index))
    report.rows_kept = len(instances)
    _check_usable(report, strict, where)
    return instances, report


def _read_row(value: object, reader: Callable[[dict], tuple[Triple, Notes]]) -> tuple[Triple, Notes]:
    if isinstance(value, RowError):
        raise _RowProblem(value.reason)
    if not isinstance(value, dict):
        raise _RowProblem("not_an_object")
    triple, notes = reader(value)
    if triple[0] == "":
        raise _RowProblem("empty_instruction")  # nothing to follow, and R_g may be undefined
    return triple, notes


def _kept_problems(triple: Triple, seen: set[Triple]) -> Iterable[str]:
    if triple[2] == "":
        yield "empty_output"
    if triple in seen:
        yield "duplicate"


def _check_usable(report: RowReport, strict: bool, where: str | None) -> None:
    faults = [reason for reason in (*DROPPED, *KEPT) if report.counts[reason]]
    lines = "\n    ".join(report.describe(reason) for reason in faults)
    if strict and faults:
        hint = f"Mend these rows, or set strict: false to leave malformed ones out:\n    {lines}"
        raise InputError("The instruction data have faulty rows.", where=where, hint=hint)
    if report.rows_kept == 0:
        hint = f"Is the format right? Rows read: {report.rows_read}.\n    {lines}".rstrip()
        raise InputError(f"No row could be read as {report.format}.", where=where, hint=hint)


def instance_rows(instances: Iterable[Instance]) -> Iterable[dict]:
    """The rows of instances.jsonl."""
    return (asdict(instance) for instance in instances)


def instances_of(rows: Iterable[dict]) -> list[Instance]:
    """Back from the rows of instances.jsonl."""
    return [Instance(**row) for row in rows]


def as_instances(rows: Iterable[Instance | Mapping]) -> list[Instance]:
    """Instances out of mappings with `instruction`, `output` and perhaps `input`; Instances stay as they are.

    InputError with the row's number (from 0) for a mapping that lacks a field or holds anything but text there.
    """
    found = []
    for number, row in enumerate(rows):
        if not isinstance(row, Instance):
            fields: dict[str, Any] = {name: row.get(name) for name in ("instruction", "output")}
            fields |= {"input": row.get("input", "")}
            for name, value in fields.items():
                if not isinstance(value, str):
                    raise InputError(f"A row's {name} is no text.", value=value, where=f"row {number}")
            row = Instance(**fields, source_row=number, inverted=bool(row.get("inverted", False)))
        found.append(row)
    return found

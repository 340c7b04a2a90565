"""Instances: instruction data in one form (instruction, input, output), read from five common formats.

Rows are kept exactly as they are: no stripping, and only "" counts as an empty input. White space and fillers
such as "<noinput>" stay, because the totals of the paper's Table 1 come out only that way.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from plw.errors import InputError, nearest_hint
from plw.study.rows import RowError, SourceRow, text_problem

# What can be wrong with a row. Of the reasons in KEPT the row stays: the paper's data hold empty outputs and
# duplicates, and Table 1 counts them. NOTES are no faults: turns of a conversation that do not fit a triple.
DROPPED = (
    *("bad_json", "bad_encoding", "not_an_object", "missing_field", "wrong_type", "empty_instruction"),
    *("tool_call", "not_only_text"),  # of conversations: an answer that needs a tool, a turn with an image
)
KEPT = ("empty_output", "duplicate")
NOTES = ("system_turn_ignored", "later_turns_ignored")
MOST_DETAIL = 200  # characters: a field's name is as long as whoever made the file wants it
FIRST_PLACES = 5  # how many places of each reason a report names
MOST_LEFT_OUT = 0.1  # share of rows that may be left out unless a data set says otherwise; ours


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

    def note(self, reason: str, row: SourceRow, detail: str = "") -> None:
        """Count `row` under `reason`; the first five are kept with file, line and what is known of it."""
        self.counts[reason] += 1
        if self.counts[reason] <= FIRST_PLACES:
            place = {"file": row.file, "line": row.line}
            detail = detail if len(detail) <= MOST_DETAIL else f"{detail[:MOST_DETAIL]} …"
            self.places.setdefault(reason, []).append(place | ({"detail": detail} if detail else {}))

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
        """One line of a message, e.g. '2 × missing_field: data.jsonl, line 3 (output); data.jsonl, line 9 (output)'."""
        places = "; ".join(
            f"{place['file']}, line {place['line']}" + (f" ({place['detail']})" if "detail" in place else "")
            for place in self.places[reason]
        )
        more = "; …" if self.counts[reason] > FIRST_PLACES else ""
        return f"{self.counts[reason]} × {reason}: {places}{more}"


class _RowProblem(ValueError):
    """Why a row cannot become an instance: one of DROPPED, and what is known of it."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason, self.detail = reason, detail
        super().__init__(reason)


def _text(row: dict, key: str, *, default: str | None = None) -> str:
    """The text under `key`; a missing key is an error unless there is a default."""
    value = row.get(key, default)
    if value is None:
        raise _missing(key, row)
    return _checked(value, key)


def _missing(key: str, row: dict) -> _RowProblem:
    if key in row:
        return _RowProblem("missing_field", f"{key} is null")
    names = ", ".join(list(map(str, row))[:6]) or "no fields"
    return _RowProblem("missing_field", f"{key} is not among {names}")


def _checked(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _RowProblem("wrong_type", f"{key} is {type(value).__name__}, not text")
    if problem := text_problem(value):
        raise _RowProblem("bad_encoding", f"{key}: {problem}")
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
    return _first_exchange(row, "chosen", OPENAI)


def _from_messages(row: dict) -> tuple[Triple, Notes]:
    """The first user turn and the first assistant turn after it; a system turn is left out and counted."""
    return _first_exchange(row, "messages", OPENAI)


def _from_sharegpt(row: dict) -> tuple[Triple, Notes]:
    """The same of a conversation in ShareGPT's form."""
    return _first_exchange(row, "conversations", SHAREGPT)


@dataclass(frozen=True)
class _Chat:
    """How a form of conversations names the role and the text of a turn, and the roles."""

    role: str
    text: str
    user: tuple[str, ...]
    assistant: tuple[str, ...]
    system: tuple[str, ...]
    calls: tuple[str, ...] = ()  # roles of turns that call a tool


OPENAI = _Chat("role", "content", ("user",), ("assistant",), ("system", "developer"))
SHAREGPT = _Chat(
    "from", "value", ("human", "user"), ("gpt", "assistant", "chatgpt", "model"), ("system",), ("function_call",)
)


def _first_exchange(row: dict, key: str, chat: _Chat) -> tuple[Triple, Notes]:
    turns = row.get(key)
    if turns is None:
        if isinstance(row.get("conversations"), list):
            raise _RowProblem("missing_field", f"{key}; the row has conversations with from/value: format: sharegpt")
        if isinstance(row.get("messages"), list):
            raise _RowProblem("missing_field", f"{key}; the row has messages with role/content: format: messages")
        raise _missing(key, row)
    if not isinstance(turns, (list, tuple)) or not all(isinstance(turn, dict) for turn in turns):
        raise _RowProblem("wrong_type", f"{key} is no list of turns")
    roles = [turn.get(chat.role) for turn in turns]
    asked = next((place for place, role in enumerate(roles) if role in chat.user), None)
    if asked is None:
        raise _RowProblem("missing_field", f"no turn has {chat.role}: {chat.user[0]}")
    answers = (*chat.assistant, *chat.calls)
    answered = next((place for place in range(asked + 1, len(turns)) if roles[place] in answers), None)
    if answered is None:
        raise _RowProblem("missing_field", f"no turn after it has {chat.role}: {chat.assistant[0]}")
    answer = turns[answered]
    calls = roles[answered] in chat.calls or bool(answer.get("tool_calls") or answer.get("function_call"))
    if calls and not (roles[answered] in chat.assistant and answer.get(chat.text)):
        raise _RowProblem("tool_call", "the answer calls a tool")  # what it then says rests on what the tool said
    system = any(role in chat.system for role in roles)
    notes = ("system_turn_ignored",) * system + ("later_turns_ignored",) * (len(turns) > answered + 1)
    return (_turn_text(turns[asked], chat), "", _turn_text(answer, chat)), notes


def _turn_text(turn: dict, chat: _Chat) -> str:
    """A turn's text; of content in parts the parts of type text, a line each, as vLLM joins them."""
    content = turn.get(chat.text)
    if not isinstance(content, list | tuple):
        return _text(turn, chat.text)
    parts = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "text":
            parts.append(_text(part, "text"))
        elif isinstance(part, str):
            parts.append(_checked(part, chat.text))
        else:
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise _RowProblem("not_only_text", f"a part of type {kind}")
    return "\n".join(parts)


READERS: dict[str, Callable[[dict], tuple[Triple, Notes]]] = {
    "alpaca": _from_alpaca,
    "dolly": _from_dolly,
    "ultrafeedback": _from_ultrafeedback,
    "messages": _from_messages,
    "sharegpt": _from_sharegpt,
}


def read_instances(
    rows: Iterable[SourceRow],
    format: str,
    *,
    limit: int | None = None,
    strict: bool = False,
    most_left_out: float = MOST_LEFT_OUT,
    where: str | None = None,
) -> tuple[list[Instance], RowReport]:
    """Read `rows` as instances and report what was wrong with them.

    format         alpaca, dolly, ultrafeedback, messages or sharegpt
    limit          stop after this many instances (None: all)
    strict         every malformed row, empty output and duplicate is an error, reported together
    most_left_out  share of the rows read, 0 to 1, that may be left out
    where          the key path that names the data set, for messages
    Raises InputError for an unknown format, for a source without a usable row or with too few, and in strict mode.
    """
    reading = Reading(rows, format, limit=limit, strict=strict, most_left_out=most_left_out, where=where)
    return list(reading), reading.report


class Reading(Iterable[Instance]):
    """The instances of `read_instances` one after the other; what was wrong with the rows is in `report` at the end.

    Of each row that was read only a digest is kept, by which duplicates are told. Errors as of `read_instances`: an
    unknown format at once, too few usable rows at the end. To be gone through once.
    """

    def __init__(
        self,
        rows: Iterable[SourceRow],
        format: str,
        *,
        limit: int | None = None,
        strict: bool = False,
        most_left_out: float = MOST_LEFT_OUT,
        where: str | None = None,
    ):
        if format not in READERS:
            hint = nearest_hint(format, list(READERS)) or f"known formats: {', '.join(READERS)}"
            raise InputError("Unknown format of instruction data.", value=format, where=where, hint=hint)
        self.report = RowReport(format)
        self._rows, self._limit, self._where = rows, limit, where
        self._usable = (strict, most_left_out)

    def __iter__(self) -> Iterator[Instance]:
        report, read = self.report, READERS[self.report.format]
        seen: set[bytes] = set()
        for index, row in enumerate(self._rows):
            if self._limit is not None and report.rows_kept >= self._limit:
                break
            report.rows_read += 1
            try:
                triple, notes = _read_row(row.value, read)
            except _RowProblem as problem:
                report.note(problem.reason, row, problem.detail)
                continue
            digest = _digest(triple)
            for note in (*notes, *_kept_problems(triple, digest in seen)):
                report.note(note, row)
            seen.add(digest)
            report.rows_kept += 1
            yield Instance(*triple, source_row=index)
        _check_usable(report, *self._usable, self._where)


def _digest(triple: Triple) -> bytes:
    lengths = ",".join(str(len(text)) for text in triple)  # so that texts cannot run into each other
    return hashlib.blake2b("".join((lengths, *triple)).encode(), digest_size=16).digest()


def _read_row(value: object, reader: Callable[[dict], tuple[Triple, Notes]]) -> tuple[Triple, Notes]:
    if isinstance(value, RowError):
        raise _RowProblem(value.reason, value.detail)
    if not isinstance(value, dict):
        raise _RowProblem("not_an_object", f"it is {type(value).__name__}")
    triple, notes = reader(value)
    if triple[0] == "":
        raise _RowProblem("empty_instruction")  # nothing to follow, and R_g may be undefined
    return triple, notes


def _kept_problems(triple: Triple, met: bool) -> Iterable[str]:
    if triple[2] == "":
        yield "empty_output"
    if met:
        yield "duplicate"


def _check_usable(report: RowReport, strict: bool, most_left_out: float, where: str | None) -> None:
    faults = [reason for reason in (*DROPPED, *KEPT) if report.counts[reason]]
    lines = "\n    ".join(report.describe(reason) for reason in faults)
    if strict and faults:
        hint = f"Mend these rows, or set strict: false to leave malformed ones out:\n    {lines}"
        raise InputError("The instruction data have faulty rows.", where=where, hint=hint)
    if report.rows_kept == 0:
        hint = f"Is the format right? Rows read: {report.rows_read}.\n    {lines}".rstrip()
        raise InputError(f"No row could be read as {report.format}.", where=where, hint=hint)
    left_out = report.rows_read - report.rows_kept
    if left_out > most_left_out * report.rows_read:
        raise InputError(
            f"{left_out} of {report.rows_read} rows would be left out, more than {most_left_out:.0%}.",
            where=where,
            hint=f"Mend them, or say how many may be left out with most_left_out, a share from 0 to 1:\n    {lines}",
        )


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

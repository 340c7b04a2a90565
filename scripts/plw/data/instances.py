"""Instances: instruction data in one form (instruction, input, output), read from five common formats.

Rows are kept exactly as they are: no stripping, and only "" counts as an empty input. White space and fillers
such as "<noinput>" stay, because the totals of the paper's Table 1 come out only that way.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from plw.data.conversations import (
    ASSISTANT,
    OPENAI,
    SHAREGPT,
    Chat,
    Notes,
    Triple,
    Turns,
    first_exchange,
    whole_conversation,
)
from plw.data.fields import RowProblem, text_of
from plw.errors import InputError, nearest_hint
from plw.study.rows import RowError, SourceRow

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
    """One example.

    source_row  counts the rows of the source from 0
    inverted    marks prompt inversion
    turns       of a conversation that is trained on whole: (role, text) up to its last answer, roles system, user and
                assistant; the other fields are then its first exchange. Empty where that is all
    """

    instruction: str
    input: str
    output: str
    source_row: int
    inverted: bool = False
    turns: Turns = ()


@dataclass
class RowReport:
    """What a reader met: numbers of rows, and for each reason its count and the first places."""

    format: str
    rows_read: int = 0
    rows_kept: int = 0
    turns: str = "first"
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
            **({"turns": self.turns} if self.turns != "first" else {}),
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


def _from_alpaca(row: dict) -> tuple[Triple, Notes]:
    # Alpaca's own code reads `example.get("input", "")`: a row without the field is a row without input.
    return (text_of(row, "instruction"), text_of(row, "input", default=""), text_of(row, "output")), ()


def _from_dolly(row: dict) -> tuple[Triple, Notes]:
    return (text_of(row, "instruction"), text_of(row, "context", default=""), text_of(row, "response")), ()


CHOSEN = Chat(**{**vars(OPENAI), "key": "chosen"})


def _from_ultrafeedback(row: dict) -> tuple[Triple, Notes]:
    """The first prompt and the preferred answer to it (the paper does not name the field)."""
    return first_exchange(row, CHOSEN)


def _from_messages(row: dict) -> tuple[Triple, Notes]:
    """The first user turn and the first assistant turn after it; a system turn is left out and counted."""
    return first_exchange(row, OPENAI)


def _from_sharegpt(row: dict) -> tuple[Triple, Notes]:
    """The same of a conversation in ShareGPT's form."""
    return first_exchange(row, SHAREGPT)


READERS: dict[str, Callable[[dict], tuple[Triple, Notes]]] = {
    "alpaca": _from_alpaca,
    "dolly": _from_dolly,
    "ultrafeedback": _from_ultrafeedback,
    "messages": _from_messages,
    "sharegpt": _from_sharegpt,
}


CHATS = {"ultrafeedback": CHOSEN, "messages": OPENAI, "sharegpt": SHAREGPT}  # formats whose rows may have many turns
TURNS = ("first", "all")


def read_instances(
    rows: Iterable[SourceRow],
    format: str,
    *,
    turns: str = "first",
    limit: int | None = None,
    strict: bool = False,
    most_left_out: float = MOST_LEFT_OUT,
    where: str | None = None,
) -> tuple[list[Instance], RowReport]:
    """Read `rows` as instances and report what was wrong with them.

    format         alpaca, dolly, ultrafeedback, messages or sharegpt
    turns          of a conversation: its first exchange, or all (formats CHATS)
    limit          stop after this many instances (None: all)
    strict         every malformed row, empty output and duplicate is an error, reported together
    most_left_out  share of the rows read, 0 to 1, that may be left out
    where          the key path that names the data set, for messages
    Raises InputError for an unknown format, for a source without a usable row or with too few, and in strict mode.
    """
    reading = Reading(rows, format, turns=turns, limit=limit, strict=strict, most_left_out=most_left_out, where=where)
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
        turns: str = "first",
        limit: int | None = None,
        strict: bool = False,
        most_left_out: float = MOST_LEFT_OUT,
        where: str | None = None,
    ):
        if format not in READERS:
            hint = nearest_hint(format, list(READERS)) or f"known formats: {', '.join(READERS)}"
            raise InputError("Unknown format of instruction data.", value=format, where=where, hint=hint)
        if turns not in TURNS:
            raise InputError("Unknown choice of turns.", value=turns, where=where, hint=f"Use {' or '.join(TURNS)}.")
        if turns == "all" and format not in CHATS:
            hint = f"Leave out turns: all, or name a format of conversations: {', '.join(CHATS)}."
            raise InputError("Rows of this format have one turn.", value=format, where=where, hint=hint)
        self.report = RowReport(format, turns=turns)
        self._rows, self._limit, self._where = rows, limit, where
        self._usable = (strict, most_left_out)

    def __iter__(self) -> Iterator[Instance]:
        report, read = self.report, _reader(self.report.format, self.report.turns)
        seen: set[bytes] = set()
        for index, row in enumerate(self._rows):
            if self._limit is not None and report.rows_kept >= self._limit:
                break
            report.rows_read += 1
            try:
                triple, turns, notes = _read_row(row.value, read)
            except RowProblem as problem:
                report.note(problem.reason, row, problem.detail)
                continue
            texts = [text for turn in turns for text in turn] or list(triple)
            digest = _digest(texts)
            answers = [text for role, text in turns if role == ASSISTANT] or [triple[2]]
            for note in (*notes, *_kept_problems(answers, digest in seen)):
                report.note(note, row)
            seen.add(digest)
            report.rows_kept += 1
            yield Instance(*triple, source_row=index, turns=turns)
        _check_usable(report, *self._usable, self._where)


def _digest(texts: Sequence[str]) -> bytes:
    lengths = ",".join(str(len(text)) for text in texts)  # so that texts cannot run into each other
    return hashlib.blake2b("".join((lengths, *texts)).encode(), digest_size=16).digest()


Reader = Callable[[dict], tuple[Triple, Turns, Notes]]


def _reader(format: str, turns: str) -> Reader:
    if turns == "all":
        return lambda row: whole_conversation(row, CHATS[format])

    def read(row: dict) -> tuple[Triple, Turns, Notes]:
        triple, notes = READERS[format](row)
        return triple, (), notes

    return read


def _read_row(value: object, reader: Reader) -> tuple[Triple, Turns, Notes]:
    if isinstance(value, RowError):
        raise RowProblem(value.reason, value.detail)
    if not isinstance(value, dict):
        raise RowProblem("not_an_object", f"it is {type(value).__name__}")
    triple, turns, notes = reader(value)
    if triple[0] == "":
        raise RowProblem("empty_instruction")  # nothing to follow, and R_g may be undefined
    return triple, turns, notes


def _kept_problems(answers: Sequence[str], met: bool) -> Iterable[str]:
    if "" in answers:
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
    """The rows of instances.jsonl; only those of whole conversations have `turns`, a list of [role, text]."""
    for instance in instances:
        row = asdict(instance)
        if not instance.turns:
            del row["turns"]
        yield row


def instances_of(rows: Iterable[dict]) -> list[Instance]:
    """Back from the rows of instances.jsonl."""
    return [Instance(**{**row, "turns": tuple(map(tuple, row.get("turns", ())))}) for row in rows]


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

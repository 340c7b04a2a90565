"""What was read of a data set, in words: for the terminal, the note of Table 1 and the report, all from rows.json."""

from collections.abc import Mapping

from plw.data.instances import FIRST_PLACES

# Reasons of plw.data.instances after a number of rows.
WORDS = {
    "bad_json": "not valid JSON",
    "bad_encoding": "not UTF-8",
    "not_an_object": "no mapping of fields",
    "missing_field": "lacking a field",
    "wrong_type": "with a field that is no text",
    "empty_instruction": "without an instruction",
    "tool_call": "whose answer calls a tool",
    "not_only_text": "with more than text in a turn",
    "empty_output": "with an empty completion",
    "duplicate": "equal to an earlier one",
    "system_turn_ignored": "whose system turn is not trained on",
    "later_turns_ignored": "whose later turns are not trained on",
}


def met(record: Mapping) -> list[dict]:
    """What was met in the rows of a data set: {reason, words, count, kept, places}, each reason that was met at all.

    record  the content of rows.json
    places  the first rows in words, e.g. "a.jsonl, line 2, 9, …"; empty where none are known
    A derived data set reads its parent's instances; what its inversion leaves out to reach an R_g is `inversion`, what
    a draw of some rows leaves out is `subset`.
    """
    found = [
        {
            "reason": reason,
            "words": WORDS.get(reason, reason),
            "count": problem["count"],
            "kept": problem["kept"],
            "places": places(problem["first"], problem["count"]),
        }
        for reason, problem in record.get("problems", {}).items()
        if problem["count"]
    ]
    for kind, words in (("inversion", "by the inversion's rule (App. D)"), ("subset", "not drawn")):
        if kind in record and record["rows_dropped"]:
            found.append({"reason": kind, "words": words, "count": record["rows_dropped"], "kept": False, "places": ""})
    return found


def places(first: list[dict], count: int) -> str:
    """The files and lines of the first of `count` rows; a file by its last name."""
    lines: dict[str, list[str]] = {}
    for place in first:
        lines.setdefault(_last(place["file"]), []).append(str(place["line"]))
    shown = "; ".join(f"{file}, line {', '.join(numbers)}" for file, numbers in lines.items())
    return shown + (", …" if count > FIRST_PLACES and shown else "")


def in_one_line(record: Mapping, label: str | None = None) -> str:
    """What was left out and what was noticed, e.g. 'faq: 3 of 240 rows left out: 3 not UTF-8 (a.jsonl, line 2, 3, 9).'

    label  how the data set is called; None: its name
    Empty where nothing was met.
    """
    parts = {kept: [_part(item) for item in met(record) if item["kept"] is kept] for kept in (False, True)}
    said = []
    if parts[False]:
        said.append(f"{record['rows_dropped']:,} of {record['rows_read']:,} rows left out: {', '.join(parts[False])}.")
    if parts[True]:
        said.append(f"Kept: {', '.join(parts[True])}.")
    name = " ".join((label or record["dataset"]).split())  # one line, whatever a label holds
    return f"{name}: {' '.join(said)}" if said else ""


def without_texts(record: Mapping) -> dict:
    """The record to be handed on: counts and places, but no path of this machine and no word out of a row."""
    problems = {
        reason: {
            **problem,
            "first": [{"file": _last(place["file"]), "line": place["line"]} for place in problem["first"]],
        }
        for reason, problem in record.get("problems", {}).items()
    }
    kept = {key: value for key, value in record.items() if key != "source"}
    return kept | ({"problems": problems} if problems else {})


def _last(file: str) -> str:
    """The last name of a path or an address.

    What a name may hold and a terminal would obey, or UTF-8 cannot write, is shown as its code.
    """
    name = file.rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def _part(item: dict) -> str:
    return f"{item['count']:,} {item['words']}" + (f" ({item['places']})" if item["places"] else "")

"""Fields of a row as text, or why a row cannot be used."""

from plw.study.rows import text_problem


class RowProblem(ValueError):
    """Why a row cannot become an instance: a reason of `plw.data.instances.DROPPED`, and what is known of it."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason, self.detail = reason, detail
        super().__init__(reason)


def text_of(row: dict, key: str, *, default: str | None = None) -> str:
    """The text under `key`; a missing key is an error unless there is a default."""
    value = row.get(key, default)
    if value is None:
        raise missing(key, row)
    return checked(value, key)


def missing(key: str, row: dict) -> RowProblem:
    """The problem of a row that lacks `key`, with the fields that it has."""
    if key in row:
        return RowProblem("missing_field", f"{key} is null")
    names = ", ".join(list(map(str, row))[:6]) or "no fields"
    return RowProblem("missing_field", f"{key} is not among {names}")


def checked(value: object, key: str) -> str:
    """The value under `key`, if it is text that can be written."""
    if not isinstance(value, str):
        raise RowProblem("wrong_type", f"{key} is {type(value).__name__}, not text")
    if problem := text_problem(value):
        raise RowProblem("bad_encoding", f"{key}: {problem}")
    return value

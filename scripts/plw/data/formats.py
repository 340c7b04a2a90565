"""Which format a file of instruction data has, told by the names of its fields."""

from collections.abc import Iterable
from itertools import islice

from plw.errors import InputError
from plw.study.rows import SourceRow

# Fields that a row of each format must have; the first whose fields are all there is taken.
FIELDS = {
    "messages": {"messages"},
    "sharegpt": {"conversations"},
    "ultrafeedback": {"chosen"},
    "dolly": {"instruction", "response"},
    "alpaca": {"instruction", "output"},
}
LOOKED_AT = 100  # rows: a broken first row hides nothing, and a wrong file is told at once


def detect_format(rows: Iterable[SourceRow], *, where: str | None = None) -> str:
    """The format of the first row that is an object with known fields: a key of `plw.data.instances.READERS`.

    rows   from `plw.study.sources.read_rows`; at most LOOKED_AT are taken
    where  named in the message
    Raises InputError, with the fields that are there, where none of the rows has the fields of a format.
    """
    names: list[str] = []
    for row in islice(rows, LOOKED_AT):
        if not isinstance(row.value, dict):
            continue
        for name, fields in FIELDS.items():
            if fields <= set(row.value):
                return name
        names = names or [str(key) for key in row.value][:10]
    known = "; ".join(f"{name} ({', '.join(sorted(fields))})" for name, fields in FIELDS.items())
    raise InputError(
        "The rows are in no known format.",
        value=f"fields {', '.join(names)}" if names else "no row is an object",
        where=where,
        hint=f"Rename the fields, or name a format. Known: {known}.",
    )

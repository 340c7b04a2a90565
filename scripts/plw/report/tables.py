"""Tables as the report's templates take them: {columns, rows, right, notes}; a cell is {text, bold}."""

import re
from collections.abc import Sequence


def plain_table(
    columns: list[str], rows: list[list], *, right_from: int | None = None, notes: Sequence[str] = ()
) -> dict:
    """A table of shown values; columns from `right_from` (0-based) on are aligned to the right."""
    start = len(columns) if right_from is None else right_from
    return {
        "columns": columns,
        "rows": [[{"text": str(cell), "bold": False} for cell in row] for row in rows],
        "right": [index >= start for index in range(len(columns))],
        "notes": list(notes),
    }


def read_table(text: str) -> dict:
    """A table that plw.tables.table wrote as Markdown; lines outside the grid, but for the title, are its notes."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    grid = [_cells(line) for line in lines if line.startswith("|")]
    notes = [re.sub(r"\*\*|`", "", line) for line in lines[1:] if not line.startswith("|")]
    if len(grid) < 2:
        return {"columns": [], "rows": [], "right": [], "notes": notes}
    columns, marks, *rows = grid
    return {
        "columns": columns,
        "rows": [[_cell(cell) for cell in row] for row in rows],
        "right": [mark.endswith(":") and not mark.startswith(":") for mark in marks],
        "notes": notes,
    }


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def _cell(text: str) -> dict:
    """A single star is a mark of the table (Table 5), two around a cell are bold type."""
    bold = len(text) > 4 and text.startswith("**") and text.endswith("**")
    return {"text": text[2:-2] if bold else text, "bold": bold}


def shown_number(value: object) -> str:
    """Any value out of a JSON result as a reader takes it in: three significant digits, '–' for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return f"{value:,.0f}"
        return re.sub("^-", "−", f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")
    if isinstance(value, dict):
        return "; ".join(f"{name} {shown_number(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shown_number(item) for item in value)
    return str(value)

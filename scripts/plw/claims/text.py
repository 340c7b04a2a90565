"""The judged claims as a Markdown page: summary, then one row for each claim."""

from collections.abc import Mapping

from plw.tables.table import shown

MOST_NUMBERS = 8  # in a cell; all are in claims.json


def number_text(value: object) -> str:
    """A number with four significant digits, as a reader wants it; text and yes/no as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return shown(value)
    return shown(value, "{:.4g}") if isinstance(value, float) else str(shown(value))


def numbers_text(numbers: Mapping) -> str:
    """The first numbers of a finding as one line."""
    said = [f"{name}: {number_text(value)}" for name, value in list(numbers.items())[:MOST_NUMBERS]]
    more = len(numbers) - len(said)
    return "; ".join([*said, *([f"{more} more in claims.json"] if more > 0 else [])])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def to_markdown(record: Mapping) -> str:
    """claims.json as Markdown."""
    counts = record["summary"]
    said = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    lines = [
        f"# The paper's claims on study {record['study']}",
        "",
        f"**{sum(counts.values())} claims: {said}.** Inconclusive means: not measured here, or too little to tell.",
        "",
        "| id | claim | place | verdict | numbers | reason |",
        "|:---|:---|:---|:---|:---|:---|",
    ]
    for row in record["claims"]:
        reason = " ".join(filter(None, [row["reason"], row["partial"]]))
        cells = [row["id"], row["text"], row["place"], row["verdict"], numbers_text(row["numbers"]), reason]
        lines.append("| " + " | ".join(_cell(cell.strip()) for cell in cells) + " |")
    return "\n".join([*lines, ""])

"""The judged claims as a Markdown page: tally with its yardstick, then one row for each claim, diagnostics apart."""

from collections.abc import Mapping, Sequence

from plw.claims.verdicts import percent
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


def rates_text(row: Mapping) -> str:
    """Both error rates of a claim's verdict, or that they are not known."""
    rates = row.get("rates")
    if not rates:
        return {"none": "not calibrated", "verdicts": "those of the claims that it rests on"}.get(
            row["calibration"], "–"
        )
    false = [f"false {kind} {percent(rates[f'false_{kind}'])}" for kind in ("supported", "contradicted")]
    return ", ".join(false)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def yardstick_lines(rows: Sequence[Mapping]) -> list[str]:
    """The tally beside what studies of this design give in the two known worlds, as a Markdown table."""
    if not rows:
        return []
    head = "| family | claims simulated | supported here | in a world without effects | in the paper's world |"
    head += " contradicted here | in a world without effects | in the paper's world |"
    lines = [head, "|:---|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        cells = [row["family"], row["claims"], row["supported"]]
        cells += [f"{row['null_supported']:.1f}", f"{row['paper_supported']:.1f}", row["contradicted"]]
        cells += [f"{row['null_contradicted']:.1f}", f"{row['paper_contradicted']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [*lines, ""]


def _table(rows: Sequence[Mapping]) -> list[str]:
    lines = ["| id | claim | estimand | verdict | error rates of the rule here | numbers | reason |"]
    lines.append("|:---|:---|:---|:---|:---|:---|:---|")
    for row in rows:
        reason = " ".join(filter(None, [row["reason"], row["partial"]]))
        cells = [row["id"], f"{row['text'].strip()} ({row['place']})", row.get("estimand") or "", row["verdict"]]
        cells += [rates_text(row), numbers_text(row["numbers"]), reason]
        lines.append("| " + " | ".join(_cell(cell.strip()) for cell in cells) + " |")
    return [*lines, ""]


def to_markdown(record: Mapping) -> str:
    """claims.json as Markdown."""
    counts = record["summary"]
    said = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    results = [row for row in record["claims"] if row["calibration"] != "diagnostic"]
    diagnostics = [row for row in record["claims"] if row["calibration"] == "diagnostic"]
    lines = [
        f"# The paper's claims on study {record['study']}",
        "",
        f"**{sum(counts.values())} claims: {said}.** Supported: a world without the effect gives this in fewer than 5 %"
        " of studies of this design and noise. Contradicted: the paper's world does. Inconclusive: neither, or not"
        " measured.",
        "",
        *([f"Simulated with {record['noise']}.", ""] if record["noise"] else []),
        *yardstick_lines(record["yardstick"]),
        *_table(results),
    ]
    if diagnostics:
        lines += ["## Diagnostics, not in the tally", "", *_table(diagnostics)]
    return "\n".join(lines)

"""What a call of the workflow tells people at its end: what failed programs said, or where the report is."""

from pathlib import Path

from plw.files import read_json
from plw.study.fetching import unpinned

LINES = 16  # a longer message is shown by its first line and its last six


def failures(folder: Path, *, since: float) -> list[str]:
    """The errors in the logs below `folder` that were written after `since` (seconds since 1970), oldest first."""
    said = []
    for file in sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime):
        if file.stat().st_mtime < since:
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        place = max(text.rfind("\nError:"), text.rfind("\nTraceback"), 0)
        if place or text.startswith(("Error:", "Traceback")):
            lines = text[place:].strip().splitlines()
            shown = lines if len(lines) < LINES else [*lines[:1], "    …", *lines[-6:]]
            said.append("\n".join([f"--- {file}", *shown]))
    return said


def fetched(record: Path, *, since: float) -> str:
    """What this call fetched, and what of it is not pinned; empty where `record` was not written after `since`."""
    if not record.is_file() or record.stat().st_mtime < since:
        return ""
    sources = read_json(record)["sources"]
    size = sum(file["bytes"] for source in sources for file in source.get("files", [source]))
    return "\n".join([f"Fetched: {len(sources)} sources, {size / 1e9:,.2f} GB  ({record})", *unpinned(sources)])


def finished(folder: Path, *, seconds: float) -> str:
    """Where the report of a finished study is, its verdicts and the time that the call took; empty without a report.

    folder  the study's folder of results
    """
    report, claims = folder / "report.html", folder / "claims.json"
    if not report.exists():
        return ""
    lines = [f"Report:  {report}  (opens in any browser)"]
    if claims.exists():
        counts = read_json(claims)["summary"]
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        lines.append(f"Claims:  {verdicts}  ({folder / 'claims.md'})")
    minutes, rest = divmod(round(seconds), 60)
    lines.append(f"Time:    {f'{minutes} min ' if minutes else ''}{rest} s")
    return "\n".join(lines)

"""What a call of the workflow tells people: that a program failed and what it said, or where the report is."""

import logging
import re
import shlex
from pathlib import Path

from plw.files import read_json
from plw.study.fetching import unpinned

LINES = 16  # a longer message is shown by its first line and its last six
FAILED = re.compile(
    r"CalledProcessError in file .*?:\n"
    r"Command '(?P<command>.*)' (?:returned non-zero (?P<status>exit status \d+)|died with <?(?P<signal>[^>]*)>?)\.",
    re.DOTALL,
)


class WithoutCommands(logging.Filter):
    """For Snakemake's logger: a failed job's error without its command, which is pages of JSON."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; it is always kept."""
        if "CalledProcessError" in str(record.msg):
            record.msg = FAILED.sub(_in_short, str(record.msg))
        return True


def _in_short(error: re.Match) -> str:
    """That a program failed, the first line of what it said, and its log."""
    how = f"A program failed ({error['status'] or error['signal']})"
    target = re.search(r"> ('.*'|\S+) 2>&1$", error["command"], flags=re.DOTALL)
    if target is None:
        return f"{how}; -p shows its command."
    (log,) = map(Path, shlex.split(target[1]))
    message = said_in(log) or ["its log shows how far it came."]
    return f"{how}: {message[-1] if message[0].startswith('Traceback') else message[0]}\n  Log: {log}"


def said_in(log: Path) -> list[str]:
    """The lines of the last error in a log; none where it has none, or is not there."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    place = max(text.rfind("\nError:"), text.rfind("\nTraceback"), 0)
    return text[place:].strip().splitlines() if place or text.startswith(("Error:", "Traceback")) else []


def failures(folder: Path, *, since: float) -> list[str]:
    """The errors in the logs below `folder` that were written after `since` (seconds since 1970), oldest first."""
    said = []
    for file in sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime):
        if file.stat().st_mtime < since:
            continue
        lines = said_in(file)
        if lines:
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

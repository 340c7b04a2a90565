"""What the programs of a study said when they failed, out of their log files."""

from pathlib import Path

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

"""Table 6: licences of everything external, from the registry of sources, beside what the paper prints (App. F)."""

import re
from collections.abc import Sequence

from plw.study.sources import MOVING_REVISION
from plw.tables.table import Column, Table, shown

COMMIT_LETTERS = 10  # of a commit on Markdown and LaTeX; the CSV has all 40
NOTE = (
    "From this project's registry of sources. The paper's column holds the licence that its Table 6 prints; a dash "
    "there: the paper's table does not list the resource. Revisions are shortened here and in full in the CSV."
)


def _place(entry: dict) -> str | None:
    return entry.get("hub") or entry.get("repository") or entry.get("url")


def _agreement(entry: dict, printed: dict | None, paper_rows: dict[str | None, dict]) -> str:
    """What differs from the paper's row; for a source without one, the row of the same repository."""
    licence = entry.get("licence")
    if printed is None:
        near = paper_rows.get(_place(entry))
        if near is None:
            return "not in the paper"
        if near["licence"] == licence:
            return f"not in the paper; place and licence of {near['resource']}"
        return (
            f"not in the paper; licence differs from {near['resource']} ({near['licence']}), which has the same place"
        )
    differing = [name for name in ("licence", "application") if entry.get(name) not in (None, printed[name])]
    return f"{' and '.join(differing)} differ{'s' if len(differing) == 1 else ''}" if differing else "as printed"


def _registry_row(name: str, entry: dict, printed: dict | None, paper_rows: dict[str | None, dict]) -> dict:
    return {
        "name": name,
        "resource": entry.get("resource", name),
        "licence": entry.get("licence"),
        "paper_licence": printed and printed["licence"],
        "application": entry.get("application"),
        "agreement": _agreement(entry, printed, paper_rows),
        "from": _place(entry),
        "revision": entry.get("revision"),
        "other_revisions": ";".join(entry.get("other_revisions", [])) or None,
        "homepage": entry.get("homepage"),
    }


def _inline_rows(used: Sequence[str | dict], registry: dict) -> list[dict]:
    """Sources that a study names itself, at a Hub repository or an address: nothing is known of their licence."""
    places = {}
    place: dict[str, str | None] | None
    for source in used:
        if isinstance(source, str):
            place = {"from": source} if source not in registry else None
        else:
            place = {"from": source.get("hub") or source.get("url"), "revision": source.get("revision")}
        if place and place["from"]:
            places[place["from"], place.get("revision")] = place
    empty = dict.fromkeys(("licence", "paper_licence", "application", "other_revisions", "homepage"))
    return [
        {**empty, "revision": None, "name": place["from"], "resource": place["from"], **place,
         "agreement": "not in the registry", "used": True}
        for place in places.values()
    ]  # fmt: skip


def _notes(rows: list[dict], printed: dict, used: Sequence[str | dict] | None) -> list[str]:
    notes = [NOTE]
    lacking = [name for name in printed if name not in {row["resource"] for row in rows}]
    if lacking:
        notes.append(f"In the paper's table and not in the registry: {', '.join(lacking)}.")
    moving = [row["resource"] for row in rows if row["revision"] == MOVING_REVISION]
    if moving:
        notes.append(f"Not pinned, because no commit could be established: {', '.join(moving)}.")
    if used is not None:
        local = sum(isinstance(source, dict) and "path" in source for source in used)
        beside = f" Sources that are local files are not listed ({local})." if local else ""
        notes.append(f"Used: what this study loads.{beside}")
    return notes


def _revision(row: dict) -> str:
    revision = row["revision"]
    if revision == MOVING_REVISION:
        return f"{revision} (not pinned)"
    return revision[:COMMIT_LETTERS] if revision and re.fullmatch(r"[0-9a-f]{40}", revision) else shown(revision)


def table_6(registry: dict[str, dict], numbers: dict, *, used: Sequence[str | dict] | None = None) -> Table:
    """Table 6: the paper's resources in its order, then the sources that we need beyond it.

    registry  config/sources.yaml; `paper: true` marks the paper's rows
    numbers   `table_6` of config/paper_numbers.yaml
    used      sources of a study: names of the registry, or mappings with path, hub or url; None leaves the column out
    """
    printed = numbers["rows"]
    names = [*(name for name in registry if registry[name].get("paper")),
             *(name for name in registry if not registry[name].get("paper"))]  # fmt: skip
    of_paper = {
        name: printed[entry["resource"]]
        for name, entry in registry.items()
        if entry.get("paper") and entry.get("resource") in printed
    }
    by_place = {_place(registry[name]): {"resource": registry[name]["resource"], **of_paper[name]} for name in of_paper}
    rows = [_registry_row(name, registry[name], of_paper.get(name), by_place) for name in names]
    if used is not None:
        named = {source for source in used if isinstance(source, str)}
        rows = [{**row, "used": row["name"] in named} for row in rows] + _inline_rows(used, registry)

    def text(key: str):
        return lambda row: shown(row.get(key))

    columns = [
        Column("Resource", text("resource"), ("name", "resource"), right=False),
        Column("Licence", text("licence"), ("licence",), right=False),
        Column("Licence in the paper", text("paper_licence"), ("paper_licence",), right=False),
        Column("Application", text("application"), ("application",), right=False),
        Column("Agreement", text("agreement"), ("agreement",), right=False),
        Column("Revision", _revision, ("from", "revision", "other_revisions"), right=False),
        Column("Homepage", text("homepage"), ("homepage",), right=False),
    ]
    if used is not None:
        columns.append(Column("Used", lambda row: "yes" if row["used"] else "no", ("used",), right=False))
    return Table("Table 6: licences of the resources", tuple(columns), rows, notes=_notes(rows, printed, used))

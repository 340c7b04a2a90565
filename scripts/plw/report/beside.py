"""Another study's verdicts beside this one's: how many agree, and each claim on which the two differ."""

from collections.abc import Mapping, Sequence

from plw.report.claims import verdict_counts
from plw.report.tables import plain_table


def beside_view(rows: Sequence[dict], others: Sequence[dict], *, name: str, study: str) -> dict | None:
    """{study, shared, same, opposite, counts, table}; None where the two have no claim in common.

    rows, others  plw.report.claims.claim_rows of this study and of the other;  name, study  the names of the two

    Diagnostics are no claims about results. `opposite` are the claims that one supports and the other contradicts;
    `table` (None where nothing differs) has every claim with two verdicts.
    """
    there = {row["id"]: row for row in others if not row["diagnostic"]}
    shared = [row for row in rows if row["id"] in there and not row["diagnostic"]]
    if not shared:
        return None
    differ = [row for row in shared if row["verdict"] != there[row["id"]]["verdict"]]
    decided = {"supported", "contradicted"}
    lines = [
        [row["id"], row["text"], _said(row), _said(there[row["id"]])]
        for row in sorted(differ, key=lambda row: {row["verdict"], there[row["id"]]["verdict"]} != decided)
    ]
    return {
        "study": study,
        "shared": len(shared),
        "same": len(shared) - len(differ),
        "opposite": sum({row["verdict"], there[row["id"]]["verdict"]} == decided for row in differ),
        "counts": verdict_counts([there[row["id"]] for row in shared]),
        "table": plain_table(["claim", "the paper, in our words", name, study], lines) if lines else None,
    }


def _said(row: Mapping) -> str:
    return f"{row['mark']}\u00a0{row['verdict']}" + (f", {row['estimated']}" if row["estimated"] else "")

"""Verdicts on the paper's claims as the report shows them; the verdicts themselves are made elsewhere."""

from plw.errors import InputError
from plw.report.tables import shown_number

# A mark beside the word, so that no verdict hangs on colour alone.
VERDICTS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?"}


def claim_rows(result: dict | None) -> list[dict]:
    """Claims of a claims.json in its order, with every text that the page shows; [] for None.

    `computed` says what is computed for a claim, `reason` what came out.

    Raises InputError for a verdict that is none of VERDICTS.
    """
    rows = []
    for claim in (result or {}).get("claims", []):
        if claim["verdict"] not in VERDICTS:
            raise InputError(
                f"Claim {claim['id']} has an unknown verdict.",
                value=claim["verdict"],
                hint=f"Known verdicts: {', '.join(VERDICTS)}.",
            )
        rows.append(
            {
                "id": claim["id"],
                "place": claim.get("place", ""),
                "kind": claim.get("kind", ""),
                "text": claim["text"],
                "computed": claim.get("computed") or "",
                "verdict": claim["verdict"],
                "mark": VERDICTS[claim["verdict"]],
                "reason": claim.get("reason") or "",
                "partial": claim.get("partial") or "",
                "numbers": " · ".join(
                    f"{name}: {shown_number(value)}" for name, value in (claim.get("numbers") or {}).items()
                ),
            }
        )
    return rows


def verdict_counts(rows: list[dict]) -> list[dict]:
    """Number and share (per cent) of each verdict: [{verdict, mark, count, share}], all three always there."""
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
    return [
        {"verdict": verdict, "mark": VERDICTS[verdict], "count": count, "share": 100 * count / max(1, len(rows))}
        for verdict, count in counts.items()
    ]


def headline_rows(rows: list[dict], wanted: list[str]) -> list[dict]:
    """The claims of the paper's abstract and conclusion, in the order of `wanted`; unknown ids are passed over."""
    by_id = {row["id"]: row for row in rows}
    return [by_id[key] for key in wanted if key in by_id]

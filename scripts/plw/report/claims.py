"""Verdicts on the paper's claims as the report shows them; the verdicts themselves are made elsewhere."""

from plw.errors import InputError
from plw.report.tables import plain_table, shown_number

# A mark beside the word, so that no verdict hangs on colour alone.
VERDICTS = {"supported": "✓", "contradicted": "✗", "inconclusive": "?"}


def claim_rows(result: dict | None) -> list[dict]:
    """Claims of a claims.json in its order, with every text that the page shows; [] for None.

    `estimand` says what is computed for a claim, `estimated` and `reason` what came out, `rates` how often the rule
    errs here (`known_rates` as numbers).

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
                "family": claim.get("family") or "",
                "estimand": claim.get("estimand") or "",
                "estimated": estimate_text(claim),
                "rates": rates_text(claim),
                "known_rates": claim.get("rates") or {},
                "diagnostic": claim.get("calibration") == "diagnostic",
                "primary": bool(claim.get("primary")),
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


def estimate_text(claim: dict) -> str:
    """The estimate with its 95 % interval, '' where there is none."""
    if claim.get("estimate") is None:
        return ""
    text = shown_number(float(claim["estimate"]))
    if claim.get("interval"):
        text += f" (95 %: {' to '.join(shown_number(float(end)) for end in claim['interval'])})"
    return text


CERTAINTY = {  # of a verdict: which of its rule's rates says how far it can be relied on, and what that is
    "supported": ("false_supported", "such a study supports it wrongly in"),
    "contradicted": ("false_contradicted", "such a study contradicts it wrongly in"),
    "inconclusive": ("power", "if the paper is right, such a study supports it in"),
}


def certainty_texts(rows: list[dict]) -> list[str]:
    """How often verdicts like these are wrong, and how seldom open claims are decided; one text for each verdict."""
    texts = []
    for verdict, (rate, words) in CERTAINTY.items():
        known = [row for row in rows if row["verdict"] == verdict and row["known_rates"].get(rate) is not None]
        if known:
            shares = [f"{100 * row['known_rates'][rate]:.2g} % ({row['id']})" for row in known]
            texts.append(f"{words} {' and '.join(shares)}")
    return texts


def rates_text(claim: dict) -> str:
    """Both error rates of a claim's rule in studies of this design, in words, or that they are not known."""
    rates = claim.get("rates")
    if not rates:
        known = {"none": "error rates: not known (not calibrated)", "verdicts": "rests on other verdicts"}
        return known.get(claim.get("calibration", ""), "")
    said = []
    for name, about in (("false_supported", "supports wrongly"), ("false_contradicted", "contradicts wrongly")):
        if rates.get(name) is not None:
            said.append(f"{about} {100 * rates[name]:.1f} %")
    return ", ".join(said)


def yardstick_table(result: dict | None) -> dict | None:
    """The tally beside what studies of this design give in two known worlds, by family; None where nothing is known."""
    rows = (result or {}).get("yardstick") or []
    columns = ["family", "claims", "supported here", "without effects", "in the paper's world"]
    columns += ["contradicted here", "without effects", "in the paper's world"]
    counts = ("claims", "supported"), ("null_supported", "paper_supported")
    more = ("contradicted",), ("null_contradicted", "paper_contradicted")
    texts = [
        [
            row["family"],
            *(str(row[name]) for name in counts[0]),
            *(f"{row[name]:.1f}" for name in counts[1]),
            *(str(row[name]) for name in more[0]),
            *(f"{row[name]:.1f}" for name in more[1]),
        ]
        for row in rows
    ]
    return plain_table(columns, texts, right_from=1) if rows else None


def verdict_counts(rows: list[dict]) -> list[dict]:
    """Number and share (per cent) of each verdict: [{verdict, mark, count, share}], all three always there.

    Diagnostics are no claims about results and are not counted.
    """
    rows = [row for row in rows if not row["diagnostic"]]
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
    return [
        {"verdict": verdict, "mark": VERDICTS[verdict], "count": count, "share": 100 * count / max(1, len(rows))}
        for verdict, count in counts.items()
    ]


def families(rows: list[dict]) -> list[dict]:
    """Claims about results for the first screen, families together: [{family, claims}]."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if not row["diagnostic"]:
            found.setdefault(row["family"] or "claims", []).append(row)
    return [{"family": name, "claims": members} for name, members in found.items()]

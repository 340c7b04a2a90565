"""Reading the list of claims, and writing what was found as a record (claims.json)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from plw.claims.findings import SUPPORTED, VERDICTS, Finding
from plw.claims.judging import RULES, SYNTHESES
from plw.errors import InputError

KEYS = ("id", "place", "kind", "text", "estimand", "family", "calibration", "parameters", "needs")
CALIBRATIONS = ("worlds", "test", "exact", "verdicts", "none", "diagnostic")


def read_claims(path: str | Path) -> list[dict]:
    """The claims of a YAML file, each with the file's defaults among its parameters.

    Raises InputError for a claim without a rule, one that is given twice, or a missing key.
    """
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    claims = [
        {
            **claim,
            "needs": claim.get("needs") or {},
            "parameters": {**content["defaults"], **(claim.get("parameters") or {})},
        }
        for claim in content["claims"]
    ]
    for claim in claims:
        absent = [key for key in KEYS if key not in claim]
        if absent:
            raise InputError("A claim lacks keys.", value=absent, where=f"{path}, {claim.get('id')}")
        if claim["calibration"] not in CALIBRATIONS:
            raise InputError(
                "A claim has an unknown calibration.",
                value=claim["calibration"],
                where=f"{path}, {claim['id']}",
                hint=f"Known: {', '.join(CALIBRATIONS)}.",
            )
    twice = [name for name, times in Counter(claim["id"] for claim in claims).items() if times > 1]
    unknown = [claim["id"] for claim in claims if claim["id"] not in {*RULES, *SYNTHESES}]
    if twice or unknown:
        raise InputError("Claims are given twice or have no rule.", value=twice + unknown, where=str(path))
    return claims


def summary(claims: Sequence[Mapping], findings: Mapping[str, Finding]) -> dict[str, int]:
    """How many claims about results have each verdict; diagnostics are no such claims."""
    counts = Counter(findings[c["id"]].verdict for c in claims if c["calibration"] != "diagnostic")
    return {verdict: counts[verdict] for verdict in VERDICTS}


def yardstick(claims: Sequence[Mapping], findings: Mapping[str, Finding]) -> list[dict]:
    """Beside the tally, by family: how many verdicts studies of this design would give in the two known worlds.

    Of the claims with simulated rates: {family, claims, supported, contradicted, null_supported, null_contradicted,
    paper_supported, paper_contradicted}, the last four expected numbers.
    """
    rows: dict[str, dict] = {}
    for claim in claims:
        found = findings[claim["id"]]
        rates = found.more.get("rates") or {}
        if claim["calibration"] != "worlds" or "power" not in rates:
            continue
        names = ["claims", "supported", "contradicted"]
        names += ["null_supported", "null_contradicted", "paper_supported", "paper_contradicted"]
        row = rows.setdefault(claim["family"], {"family": claim["family"], **dict.fromkeys(names, 0)})
        row["claims"] += 1
        row["supported"] += found.verdict == SUPPORTED
        row["contradicted"] += found.verdict == "contradicted"
        row["null_supported"] += rates["false_supported"]
        row["null_contradicted"] += rates["refutes"]
        row["paper_supported"] += rates["power"]
        row["paper_contradicted"] += rates["false_contradicted"]
    return list(rows.values())


def claims_record(
    study: str,
    claims: Sequence[Mapping],
    findings: Mapping[str, Finding],
    *,
    noise: str = "",
    by_seed: Mapping[str, Mapping[str, str]] | None = None,
) -> dict:
    """The content of claims.json: each claim with its finding, the summary, its yardstick, and the noise in words.

    by_seed   seed -> claim -> verdict, of the study with that seed alone
    """
    rows = []
    for claim in claims:
        found = findings[claim["id"]]
        row = {key: claim[key] for key in ("id", "place", "kind", "text")} | {
            "verdict": found.verdict,
            "reason": found.reason,
            "numbers": found.numbers,
            "partial": found.partial,
            **found.more,
            "primary": bool(claim.get("primary")),
            "by_seed": {seed: verdicts[claim["id"]] for seed, verdicts in (by_seed or {}).items()},
        }
        if len(set(row["by_seed"].values())) > 1:
            said = ", ".join(f"{seed}: {verdict}" for seed, verdict in row["by_seed"].items())
            row["partial"] = " ".join(filter(None, [row["partial"], f"The verdict changes between seeds ({said})."]))
        rows.append(row)
    return {
        "study": study,
        "claims": rows,
        "summary": summary(claims, findings),
        "yardstick": yardstick(claims, findings),
        "noise": noise,
    }

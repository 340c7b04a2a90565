"""The first screen's answer: sentences out of the verdicts and the regressions, none more certain than they are."""

from collections.abc import Mapping, Sequence

from plw.report.claims import certainty_texts, verdict_counts
from plw.report.sources import source
from plw.report.statistics import p_is

# The regressions behind a claim's sentence, by the paper's data set that theirs takes the place of (§5.2).
REGRESSED = {"C01": ("AlpacaDataShort",), "C04": ("AlpacaData", "AlpacaDataCleaned")}


def answer_view(
    sentences: Mapping,
    *,
    record: Mapping | None,
    rows: list[dict],
    fits: Sequence[Mapping],
    study: Mapping,
    stand_ins: bool,
) -> dict:
    """{question, sentences: [{text, claims, evidence: [{text, source}]}]}, the tally last.

    sentences  config/paper_sentences.yaml: `question`, `answer`
    record     claims.json, None where no claim was judged;  rows  plw.report.claims.claim_rows of it
    fits       regression/DATASET.json;  stand_ins  models take the place of the paper's

    A study that decides no claim says that alone, and why it does not decide the first one.
    """
    by_id = {row["id"]: row for row in rows}
    decided = any(row["verdict"] != "inconclusive" and not row["diagnostic"] for row in rows)
    said = [_sentence(clauses, by_id, fits, study) for clauses in sentences.get("answer") or [] if decided]
    last = [_tally(record, rows, decided, stand_ins)]
    if not decided and rows:
        first = next((clauses[0]["claim"] for clauses in sentences.get("answer") or []), "")
        last += [f"The first of them, {row['id']}: {row['reason']}" for row in rows if row["id"] == first]
    plain = [{"text": text, "claims": [], "evidence": []} for text in last]
    return {"question": sentences.get("question", ""), "sentences": [*filter(None, said), *plain]}


def _sentence(clauses: Sequence[Mapping], by_id: Mapping, fits: Sequence[Mapping], study: Mapping) -> dict | None:
    texts, used, evidence = [], [], []
    for clause in clauses:
        claim, then = by_id.get(clause["claim"]), clause.get("then")
        if claim is None:
            continue
        text = clause[claim["verdict"]]
        used.append(claim)
        if claim["estimated"]:
            number = clause["number"].replace("{}", claim["estimated"])
            evidence.append({"text": number, "source": f"{claim['id']} in {source('claims')}"})
        if claim["verdict"] != "inconclusive" and claim["partial"]:
            evidence.append({"text": f"{claim['id']}: {claim['partial']}", "source": source("claims")})
        evidence += _tests(claim["id"], fits, study)
        if then and claim["verdict"] == "supported" and then["claim"] in by_id:
            used.append(by_id[then["claim"]])
            text += then[used[-1]["verdict"]]
        texts.append(text)
    if not used:
        return None
    joined = "; ".join(texts)
    evidence += [{"text": text, "source": source("claims")} for text in certainty_texts(used)]
    return {"text": f"{joined[0].upper()}{joined[1:]}.", "claims": used, "evidence": evidence}


def _tests(claim: str, fits: Sequence[Mapping], study: Mapping) -> list[dict]:
    """Table 3's test on each data set behind a claim; a fit that did not converge says so."""
    found = []
    for fit in fits:
        entry = study.get("datasets", {}).get(fit["dataset"], {})
        if entry.get("stands_for") in REGRESSED.get(claim, ()):
            trouble = "" if fit["converged"] else ", not converged"
            text = f"{p_is(fit['fit'].get('p'))} ({entry.get('label', fit['dataset'])}{trouble})"
            found.append({"text": text, "source": source("fits", dataset=fit["dataset"])})
    return found


def _tally(record: Mapping | None, rows: list[dict], decided: bool, stand_ins: bool) -> str:
    counts = {item["verdict"]: item["count"] for item in verdict_counts(rows)}
    judged = sum(counts.values())
    alone = " It speaks of its own small models, not of the paper's." if stand_ins else ""
    if not judged:
        return "No claim of the paper was judged in this study, so it gives no answer."
    if not decided:
        text = f"This study can decide none of the paper's {judged} claims"
        return f"{text}: what it measured speaks neither for nor against them."
    text = f"Of the paper's {judged} claims this study supports {counts['supported']}"
    text += f", contradicts {counts['contradicted']}"
    return f"{text} and leaves {counts['inconclusive']} undecided{_by_chance(record)}.{alone}"


def _by_chance(record: Mapping | None) -> str:
    """The verdicts that chance alone would give a study of this design; '' where that is not known."""
    families = (record or {}).get("yardstick") or []
    if not families:
        return ""
    names = ("claims", "supported", "null_supported", "paper_contradicted")
    claims, here, supported, contradicted = (sum(row[name] for row in families) for name in names)
    text = f"; chance alone would have it support {supported:.1f} and contradict {contradicted:.1f}"
    text += f" of the {claims} simulated"
    return text + (", so its support is no more than chance" if 0 < here <= supported else "")

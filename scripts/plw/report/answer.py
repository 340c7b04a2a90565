"""The first screen's answer: a few sentences out of the verdicts and the regressions, none more certain than they are."""

from collections.abc import Mapping, Sequence

from plw.report.claims import verdict_counts
from plw.report.sources import source
from plw.report.statistics import p_is

# The regressions behind a claim's sentence, by the paper's data set that theirs takes the place of (§5.2).
REGRESSED = {"C01": ("AlpacaDataShort",), "C04": ("AlpacaData", "AlpacaDataCleaned")}


def answer_view(
    sentences: Mapping,
    *,
    record: Mapping | None,
    rows: Sequence[Mapping],
    fits: Sequence[Mapping],
    study: Mapping,
    stand_ins: bool,
) -> dict:
    """{question, sentences: [{text, claims, evidence: [{text, source}]}]}; the tally comes last.

    sentences  config/paper_sentences.yaml: `question`, `answer`
    record     claims.json, None where no claim was judged;  rows  plw.report.claims.claim_rows of it
    fits       regression/DATASET.json;  stand_ins  models take the place of the paper's

    A study that decides no claim says that first, and nothing of what the sentences ask.
    """
    by_id = {row["id"]: row for row in rows}
    decided = any(row["verdict"] != "inconclusive" and not row["diagnostic"] for row in rows)
    entries = [entry for entry in sentences.get("answer") or [] if decided and entry["claim"] in by_id]
    said = [_sentence(entry, by_id, fits, study) for entry in entries]
    last = [{"text": text, "claims": [], "evidence": []} for text in _tally(record, rows, decided, stand_ins)]
    return {"question": sentences.get("question", ""), "sentences": said + last}


def _sentence(entry: Mapping, by_id: Mapping, fits: Sequence[Mapping], study: Mapping) -> dict:
    claim, then = by_id[entry["claim"]], entry.get("then")
    texts, used = [entry[claim["verdict"]]], [claim]
    if then and claim["verdict"] == "supported" and then["claim"] in by_id:
        used.append(by_id[then["claim"]])
        texts.append(then[used[-1]["verdict"]])
    evidence = [
        {"text": f"{row['id']} {row['estimated']}", "source": source("claims")} for row in used if row["estimated"]
    ]
    return {"text": " ".join(texts), "claims": used, "evidence": evidence + _tests(entry["claim"], fits, study)}


def _tests(claim: str, fits: Sequence[Mapping], study: Mapping) -> list[dict]:
    """Table 3's test on each data set behind a claim; a fit that did not converge says so."""
    found = []
    for fit in fits:
        entry = study.get("datasets", {}).get(fit["dataset"], {})
        if entry.get("stands_for") in REGRESSED.get(claim, ()):
            trouble = "" if fit["converged"] else ", not converged"
            text = f"mixed model of {entry.get('label', fit['dataset'])}: {p_is(fit['fit'].get('p'))}{trouble}"
            found.append({"text": text, "source": source("fits", dataset=fit["dataset"])})
    return found


def _tally(record: Mapping | None, rows: Sequence[Mapping], decided: bool, stand_ins: bool) -> list[str]:
    counts = {item["verdict"]: item["count"] for item in verdict_counts(list(rows))}
    judged = sum(counts.values())
    alone = " It speaks of its own small models, not of the paper's." if stand_ins else ""
    if not judged:
        return ["No claim of the paper was judged in this study, so it gives no answer."]
    if not decided:
        return [
            f"This study can decide none of the paper's {judged} claims: what it measured is no evidence for or against them.{alone}",
        ]
    text = f"Of the paper's {judged} claims it supports {counts['supported']}, contradicts {counts['contradicted']} and "
    return [f"{text}leaves {counts['inconclusive']} undecided{_by_chance(record)}.{alone}"]


def _by_chance(record: Mapping | None) -> str:
    """The verdicts that chance alone would give a study of this design; '' where that is not known."""
    families = (record or {}).get("yardstick") or []
    if not families:
        return ""
    supported, contradicted = (sum(row[name] for row in families) for name in ("null_supported", "paper_contradicted"))
    text = f"; by chance alone a study like it would support {supported:.1f} and contradict {contradicted:.1f} of them"
    here = sum(row["supported"] for row in families)
    return text + (", so what it supports is no more than chance" if 0 < here <= supported else "")

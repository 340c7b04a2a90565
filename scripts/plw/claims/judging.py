"""The paper's claims as data with rules, judged on what a study measured.

config/claims.yaml says what each claim is, what it needs and its thresholds; RULES names the function that judges it:
(evidence, parameters) -> Finding, with no side effects. A function raises Undecided where it cannot judge.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import yaml

from plw.claims import rules_comparisons as comparisons
from plw.claims import rules_datasets as datasets
from plw.claims import rules_loss as loss
from plw.claims import rules_mechanism as mechanism
from plw.claims import rules_regression as regression
from plw.claims import rules_regularizers as regularizers
from plw.claims import rules_shapes as shapes
from plw.claims.bootstrap import resampled_scores, with_uncertainty
from plw.claims.evidence import Evidence
from plw.claims.findings import INCONCLUSIVE, VERDICTS, Finding, Undecided, listed, plain
from plw.errors import InputError

Rule = Callable[[Evidence, Mapping], Finding]

RULES: dict[str, Rule] = {
    "C01": regression.significant,
    "C02": regression.downward,
    "C03": regression.critical,
    "C04": regression.not_rejected,
    "C05": regression.flags,
    "C06": regression.residuals,
    "C07": shapes.inverted_u,
    "C08": shapes.group_1_range,
    "C09": comparisons.tuned_short,
    "C10": shapes.long_generation_rises,
    "C11": shapes.multiple_choice_rises,
    "C12": comparisons.masking_worst,
    "C13": comparisons.long_generation_gain,
    "C14": comparisons.short_generation_gain,
    "C15": shapes.translation,
    "C16": shapes.no_trend,
    "C17": shapes.only_short,
    "C18": regression.overlaps,
    "C19": mechanism.rsd_jump,
    "C20": mechanism.rsd_falls,
    "C21": mechanism.rsd_halves,
    "C22": mechanism.rsd_alike,
    "C23": comparisons.small_weight_helps,
    "C24": shapes.decline_at_one,
    "C25": mechanism.weights_kept,
    "C26": mechanism.memorised,
    "C27": mechanism.memorised_less,
    "C28": mechanism.length_rises,
    "C29": mechanism.score_rises_more,
    "C30": regularizers.plw_wins,
    "C31": regularizers.strongest_on_group_1,
    "C32": regularizers.better_unmasked,
    "C33": datasets.inverted_elsewhere,
    "C34": datasets.weaker_elsewhere,
    "C35": datasets.gam_optimum,
    "C36": comparisons.successors_win,
    "C37": datasets.generation_wants_more,
    "C38": loss.masking,
    "C39": datasets.table_1,
    "C40": mechanism.mechanism,
}

KEYS = ("id", "place", "kind", "text", "computed", "parameters", "needs")
INPUTS = {  # name in `needs` -> what is said when it is absent
    "scores": "there are no scores",
    "mechanism": "the mechanism was not measured (no mechanism file)",
    "regressions": "there are no regressions",
    "gam": "there are no additive models (no gam file)",
    "statistics": "there are no statistics of data sets",
    "loss": "the loss was not tried (no file of its differences)",
}


def _absent(evidence: Evidence, name: str) -> bool:
    found = getattr(evidence, name)
    return found is None or len(found) == 0


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
    twice = [name for name, times in Counter(claim["id"] for claim in claims).items() if times > 1]
    unknown = [claim["id"] for claim in claims if claim["id"] not in RULES]
    if twice or unknown:
        raise InputError("Claims are given twice or have no rule.", value=twice + unknown, where=str(path))
    return claims


def lacking(evidence: Evidence, needs: Mapping) -> list[str]:
    """What a claim needs and the evidence does not have, each as a part of a sentence."""
    roles = {entry.get("stands_for") for entry in (*evidence.datasets, *evidence.ptlms)}
    groups = {entry.get("group") for entry in evidence.benchmarks}
    said = [INPUTS[name] for name in needs.get("inputs", []) if _absent(evidence, name)]
    nobody = [role for role in (*needs.get("datasets", []), *needs.get("ptlms", [])) if role not in roles]
    said += [f"nothing stands for {listed(nobody)}"] if nobody else []
    said += [f"there is no benchmark of group {group}" for group in needs.get("groups", []) if group not in groups]
    if evidence.runs is not None:
        made = {name for names in evidence.runs["experiments"] for name in names.split(";")}
        said += [f"experiment {name} was not run" for name in needs.get("experiments", []) if name not in made]
    return said


def judge(claim: Mapping, evidence: Evidence, *, resampled=None) -> Finding:
    """The finding on one claim; `resampled` scores (see claim_bootstrap) for those that ask for them."""
    said = lacking(evidence, claim["needs"])
    if said:
        text = "; ".join(said)
        return Finding(INCONCLUSIVE, f"{text[0].upper()}{text[1:]}.")
    rule, parameters = RULES[claim["id"]], claim["parameters"]
    try:
        finding = rule(evidence, parameters)
    except Undecided as undecided:
        return Finding(INCONCLUSIVE, undecided.reason, undecided.numbers)
    if not claim.get("bootstrap"):
        return finding
    if resampled is None:
        return replace(finding, reason=f"{finding.reason} A point estimate: there are no item scores.")
    return with_uncertainty(finding, rule, evidence, parameters, resampled)


def judge_all(claims: Sequence[Mapping], evidence: Evidence) -> dict[str, Finding]:
    """Findings of all claims, in their order; a claim that builds on others sees theirs, so those come before it."""
    settings = claims[0]["parameters"] if claims else {}
    resampled = None
    if any(claim.get("bootstrap") for claim in claims):
        resampled = resampled_scores(evidence, resamples=settings["resamples"], seed=settings["seed"])
    findings: dict[str, Finding] = {}
    for claim in claims:
        late = [name for name in claim["needs"].get("claims", []) if name not in findings]
        if late:
            raise InputError("A claim must come after those that it builds on.", value=late, where=claim["id"])
        finding = judge(claim, replace(evidence, findings=findings), resampled=resampled)
        findings[claim["id"]] = replace(finding, numbers=plain(finding.numbers))
    return findings


def summary(findings: Mapping[str, Finding]) -> dict[str, int]:
    """How many claims have each verdict."""
    counts = Counter(finding.verdict for finding in findings.values())
    return {verdict: counts[verdict] for verdict in VERDICTS}


def claims_record(study: str, claims: Sequence[Mapping], findings: Mapping[str, Finding]) -> dict:
    """The content of claims.json: each claim with its finding, and the summary."""
    rows = [
        {key: claim[key] for key in ("id", "place", "kind", "text", "computed")} | asdict(findings[claim["id"]])
        for claim in claims
    ]
    return {"study": study, "claims": rows, "summary": summary(findings)}

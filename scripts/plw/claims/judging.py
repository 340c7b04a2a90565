"""The paper's claims as data with rules, judged on what a study measured.

config/claims.yaml says what each claim is, what it needs and its thresholds; RULES names the function that measures it:
(evidence, parameters) -> Measured, with no side effects. A function raises Undecided where it cannot. The verdict is
plw.claims.verdicts', from the same function in simulated studies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from plw.claims import rules_comparisons as comparisons
from plw.claims import rules_datasets as datasets
from plw.claims import rules_mechanism as mechanism
from plw.claims import rules_regression as regression
from plw.claims import rules_regularizers as regularizers
from plw.claims import rules_shapes as shapes
from plw.claims.evidence import Evidence
from plw.claims.findings import INCONCLUSIVE, Finding, Measured, Undecided, listed, plain
from plw.claims.simulation.studies import Studies, simulate
from plw.claims.verdicts import (
    Sample,
    fields,
    verdict_by_test,
    verdict_by_worlds,
    verdict_exact,
    verdict_uncalibrated,
    with_familywise_control,
)
from plw.errors import InputError

Rule = Callable[[Evidence, Mapping], Measured]

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
    "C29": shapes.score_rises_more,
    "C30": regularizers.plw_wins,
    "C31": regularizers.strongest_on_group_1,
    "C32": regularizers.better_unmasked,
    "C33": datasets.inverted_elsewhere,
    "C34": datasets.weaker_elsewhere,
    "C35": datasets.gam_optimum,
    "C36": comparisons.successors_win,
    "C37": datasets.generation_wants_more,
    "C38": datasets.masking,
    "C39": datasets.table_1,
}
SYNTHESES: dict[str, Callable[[Evidence, Mapping], Finding]] = {"C40": mechanism.mechanism}

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


def measure(claim: Mapping, evidence: Evidence) -> Measured:
    """What the rule of a claim computes. Raises Undecided where something is missing or too small."""
    said = lacking(evidence, claim["needs"])
    if said:
        text = "; ".join(said)
        raise Undecided(f"{text[0].upper()}{text[1:]}.")
    return RULES[claim["id"]](evidence, claim["parameters"])


def sample_of(claim: Mapping, studies: Studies) -> Sample:
    """The rule of a claim in all simulated studies."""
    rule, parameters = RULES[claim["id"]], claim["parameters"]
    equal = claim.get("levels") == "equal"
    effects = "margin" if claim.get("against") == "margin" else None
    truth = "paper" if effects is None else None  # a claim of no effect is true where there is none
    return Sample(
        *(
            rule(evidence, parameters)
            for evidence in (
                studies.world(effects, equal=equal),
                studies.world(truth, equal=equal),
                studies.own(),
                studies.world(effects, equal=equal, more=True),
                studies.world(truth, equal=equal, more=True),
            )
        )
    )


def judge(claim: Mapping, evidence: Evidence, studies: Studies | None = None) -> Finding:
    """The finding on one claim; claims that are calibrated by simulation need the simulated studies."""
    if claim["id"] in SYNTHESES:
        finding = SYNTHESES[claim["id"]](evidence, claim["parameters"])
        return replace(finding, more=fields(claim, None))
    try:
        measured = measure(claim, evidence)
        if claim["calibration"] == "worlds":
            assert studies is not None
            return verdict_by_worlds(claim, measured, sample_of(claim, studies))
    except Undecided as undecided:
        return Finding(INCONCLUSIVE, undecided.reason, undecided.numbers, None, fields(claim, None))
    by = {"test": verdict_by_test, "none": verdict_uncalibrated, "exact": verdict_exact, "diagnostic": verdict_exact}
    return by[claim["calibration"]](claim, measured)


def judge_all(claims: Sequence[Mapping], evidence: Evidence, worlds: Mapping) -> dict[str, Finding]:
    """Findings of all claims, in their order; a claim that builds on others sees theirs, so those come before it.

    worlds   the content of config/paper_worlds.yaml
    """
    settings = claims[0]["parameters"]
    studies = simulate(evidence, worlds, number=settings["simulated"], seed=settings["seed"])
    findings: dict[str, Finding] = {}
    for claim in claims:
        late = [name for name in claim["needs"].get("claims", []) if name not in findings]
        if late:
            raise InputError("A claim must come after those that it builds on.", value=late, where=claim["id"])
        findings[claim["id"]] = judge(claim, replace(evidence, findings=findings), studies)
        if claim.get("primary") and all(c["id"] in findings for c in claims if c.get("primary")):
            primary = [c["id"] for c in claims if c.get("primary")]
            findings |= with_familywise_control({name: findings[name] for name in primary})
    return {
        name: replace(found, numbers=plain(found.numbers), more=plain(found.more)) for name, found in findings.items()
    }

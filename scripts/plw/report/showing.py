"""What a study can and cannot show: whether its scores could move at all (docs/demo.md; the targets are ours).

A benchmark that every run solves, a judge that guesses or models that recite nothing make panels without information.
Each rule has a target, the value of this study, and whether it is met; a rule without material says what is missing.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from plw.errors import InputError
from plw.report.tables import plain_table, shown_number
from plw.scores.scale import constant_groups

TARGETS = ("above_floor", "ceiling", "benchmarks_share", "memorised_bleu", "judge_both_orders", "r_g_tolerance")


def check_showing(
    *,
    scores: pd.DataFrame,
    targets: Mapping,
    memorised: pd.DataFrame | None = None,
    before: pd.DataFrame | None = None,
    ptlms: Sequence[str] = (),
    judge: Mapping | None = None,
    ratios: Mapping[str, float] | None = None,
    printed_ratios: Mapping[str, float] | None = None,
) -> dict:
    """The rules of docs/demo.md on a finished study's numbers: {rules, benchmarks}.

    scores          primary scores of the main experiment's runs: ptlm, dataset, benchmark, score (0 to 1), stderr
    targets         config/showing.yaml: floors by benchmark, and TARGETS
    memorised       rows of memorisation_bleu (0 to 100) of the main experiment: ptlm, value; None: not measured
    before          primary scores of the ptlms before fine-tuning: ptlm, benchmark, score; None: not measured
    ptlms           the weaker and the stronger ptlm, where the study says that one is
    judge           held-out accuracies of judge.json by prompt form: {accuracy_both_orders}; None: none trained here
    ratios          R_g by the paper's data set that ours stands for;  printed_ratios  the paper's, by the same names

    A rule is {rule, target, value, met: true, false or null, about: what is missing or which fall short}; a benchmark
    is {benchmark, floor, mean, sd, stderr, constant, before}. Raises InputError for a target that is missing.
    """
    absent = [name for name in ("floors", *TARGETS) if name not in targets]
    if absent:
        raise InputError("Targets are missing.", value=absent, where="config/showing.yaml")
    benchmarks = [_benchmark(name, rows, targets, before) for name, rows in scores.groupby("benchmark", sort=False)]
    least = math.ceil(targets["benchmarks_share"] * len(benchmarks) - 1e-9)
    rules = [
        _constant(benchmarks),
        _between(benchmarks, targets),
        _spread(benchmarks, least),
        _stronger(benchmarks, ptlms, least),
        _recited(memorised, targets["memorised_bleu"]),
        _judged(judge, targets["judge_both_orders"]),
        _ratios(ratios or {}, printed_ratios or {}, targets["r_g_tolerance"]),
    ]
    return {"rules": rules, "benchmarks": benchmarks}


def _benchmark(name: str, rows: pd.DataFrame, targets: Mapping, before: pd.DataFrame | None) -> dict:
    errors = rows["stderr"].astype(float).dropna()
    ptlms = {} if before is None else before[before["benchmark"] == name].set_index("ptlm")["score"].to_dict()
    return {
        "benchmark": name,
        "floor": targets["floors"].get(name, 0.0),
        "mean": float(rows["score"].mean()),
        "sd": float(rows["score"].std(ddof=1)) if len(rows) > 1 else 0.0,
        "stderr": math.sqrt(float((errors**2).mean())) if len(errors) else None,
        "constant": bool(constant_groups(rows, "dataset")),
        "before": {ptlm: float(score) for ptlm, score in ptlms.items()},
    }


def _rule(rule: str, target: str, value: str, met: bool | None, about: str = "") -> dict:
    return {"rule": rule, "target": target, "value": value, "met": met, "about": about}


def _counted(rule: str, target: str, benchmarks: Sequence[dict], failing: list[str], least: int, verb: str) -> dict:
    met = len(benchmarks) - len(failing)
    about = f"{verb}: {', '.join(failing)}" if failing else ""
    return _rule(rule, target, f"{met} of {len(benchmarks)}", met >= least, about)


def _constant(benchmarks: list[dict]) -> dict:
    failing = [b["benchmark"] for b in benchmarks if b["constant"]]
    target = "two values or more in each data set, on all benchmarks"
    return _counted("No benchmark is constant", target, benchmarks, failing, len(benchmarks), "constant in a data set")


def _between(benchmarks: list[dict], targets: Mapping) -> dict:
    margin, ceiling = targets["above_floor"], targets["ceiling"]
    failing = [
        f"{b['benchmark']} ({b['mean']:.2f})" for b in benchmarks if not b["floor"] + margin <= b["mean"] <= ceiling
    ]
    rule = "No benchmark at its floor or ceiling"
    target = f"mean from floor + {margin:g} to {ceiling:g}, on all benchmarks"
    return _counted(rule, target, benchmarks, failing, len(benchmarks), "outside")


def _spread(benchmarks: list[dict], least: int) -> dict:
    failing = [b["benchmark"] for b in benchmarks if b["stderr"] is None or b["sd"] <= b["stderr"]]
    target = f"standard deviation between runs above the items' standard error on at least {least} of {len(benchmarks)}"
    return _counted("Runs differ by more than items' luck", target, benchmarks, failing, least, "not above")


def _stronger(benchmarks: list[dict], ptlms: Sequence[str], least: int) -> dict:
    rule = "Before fine-tuning the strong ptlm is stronger"
    if len(ptlms) != 2 or not any(b["before"] for b in benchmarks):
        return _rule(rule, "–", "–", None, "the ptlms themselves were not measured before fine-tuning")
    weak, strong = ptlms
    failing = [
        f"{b['benchmark']} ({shown_number(b['before'].get(weak))} and {shown_number(b['before'].get(strong))})"
        for b in benchmarks
        if not b["before"].get(strong, -1.0) > b["before"].get(weak, math.inf)
    ]
    target = f"{strong} above {weak} on at least {least} of {len(benchmarks)}"
    return _counted(rule, target, benchmarks, failing, least, "not above")


def _recited(memorised: pd.DataFrame | None, least: float) -> dict:
    rule, target = "Training rows are recited", f"corpus BLEU of at least {least:g} at some PLW, by each ptlm"
    if memorised is None or memorised.empty:
        return _rule(rule, target, "–", None, "memorisation was not measured")
    best = memorised.groupby("ptlm", sort=False)["value"].max()
    return _rule(
        rule, target, "; ".join(f"{ptlm} {value:.1f}" for ptlm, value in best.items()), bool(best.min() >= least)
    )


def _judged(judge: Mapping | None, least: float) -> dict:
    rule, target = "The judge compares", f"right in both orders on at least {least:.0%} of held-out pairs, in each form"
    if not judge:
        return _rule(rule, target, "–", None, "the judge was not trained by this workflow")
    shares = {form: float(found["accuracy_both_orders"]) for form, found in judge.items()}
    return _rule(rule, target, "; ".join(f"{form} {share:.0%}" for form, share in shares.items()),
                 min(shares.values()) >= least)  # fmt: skip


def _ratios(ratios: Mapping[str, float], printed: Mapping[str, float], tolerance: float) -> dict:
    rule, known = "Ratios as the paper's", {role: r_g for role, r_g in ratios.items() if role in printed}
    target = f"within {tolerance:.0%} of Table 1"
    if not known:
        return _rule(rule, target, "–", None, "no data set stands for one of the paper's")
    met = all(abs(r_g / printed[role] - 1) <= tolerance for role, r_g in known.items())
    return _rule(
        rule, target, "; ".join(f"{role} {r_g:.3g} (paper {printed[role]:g})" for role, r_g in known.items()), met
    )


def showing_view(showing: Mapping | None, labels: Mapping[str, str]) -> dict | None:
    """The report's two tables, counts of rules met and not met, names of the latter; None if nothing was checked.

    labels  of benchmarks
    """
    if not showing:
        return None
    words = {True: "met", False: "not met", None: "cannot be said"}
    rules = [[r["rule"], r["target"], r["value"], words[r["met"]], r["about"]] for r in showing["rules"]]
    ptlms = list(dict.fromkeys(ptlm for b in showing["benchmarks"] for ptlm in b["before"]))
    rows = [
        [
            labels.get(b["benchmark"], b["benchmark"]),
            *(shown_number(b[key]) for key in ("floor", "mean", "sd", "stderr")),
            *(shown_number(b["before"].get(ptlm)) for ptlm in ptlms),
        ]
        for b in showing["benchmarks"]
    ]
    columns = ["benchmark", "floor", "mean", "SD between runs", "items' standard error"]
    return {
        "rules": plain_table(["rule", "target", "this study", "outcome", "which fall short"], rules),
        "benchmarks": plain_table([*columns, *(f"{ptlm} before fine-tuning" for ptlm in ptlms)], rows, right_from=1),
        "met": sum(r["met"] is True for r in showing["rules"]),
        "not_met": sum(r["met"] is False for r in showing["rules"]),
        "failing": [r["rule"] for r in showing["rules"] if r["met"] is False],
    }

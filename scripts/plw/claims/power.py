"""What a study's design could decide of each claim, before anything trains.

Where the study (or one of the same design) is finished, its measured noise is used. Else a score has the sampling
variance of its benchmark's items about one half, a measure of the mechanism a tenth of its value: with no runs there is
nothing better to go by, and runs differ by more than their items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plw.claims.evidence import Evidence
from plw.claims.findings import Undecided
from plw.claims.judging import measure, sample_of
from plw.claims.simulation.noise import KNOWN, LOG_SD, RHO, Noise
from plw.claims.simulation.studies import simulate
from plw.claims.simulation.worlds import MEASURES
from plw.claims.verdicts import Rates, percent, rates_of
from plw.study.runs import Run, benchmarks_of

LEVEL = {
    "rsd": 0.1,
    "weight_distance": 100.0,
    "memorisation_bleu": 50.0,
    "generation_tokens": 100.0,
}  # only changes count


@dataclass(frozen=True)
class Power:
    """What a design can do with one claim. rates is None where it can't be judged or simulated; `why` says so."""

    claim: str
    text: str
    rates: Rates | None
    why: str = ""


def items_of(entry: Mapping) -> int:
    """Items that a benchmark is scored on: its limit where that is smaller."""
    items = int((entry.get("cost") or {}).get("items") or 100)
    return min(items, int(entry["limit"])) if entry.get("limit") else items


def planned_evidence(study: dict, runs: Sequence[Run], numbers: Mapping) -> tuple[Evidence, Noise]:
    """A study as it would look in a world without effects, and the noise that is assumed of it.

    study   the resolved configuration; runs: its run table; numbers: config/paper_numbers.yaml
    """
    names = study["evaluation"]["benchmarks"]
    items = {name: items_of(study["benchmarks"][name]) for name in names}
    table = [
        {
            name: getattr(run, name)
            for name in ("run", "ptlm", "dataset", "plw", "normalization", "regularizer", "strength")
        }
        | {"seed": str(run.seed), "experiments": ";".join(run.experiments)}
        for run in runs
    ]
    frame = pd.DataFrame(table)
    rows = [
        {**row, "benchmark": name, "n": items[name], "stderr": 0.5 / items[name] ** 0.5}
        for row, run in zip(table, runs, strict=True)
        for name in benchmarks_of(run, study)
    ]
    scores = pd.DataFrame(rows).drop(columns="experiments")
    sd = scores["stderr"].to_numpy()
    rng = np.random.default_rng(1)
    scores["score"] = np.clip(0.5 + sd * rng.standard_normal(len(scores)), 0.01, 0.99)
    mechanism = None
    if "mechanism" in study:
        told = frame.drop(columns="experiments")
        mechanism = pd.concat([told.assign(measure=name, value=LEVEL[name]) for name in MEASURES], ignore_index=True)
    printed = numbers["table_3"]["rows"]
    regressions = {
        role: {
            "converged": True,
            "fit": {"coefficients": {name: {"estimate": row[name]} for name in ("w_p", "w_p2", "intercept")}},
        }
        for role, row in printed.items()
    }

    def described(registry: str, column: str) -> list[dict]:
        keys = ("label", "stands_for", "parameters")
        known = study[registry]
        return [
            {"name": name} | {key: known[name][key] for key in keys if key in known[name]}
            for name in frame[column].unique()
        ]

    evidence = Evidence(
        scores=scores,
        benchmarks=[{"name": name, **study["benchmarks"][name]} for name in names],
        datasets=described("datasets", "dataset"),
        ptlms=described("ptlms", "ptlm"),
        numbers=dict(numbers),
        runs=frame,
        mechanism=mechanism,
        regressions=regressions,
    )
    noise = Noise(
        sd=sd,
        step=np.zeros(len(scores)),
        shared=0.0,
        rho=RHO,
        measured=False,
        log_sd=dict.fromkeys(MEASURES, LOG_SD),
        seeds=1,
        free=np.full(len(scores), KNOWN),
        log_free=dict.fromkeys(MEASURES, KNOWN),
        source=np.arange(len(scores)),
    )
    return evidence, noise


def power_of(claims: Sequence[Mapping], evidence: Evidence, noise: Noise | None, worlds: Mapping) -> list[Power]:
    """Each claim's rates under this design. noise: what is assumed; None: what the evidence has."""
    settings = claims[0]["parameters"]
    studies = simulate(evidence, worlds, number=settings["simulated"], seed=settings["seed"])
    if noise is not None:
        studies = studies.with_noise(noise)
    found = []
    for claim in claims:
        if claim["calibration"] != "worlds":
            if claim["calibration"] != "diagnostic":
                found.append(Power(claim["id"], claim["text"].strip(), None, "not simulated"))
            continue
        try:
            rates = rates_of(measure(claim, evidence), sample_of(claim, studies))
            found.append(Power(claim["id"], claim["text"].strip(), rates))
        except Undecided as undecided:
            found.append(Power(claim["id"], claim["text"].strip(), None, undecided.reason))
    return found


def power_text(name: str, found: Sequence[Power], noise: Noise, *, measured: bool) -> str:
    """The rates as a table for a terminal, and how many claims the design can decide."""
    source = (
        noise.words()
        if measured
        else (
            "noise assumed: each benchmark's items about one half, a tenth of each measure; "
            "a finished study's is measured"
        )
    )
    lines = [
        f"What study {name} could decide ({source}).",
        "Supported: share of the paper's worlds; contradicted: of worlds in which the claim is false;",
        "then the same with two more seeds.",
        "",
        f"{'claim':6}{'supported':>10}{'contradicted':>14}{'  with 2 more seeds':22}",
    ]
    able = []
    for row in found:
        if row.rates is None:
            lines.append(f"{row.claim:6}{'–':>10}{'–':>14}  {row.why}")
            continue
        r = row.rates
        lines.append(
            f"{row.claim:6}{percent(r.power):>10}{percent(r.refutes):>14}{percent(r.more_power):>11}"
            f"{percent(r.more_refutes):>9}  {row.text[:70]}"
        )
        able.append((max(r.power, r.refutes) >= 0.8, max(r.more_power, r.more_refutes) >= 0.8))
    now, later = (sum(pair[place] for pair in able) for place in (0, 1))
    lines += [
        "",
        f"{now} of {len(able)} claims could be decided one way or the other in 80 % of studies; with two more seeds"
        f" {later}.",
    ]
    return "\n".join(lines)

"""Verdicts of a study with one of its seeds alone, because a verdict that hangs on the seed must be said to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from plw.claims.evidence import Evidence
from plw.claims.judging import judge_all
from plw.claims.simulation.noise import CELL

SIMULATED = 200  # studies in each world for one seed: half of the whole study's, for the time


def seeds_of(evidence: Evidence) -> list[str]:
    """Seeds that several runs of one cell differ by, in order; [] where no cell has two."""
    runs = evidence.scores.drop_duplicates("run")
    sizes = runs.groupby([*CELL, "plw"], dropna=False)["seed"].transform("nunique")
    return sorted(set(runs.loc[sizes > 1, "seed"].astype(str)), key=lambda seed: (len(seed), seed))


def _of_seed(frame: pd.DataFrame, seed: str) -> pd.DataFrame:
    """Rows of one seed; a cell that lacks it keeps all of its rows."""
    own = frame["seed"].astype(str) == seed
    has = own.groupby([frame[name] for name in (*CELL, "plw")], dropna=False).transform("any")
    return frame[own | ~has].reset_index(drop=True)


def with_seed(evidence: Evidence, seed: str) -> Evidence:
    """The evidence of one seed. Regressions stay those of the whole study."""
    runs, mechanism = evidence.runs, evidence.mechanism
    return replace(
        evidence,
        scores=_of_seed(evidence.scores, seed),
        runs=None if runs is None else _of_seed(runs, seed),
        mechanism=None if mechanism is None else _of_seed(mechanism, seed),
        memory={},
    )


def verdicts_by_seed(
    claims: Sequence[Mapping], evidence: Evidence, worlds: Mapping, *, simulated: int = SIMULATED
) -> dict[str, dict[str, str]]:
    """seed -> claim -> verdict; {} where no cell has two seeds."""
    fewer = [
        {**claim, "parameters": {**claim["parameters"], "simulated": min(simulated, claim["parameters"]["simulated"])}}
        for claim in claims
    ]
    return {
        seed: {name: found.verdict for name, found in judge_all(fewer, with_seed(evidence, seed), worlds).items()}
        for seed in seeds_of(evidence)
    }

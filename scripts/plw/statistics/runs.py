"""The complete runs of one data set as arrays: their aggregates, and the parabola in w_p that tests look for (§5.2)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plw.scores.scale import min_max
from plw.scores.table import add_w_p
from plw.study.runs import RUN_COLUMNS


@dataclass(frozen=True)
class Runs:
    """The runs of one data set that have all its benchmarks.

    table   one row per run: RUN_COLUMNS and w_p
    scores  runs × benchmarks, 0 to 1; benchmarks: names of the columns
    left_out  runs that lack benchmarks: the mean over others cannot be compared
    """

    table: pd.DataFrame
    scores: np.ndarray
    benchmarks: list[str]
    left_out: list[str]

    @property
    def blocks(self) -> np.ndarray:
        """Number of each run's ptlm and seed: within these, runs differ in their PLW alone."""
        return self.table.groupby(["ptlm", "seed"], sort=True).ngroup().to_numpy()


def complete_runs(frame: pd.DataFrame) -> Runs:
    """Runs × benchmarks of one data set's primary scores."""
    wide = frame.pivot(index="run", columns="benchmark", values="score")[list(dict.fromkeys(frame["benchmark"]))]
    order = ["ptlm", "seed", "plw"]
    table = add_w_p(frame.drop_duplicates("run")[RUN_COLUMNS]).sort_values(order, kind="stable").reset_index(drop=True)
    whole = wide.notna().all(axis=1)
    kept = table[table["run"].map(whole)].reset_index(drop=True)
    left_out = table.loc[~table["run"].map(whole), "run"].tolist()
    return Runs(kept, wide.loc[kept["run"]].to_numpy(float), list(wide.columns), left_out)


def relative_aggregate(scores: np.ndarray) -> np.ndarray:
    """Mean over benchmarks of the scores that are min-max scaled over the runs (axis −2); 0.5 where all are equal.

    scores  … × runs × benchmarks; returns … × runs
    """
    return min_max(scores, axis=-2).mean(axis=-1)


def centred(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Values (… × runs) less the mean of each run's block: what a factor of the blocks leaves."""
    member = (blocks[:, None] == np.unique(blocks)).astype(float)
    return values - (values @ (member / member.sum(axis=0))) @ member.T


def parabola_columns(runs: Runs) -> np.ndarray:
    """w_p and w_p² of the runs, block means removed: runs × 2."""
    w = runs.table["w_p"].to_numpy()
    return centred(np.stack([w, w**2]), runs.blocks).T


def why_no_parabola(runs: Runs) -> str | None:
    """Why the runs carry no parabola beside the block means; None if they do."""
    if not len(runs.table):
        return "no run has all benchmarks"
    basis = parabola_columns(runs)
    if np.linalg.matrix_rank(basis, tol=1e-9) < 2:
        return f"a parabola needs three different PLWs; the complete runs have {runs.table['plw'].nunique()}"
    if len(basis) <= 2 + len(np.unique(runs.blocks)):
        return f"{len(basis)} complete runs leave nothing to judge the parabola by"
    return None


def parabola_basis(w_p: np.ndarray) -> np.ndarray:
    """Orthonormal contrasts of slope and bend at these places: places × 2, each column of sum 0 and length 1."""
    return np.linalg.qr(np.column_stack([np.ones_like(w_p), w_p, w_p**2]))[0][:, 1:]


def parabola(runs: Runs, aggregates: np.ndarray) -> dict[str, np.ndarray]:
    """Least squares parabolas of relative aggregates (draws × runs): b1, b2, vertex_w_p and best_w_p, one per draw.

    best_w_p is where the parabola is largest in [0, 1]: the vertex, or a border where there is no maximum inside.
    """
    slopes = centred(aggregates, runs.blocks) @ np.linalg.pinv(parabola_columns(runs)).T
    b1, b2 = slopes[:, 0], slopes[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = -b1 / (2 * b2)
    inside = (b2 < 0) & (vertex > 0) & (vertex < 1)
    best = np.where(inside, vertex, (b1 + b2 > 0).astype(float))
    return {"b1": b1, "b2": b2, "vertex_w_p": vertex, "inside": inside, "best_w_p": best}

"""How much scores and measures of runs vary by chance, estimated from a study.

A chain is all runs that differ in PLW alone. They share a seed, so luck is smooth along w_p: neighbours on the grid of
PLWs have the correlation `rho`, as in an AR(1) process. Where cells have several seeds, the noise is what seeds differ
by; where they have one, it is what is left of a chain after a cubic in w_p with a step at PLW 0, which is too much
where the true curve is none, so that verdicts err on the side of caution. The variance of a benchmark on a data set is
drawn towards that of all benchmarks, in units of the items' sampling variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plw.claims.measures import transformed
from plw.scores.scale import is_constant

RHO = (
    0.55  # between neighbours on the grid of PLWs; differences between three seeds of the demo study (docs/verdicts.md)
)
PRIOR = 5.0  # degrees of freedom that the pooled variance counts for, beside a benchmark's own
LOG_SD = 0.1  # of a mechanism measure where chains are too short to tell: a tenth of its value
CELL = ["ptlm", "dataset", "normalization", "regularizer", "strength"]


@dataclass(frozen=True)
class Noise:
    """Chance in a study's scores and measures.

    sd        of each row of the scores, float [rows], on the scale of scores; 0 where a benchmark is constant
    step      smallest difference that a row's score can have (one item), 0 where it is continuous, float [rows]
    shared    correlation of the noise between benchmarks of a run
    rho       correlation of neighbouring PLWs; measured: whether this study's seeds gave it
    log_sd    measure of the mechanism -> SD of its logarithm
    seeds     seeds per cell that the noise was estimated from (1: from what is left of a smooth curve)
    """

    sd: np.ndarray
    step: np.ndarray
    shared: float
    rho: float
    measured: bool
    log_sd: dict[str, float]
    seeds: int

    def words(self) -> str:
        """Where the noise comes from, in a sentence."""
        if self.seeds > 1:
            source = f"noise from differences between {self.seeds} seeds"
        else:
            source = "noise from what is left of each sweep over PLW after a smooth curve (one seed)"
        said = "measured" if self.measured else "taken from the demo study's seeds"
        along = f"correlation {self.rho:.2f} between neighbouring PLWs ({said})"
        return f"{source}, {along}, {self.shared:.2f} between benchmarks"


def chain_correlation(length: int, rho: float) -> np.ndarray:
    """AR(1) correlation matrix of a chain."""
    place = np.arange(length)
    return rho ** np.abs(place[:, None] - place[None, :])


def smooth_design(plws: Sequence[float]) -> np.ndarray | None:
    """Columns of the smooth curve through a chain; None where it is too short to leave anything over."""
    if len(plws) < 6:
        return None
    w = transformed(plws)
    columns = [np.ones_like(w), w, w * w]
    columns += [w**3] if len(plws) >= 8 else []
    columns += [(w == 0).astype(float)] if (w == 0).any() else []
    return np.column_stack(columns)


def chains(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs (RUN_COLUMNS) in chains, each in the order of PLW."""
    number = runs.groupby([*CELL, "seed"], sort=True, dropna=False).ngroup().to_numpy()
    order = np.lexsort((runs["plw"].to_numpy(dtype=float), number))
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    return [runs.iloc[part] for part in np.split(order, cuts)]


def table_of(frame: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Values by run and column (benchmark or measure); runs of one name are averaged."""
    return frame.pivot_table(index="run", columns=column, values=value, aggfunc="mean")


@dataclass(frozen=True)
class Residuals:
    """What is left of runs after their curves: values [runs, columns], the data set of each, and degrees of freedom.

    weight  degrees of freedom a run's residual counts for under the assumed correlation (so that Σ r² / Σ weight is
            the variance); free: those that it has in all
    """

    values: np.ndarray
    dataset: np.ndarray
    weight: np.ndarray
    free: np.ndarray
    seeds: int
    rho: float | None = None


def _between_seeds(runs: pd.DataFrame, table: pd.DataFrame) -> Residuals | None:
    """Deviations of seeds from the mean of their cell, where a cell has several."""
    runs = runs[runs["run"].isin(table.index)]
    sizes = runs.groupby([*CELL, "plw"], dropna=False)["run"].transform("size")
    several = runs[sizes > 1].assign(size=sizes[sizes > 1])
    if several.empty:
        return None
    values = table.loc[several["run"]]
    keys = [several[name].to_numpy() for name in (*CELL, "plw")]
    away = values - values.groupby(keys, dropna=False).transform("mean")
    share = (several["size"] - 1).to_numpy() / several["size"].to_numpy()
    above, below, pairs = 0.0, 0.0, 0
    scaled = away / away.std().replace(0, np.nan)
    for chain in chains(several):
        part = np.nan_to_num(scaled.loc[chain["run"]].to_numpy(dtype=float))
        above += float((part[1:] * part[:-1]).sum()) / max(1, len(part) - 1) * len(part)
        below += float((part**2).sum())
        pairs += len(part) - 1
    rho = float(np.clip(above / below, 0, 0.95)) if pairs >= 9 and below > 0 else None
    return Residuals(
        away.to_numpy(dtype=float), several["dataset"].to_numpy(), share, share, int(several["size"].max()), rho
    )


def _around_curves(runs: pd.DataFrame, table: pd.DataFrame, rho: float) -> Residuals | None:
    values, names, weight, free = [], [], [], []
    for chain in chains(runs[runs["run"].isin(table.index)]):
        design = smooth_design(chain["plw"].tolist())
        if design is None:
            continue
        y = table.loc[chain["run"]].to_numpy(dtype=float)
        maker = np.eye(len(y)) - design @ np.linalg.pinv(design)
        values.append(maker @ y)
        names += chain["dataset"].tolist()
        weight += [np.trace(maker @ chain_correlation(len(y), rho)) / len(y)] * len(y)
        free += [np.trace(maker) / len(y)] * len(y)
    if not values:
        return None
    return Residuals(np.concatenate(values), np.array(names), np.array(weight), np.array(free), 1)


def residuals(runs: pd.DataFrame, table: pd.DataFrame, *, rho: float = RHO) -> Residuals | None:
    """What chance did: between seeds where there are several, else around curves; None where neither can be had."""
    return _between_seeds(runs, table) or _around_curves(runs, table, rho)


def _steps(scores: pd.DataFrame) -> dict[str, float]:
    """Benchmark -> the smallest step of its score: one item or half of one; 0 where it is continuous or unknown."""
    found = {}
    for name, part in scores.groupby("benchmark", sort=True):
        items = part["n"].dropna().unique() if "n" in part else []
        found[name] = 0.0
        if len(items) == 1 and items[0] > 0:
            for count in (items[0], 2 * items[0]):
                if np.allclose(part["score"] * count, np.round(part["score"] * count), atol=1e-6):
                    found[name] = 1 / count
                    break
    return found


def _units(scores: pd.DataFrame) -> pd.Series:
    """Sampling variance of the items for each data set and benchmark: from standard errors, else p (1 − p) / n."""
    frame = scores.assign(unit=np.nan)
    if "stderr" in frame:
        frame["unit"] = frame["stderr"].where(frame["stderr"] > 0) ** 2
    if "n" in frame:
        frame["unit"] = frame["unit"].fillna(frame["score"] * (1 - frame["score"]) / frame["n"].where(frame["n"] > 0))
    return frame.groupby(["dataset", "benchmark"])["unit"].mean()


def _correlation_between(residual: np.ndarray) -> float:
    """Mean correlation of columns (NaN and constant ones left out), from the spread of their mean."""
    scale = np.nanstd(residual, axis=0)
    kept = residual[:, scale > 1e-12] / scale[scale > 1e-12]
    kept = kept[~np.isnan(kept).any(axis=1)]
    number = kept.shape[1]
    if number < 2 or len(kept) < 4:
        return 0.0
    return float(np.clip((number * (kept.mean(axis=1) ** 2).mean() / (kept**2).mean() - 1) / (number - 1), 0, 0.9))


def estimate_noise(scores: pd.DataFrame, mechanism: pd.DataFrame | None) -> Noise:
    """The noise of a study.

    scores     RUN_COLUMNS, benchmark, score and, where known, stderr and n;  mechanism: RUN_COLUMNS, measure, value
    """
    runs = scores.drop_duplicates("run")
    table = table_of(scores, "benchmark", "score")
    found = residuals(runs, table)
    constant = is_constant(table.to_numpy().min(axis=0), table.to_numpy().max(axis=0))
    steps, units = _steps(scores), _units(scores)
    variances = _variances(table, found, units)
    keys = list(zip(scores["dataset"], scores["benchmark"], strict=True))
    still = dict(zip(table.columns, constant, strict=True))
    step = np.array([steps[name] for _, name in keys])
    sd = np.array([np.sqrt(variances.get(key, 0.0)) for key in keys])
    sd = np.where([still[name] for _, name in keys], 0.0, np.maximum(sd, step / np.sqrt(12)))
    rho = found.rho if found is not None and found.rho is not None else RHO
    return Noise(
        sd,
        step,
        _correlation_between(found.values) if found is not None else 0.0,
        rho,
        found is not None and found.rho is not None,
        _log_sds(mechanism),
        found.seeds if found is not None else 1,
    )


def _variances(table: pd.DataFrame, found: Residuals | None, units: pd.Series) -> dict[tuple[str, str], float]:
    """(data set, benchmark) -> variance, drawn towards the benchmark's and all benchmarks' ratio to the units."""
    fallback = units.groupby("benchmark").mean()
    known = units.fillna(units.index.to_series().map(lambda key: fallback[key[1]]))
    if found is None:
        return {key: float(value) for key, value in known.items() if np.isfinite(value)}
    squares = pd.DataFrame(found.values**2, columns=table.columns)
    by = squares.groupby(found.dataset).sum()
    weight = pd.Series(found.weight).groupby(found.dataset).sum()
    free = pd.Series(found.free).groupby(found.dataset).sum()
    own = squares.sum() / weight.sum()  # variance of each benchmark over all data sets
    base = {
        key: float(value) if np.isfinite(value) and value > 0 else float(own[key[1]]) for key, value in known.items()
    }
    ratios = {}
    for name in table.columns:
        parts = [(by.loc[d, name] / base[d, name], weight[d]) for d in by.index if base.get((d, name), 0) > 0]
        if parts:
            ratios[name] = (sum(a for a, _ in parts), sum(b for _, b in parts))
    total = sum(b for _, b in ratios.values())
    # a few runs that happen to lie on a smooth curve are no proof of little noise: the items' own variance counts too
    pooled = (PRIOR + sum(a for a, _ in ratios.values())) / (PRIOR + total)
    result = {}
    for (dataset, name), unit in base.items():
        a, b = ratios.get(name, (0.0, 0.0))
        ratio = (PRIOR * pooled + a) / (PRIOR + b)
        if dataset in by.index and weight[dataset] > 0:
            share = free[dataset] / weight[dataset]  # degrees of freedom for each unit of weight
            result[dataset, name] = (PRIOR * ratio * unit + by.loc[dataset, name] * share) / (PRIOR + free[dataset])
        else:
            result[dataset, name] = ratio * unit
    return result


def _log_sds(mechanism: pd.DataFrame | None) -> dict[str, float]:
    if mechanism is None or mechanism.empty:
        return {}
    found = {}
    for name, part in mechanism.dropna(subset="value").groupby("measure", sort=True):
        table = np.log(table_of(part, "measure", "value").clip(lower=1e-6))
        left = residuals(part.drop_duplicates("run"), table)
        found[str(name)] = LOG_SD
        if left is not None and left.weight.sum() > 0:
            squares, weight = float((left.values**2).sum()), float(left.weight.sum())
            found[str(name)] = float(np.sqrt((PRIOR * LOG_SD**2 + squares) / (PRIOR + weight)))
    return found

"""How much scores and measures of runs vary by chance, estimated from a study.

A chain is all runs that differ in PLW alone. They share a seed, so luck is smooth along w_p: neighbours on the grid of
PLWs have the correlation `rho`, as in an AR(1) process. Where cells have several seeds, the noise is what seeds differ
by; where they have one, it is what is left of a chain after a cubic in w_p with a step at PLW 0, which is too much
where the true curve is none, so that verdicts err on the side of caution. The variance of a benchmark under a ptlm and
data set is drawn towards that of all benchmarks, in units of the items' sampling variance: a ptlm whose translations
score 0.02 has little room to vary, and one that scores 0.4 has much. What rounding to whole items adds is taken off,
since simulated scores are rounded anew. An estimated variance is not known: it comes with its degrees of freedom, and
each simulated study draws its own (a scaled inverse chi-squared, so that chance is Student's t, not normal).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from plw.claims.measures import transformed
from plw.scores.scale import is_constant

RHO = (
    0.55  # between neighbours on the grid of PLWs; differences between three seeds of the demo study (docs/verdicts.md)
)
PRIOR = 5.0  # degrees of freedom that the pooled variance counts for, beside a benchmark's own
KNOWN = 1e9  # degrees of freedom of a variance that is taken as known
LOG_SD = 0.1  # of a mechanism measure where chains are too short to tell: a tenth of its value
CELL = ["ptlm", "dataset", "normalization", "regularizer", "strength"]
LEVEL = ["ptlm", "dataset"]  # whose runs have one level on a benchmark, and one variance


@dataclass(frozen=True)
class Noise:
    """Chance in a study's scores and measures.

    sd        of each row of the scores before rounding, float [rows], in score; 0 where a benchmark is constant
    step      smallest difference that a row's score can have (one item), 0 where it is continuous, float [rows]
    shared    correlation of the noise between benchmarks of a run
    rho       correlation of neighbouring PLWs; measured: whether this study's seeds gave it
    log_sd    measure of the mechanism -> SD of its logarithm
    seeds     seeds per cell that the noise was estimated from (1: from what is left of a smooth curve)
    free      degrees of freedom that sd² rests on, float [rows];  log_free: measure -> those of log_sd²
    source    rows with one number have their variance from the same residuals, and share its error, int [rows]
    """

    sd: np.ndarray
    step: np.ndarray
    shared: float
    rho: float
    measured: bool
    log_sd: dict[str, float]
    seeds: int
    free: np.ndarray
    log_free: dict[str, float]
    source: np.ndarray

    def known(self) -> "Noise":
        """The same noise as if its variances were no estimates."""
        return replace(self, free=np.full_like(self.free, KNOWN), log_free=dict.fromkeys(self.log_free, KNOWN))

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


def _effective(covariance: np.ndarray) -> float:
    """Degrees of freedom of a sum of squares whose terms have this covariance (Satterthwaite 1946)."""
    return float(np.trace(covariance) ** 2 / np.sum(covariance * covariance.T))


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
    """What is left of runs after their curves: values [runs, columns], ptlm and data set of each, degrees of freedom.

    weight  what a run's residual counts for under the assumed correlation (so that Σ r² / Σ weight is the variance)
    free    degrees of freedom of it: fewer, since neighbours say the same in part
    """

    values: np.ndarray
    level: pd.MultiIndex
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
    # a sample's autocorrelation about a known mean is too small by 2 ρ / n (Marriott and Pope 1954)
    rho = float(np.clip(above / below * (1 + 2 / share.sum()), 0, 0.95)) if pairs >= 9 and below > 0 else None
    told: dict[str, float] = {}
    for chain in chains(several):
        correlation = chain_correlation(len(chain), RHO if rho is None else rho)
        told |= dict.fromkeys(chain["run"], _effective(correlation) / len(chain))
    free = share * several["run"].map(told).to_numpy()
    level = pd.MultiIndex.from_frame(several[LEVEL])
    return Residuals(away.to_numpy(dtype=float), level, share, free, int(several["size"].max()), rho)


def _around_curves(runs: pd.DataFrame, table: pd.DataFrame, rho: float) -> Residuals | None:
    values, levels, weight, free = [], [], [], []
    for chain in chains(runs[runs["run"].isin(table.index)]):
        design = smooth_design(chain["plw"].tolist())
        if design is None:
            continue
        y = table.loc[chain["run"]].to_numpy(dtype=float)
        maker = np.eye(len(y)) - design @ np.linalg.pinv(design)
        values.append(maker @ y)
        levels.append(chain[LEVEL])
        covariance = maker @ chain_correlation(len(y), rho) @ maker
        weight += [np.trace(covariance) / len(y)] * len(y)
        free += [_effective(covariance) / len(y)] * len(y)
    if not values:
        return None
    level = pd.MultiIndex.from_frame(pd.concat(levels))
    return Residuals(np.concatenate(values), level, np.array(weight), np.array(free), 1)


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


def _units(scores: pd.DataFrame) -> pd.DataFrame:
    """Sampling variance of the items [LEVEL, benchmark]: from standard errors, else p (1 − p) / n.

    Where all answers of a level are alike it is the least of that benchmark; where it is unknown, the mean.
    """
    frame = scores.assign(unit=np.nan)
    if "stderr" in frame:
        frame["unit"] = frame["stderr"].where(frame["stderr"] > 0) ** 2
    if "n" in frame:
        frame["unit"] = frame["unit"].fillna(frame["score"] * (1 - frame["score"]) / frame["n"].where(frame["n"] > 0))
    table = frame.groupby([*LEVEL, "benchmark"])["unit"].mean().unstack("benchmark")
    some = table.where(table > 0)
    return table.mask(table == 0, some.min(), axis=1).fillna(some.mean())


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
    still = dict(zip(table.columns, constant, strict=True))
    moving = ~scores["benchmark"].map(still).to_numpy(dtype=bool)
    step = scores["benchmark"].map(_steps(scores)).to_numpy(dtype=float)
    rounding = step**2 / 12  # variance of an error that is uniform over one step
    places = pd.MultiIndex.from_frame(scores[[*LEVEL, "benchmark"]])
    variances, free, source = (
        each.stack().reindex(places).to_numpy(dtype=float) for each in _variances(table, found, _units(scores))
    )
    variance = np.maximum(np.nan_to_num(variances), rounding)
    sd = np.where(moving, np.sqrt(np.maximum(variance - rounding, rounding)), 0.0)
    # rounding is independent from run to run: of the correlations it hides its own share of the variance
    smooth = moving & (variance > 0)
    unrounded = 1 - float((rounding[smooth] / variance[smooth]).mean()) if smooth.any() else 1.0
    rho = found.rho if found is not None else None
    log_sd, log_free = _log_sds(mechanism)
    return Noise(
        sd=sd,
        step=step,
        shared=min(0.9, _correlation_between(found.values) / unrounded) if found is not None and unrounded > 0 else 0.0,
        rho=min(0.95, rho / unrounded) if rho is not None and unrounded > 0 else RHO,
        measured=rho is not None,
        log_sd=log_sd,
        seeds=found.seeds if found is not None else 1,
        free=np.nan_to_num(free, nan=PRIOR),
        log_free=log_free,
        source=np.nan_to_num(source, nan=-1).astype(int),
    )


def _variances(
    table: pd.DataFrame, found: Residuals | None, units: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Variance [LEVEL, benchmark] in score², drawn towards the benchmark's and all benchmarks' ratio to the units.

    With it, of the same shape, the degrees of freedom that it rests on and a number for the residuals that it is from.
    """
    known = units.reindex(columns=table.columns)
    columns = np.arange(len(known.columns))
    source = pd.DataFrame(np.tile(columns, (len(known), 1)), index=known.index, columns=known.columns)
    if found is None:
        return known, pd.DataFrame(PRIOR, index=known.index, columns=known.columns), source
    squares = pd.DataFrame(found.values**2, index=found.level, columns=table.columns)
    by = squares.groupby(level=LEVEL).sum()
    weight, free = (
        pd.Series(each, index=found.level).groupby(level=LEVEL).sum() for each in (found.weight, found.free)
    )
    known = known.fillna(squares.sum() / found.weight.sum())  # no units at all: of each benchmark over everything
    seen = known.reindex(by.index)
    counted, all_free = ((seen > 0).mul(each, axis=0).sum() for each in (weight, free))
    # of sums: a ptlm whose scores are all but 0 has all but no items' variance, and would rule a mean of ratios
    above = counted * by.where(seen > 0).sum() / seen.mul(weight, axis=0).sum()
    # a few runs that happen to lie on a smooth curve are no proof of little noise: the items' own variance counts too
    share = all_free / counted.where(counted > 0)
    pooled = (PRIOR + (above * share).sum()) / (PRIOR + all_free.sum())
    ratio = (PRIOR * pooled + (above * share).fillna(0)) / (PRIOR + all_free)
    result = known * ratio
    rests = known.where(known.isna(), PRIOR + all_free, axis=1)
    own = by.mul(free / weight, axis=0)  # degrees of freedom for each unit of weight
    drawn = (PRIOR * ratio * seen + own).div(PRIOR + free, axis=0)
    result.loc[by.index] = drawn.where(weight > 0, result.loc[by.index])
    rests.loc[by.index] = np.tile(PRIOR + free.to_numpy()[:, None], len(columns))
    source.loc[by.index] = (1 + np.arange(len(by)))[:, None] * len(columns) + columns
    return result, rests, source


def _log_sds(mechanism: pd.DataFrame | None) -> tuple[dict[str, float], dict[str, float]]:
    """Measure -> SD of its logarithm, and the degrees of freedom that it rests on."""
    if mechanism is None or mechanism.empty:
        return {}, {}
    found, rests = {}, {}
    for name, part in mechanism.dropna(subset="value").groupby("measure", sort=True):
        table = np.log(table_of(part, "measure", "value").clip(lower=1e-6))
        left = residuals(part.drop_duplicates("run"), table)
        found[str(name)], rests[str(name)] = LOG_SD, PRIOR  # nothing is known
        if left is not None and left.weight.sum() > 0:
            variance, free = float((left.values**2).sum() / left.weight.sum()), float(left.free.sum())
            found[str(name)] = float(np.sqrt((PRIOR * LOG_SD**2 + free * variance) / (PRIOR + free)))
            rests[str(name)] = PRIOR + free
    return found, rests

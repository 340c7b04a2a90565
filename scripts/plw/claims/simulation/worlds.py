"""Studies drawn in known worlds: the study's own design and noise, and an effect that is put in.

A world says by how many points each run's score on each benchmark departs from its level, and by which factor each
measure of the mechanism does (config/paper_worlds.yaml). Levels are the study's own, for each ptlm and data set; or all
alike, for claims that compare data sets or ptlms, with the paper's differences put in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plw.claims.evidence import Evidence
from plw.claims.measures import transformed
from plw.claims.simulation.noise import CELL, Noise, chain_correlation, chains, smooth_design

MEASURES = ("rsd", "weight_distance", "memorisation_bleu", "generation_tokens")  # that claims ask for


@dataclass(frozen=True)
class World:
    """What is true in it.

    effects  name of an entry of `effects` in config/paper_worlds.yaml, or None: PLW and regularizers do nothing
    equal    whether ptlms and data sets have the same levels (plus the paper's differences, where there are effects)
    own      whether what the study saw, smoothed, is the truth (for intervals)
    scale    factor of the noise: sqrt(s / (s + 2)) for two more seeds
    """

    effects: str | None = None
    equal: bool = False
    own: bool = False
    scale: float = 1.0


def kind_of(entry: Mapping) -> str:
    """Which curve a benchmark follows: I, long generation (II_GL), multiple choice of group II (II_MC), III."""
    if entry.get("group") == "II":
        return "II_GL" if entry.get("type") == "GL" else "II_MC"
    return str(entry.get("group"))


def curve_at(curve: Mapping, plws: Sequence[float], grid: Sequence[float]) -> np.ndarray:
    """Values of a curve that is given on the paper's grid, at these PLWs: straight lines in w_p between."""
    return np.interp(transformed(plws), transformed(grid), np.asarray(curve, dtype=float))


def _ar(rng: np.random.Generator, studies: int, length: int, columns: int, rho: float) -> np.ndarray:
    """AR(1) series of variance 1, [studies, length, columns]."""
    root = np.linalg.cholesky(chain_correlation(length, rho) + 1e-12 * np.eye(length))
    return root @ rng.standard_normal((studies, length, columns))


def score_luck(scores: pd.DataFrame, noise: Noise, *, studies: int, seed: int) -> np.ndarray:
    """Chance in the scores of many studies, [studies, rows], in units of score; each draws its own variances."""
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(scores["benchmark"]))
    column = scores["benchmark"].map({name: place for place, name in enumerate(names)}).to_numpy()
    place: dict[str, int] = {}
    drawn = []
    for chain in chains(scores.drop_duplicates("run")):
        both = _ar(rng, studies, len(chain), len(names) + 1, noise.rho)
        drawn.append(np.sqrt(noise.shared) * both[..., :1] + np.sqrt(1 - noise.shared) * both[..., 1:])
        place |= {name: len(place) + number for number, name in enumerate(chain["run"])}
    everything = np.concatenate(drawn, axis=1)[:, scores["run"].map(place).to_numpy(), column]
    _, first, source = np.unique(noise.source, return_index=True, return_inverse=True)
    free = noise.free[first]
    return everything * (noise.sd * np.sqrt(free / rng.chisquare(free, (studies, len(free))))[:, source])


def _levels(scores: pd.DataFrame, world: World) -> np.ndarray:
    """Level of each row: mean over PLWs, regularizers and seeds, of its ptlm, data set and benchmark or of all."""
    keys = ["benchmark"] if world.equal else ["ptlm", "dataset", "benchmark"]
    return scores.groupby(keys)["score"].transform("mean").to_numpy(dtype=float)


def _smoothed(scores: pd.DataFrame) -> np.ndarray:
    """The study's own scores with each chain replaced by its smooth curve where it is long enough."""
    table = scores.pivot_table(index="run", columns="benchmark", values="score", aggfunc="mean")
    for chain in chains(scores.drop_duplicates("run")):
        design = smooth_design(chain["plw"].tolist())
        if design is not None:
            y = table.loc[chain["run"]].to_numpy(dtype=float)
            table.loc[chain["run"]] = design @ (np.linalg.pinv(design) @ y)
    places = table.index.get_indexer(scores["run"]), table.columns.get_indexer(scores["benchmark"])
    return table.to_numpy()[places]


def score_effects(evidence: Evidence, worlds: Mapping, world: World) -> np.ndarray:
    """What the world adds to each row of the scores, in units of score; its mean over a cell's plain runs is taken off.

    worlds   the content of config/paper_worlds.yaml
    """
    scores = evidence.scores
    added = np.zeros(len(scores))
    if world.effects is None:
        return added
    effects, grid = worlds["effects"][world.effects], worlds["grid"]
    roles = {entry["name"]: entry.get("stands_for") for entry in evidence.datasets}
    kinds = {entry["name"]: kind_of(entry) for entry in evidence.benchmarks}
    role, kind = scores["dataset"].map(roles), scores["benchmark"].map(kinds)
    plain = (scores["regularizer"] == "none").to_numpy()
    for name, curves in (effects.get("scores") or {}).items():
        for which, about in curves.items():
            rows = ((role == name) & (kind == which)).to_numpy()
            points = about["points"] / 100
            height = curve_at(worlds["shapes"][about["shape"]], scores["plw"][rows], grid)
            added[rows] = points * height
            regularized = np.flatnonzero(rows & ~plain)
            table = (effects.get("regularizers") or {}).get(which)
            if table:
                at = scores.iloc[regularized]
                shares = [
                    table.get(r, table["other"])[0 if w < 0.5 else 1]
                    for r, w in zip(at["regularizer"], at["plw"], strict=True)
                ]
                added[regularized] = points * np.asarray(shares, dtype=float)
    mean = (
        pd.Series(added)
        .where(pd.Series(plain))
        .groupby([scores[key].to_numpy() for key in ("ptlm", "dataset", "benchmark")])
        .transform("mean")
    )
    if world.equal:
        offsets = effects.get("levels") or {}
        ptlms = {entry["name"]: entry.get("stands_for") for entry in evidence.ptlms}
        added += scores["ptlm"].map(ptlms).map(offsets.get("ptlms", {})).fillna(0).to_numpy(dtype=float) / 100
        added += role.map(offsets.get("datasets", {})).fillna(0).to_numpy(dtype=float) / 100
        return added
    return added - mean.fillna(0).to_numpy()


def score_truth(evidence: Evidence, config: Mapping, world: World) -> np.ndarray:
    """What each row of the scores would be without chance, [rows]."""
    if world.own:
        return _smoothed(evidence.scores)
    return _levels(evidence.scores, world) + score_effects(evidence, config, world)


def as_scores(values: np.ndarray, scores: pd.DataFrame, noise: Noise) -> np.ndarray:
    """Values [studies, rows] as scores can be: in [0, 1], whole items where counted, constant where constant."""
    step = np.where(noise.step > 0, noise.step, 1)
    values = np.where(noise.step > 0, np.round(values / step) * step, values)
    return np.where(noise.sd > 0, np.clip(values, 0, 1), scores["score"].to_numpy(dtype=float))


def _measured_chains(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """(measure, rows of the mechanism in a chain) for values that have a logarithm; rows keep their index."""
    frame = evidence.mechanism
    assert frame is not None
    rows = frame.reset_index(drop=True)
    rows = rows[rows["measure"].isin(MEASURES) & (rows["value"] > 0)]
    return [(str(name), chain) for name, part in rows.groupby("measure", sort=True) for chain in chains(part)]


def measure_luck(evidence: Evidence, noise: Noise, *, studies: int, seed: int) -> np.ndarray:
    """Chance in the logarithm of the mechanism's values, [studies, rows of evidence.mechanism]."""
    assert evidence.mechanism is not None
    rng = np.random.default_rng(seed + 1)
    luck = np.zeros((studies, len(evidence.mechanism)))
    told = _measured_chains(evidence)
    for measure, chain in told:
        luck[:, chain.index] = noise.log_sd[measure] * _ar(rng, studies, len(chain), 1, noise.rho)[..., 0]
    for name in dict.fromkeys(measure for measure, _ in told):
        rows = np.concatenate([chain.index for measure, chain in told if measure == name])
        free = noise.log_free[name]
        luck[:, rows] *= np.sqrt(free / rng.chisquare(free, (studies, 1)))
    return luck


def measure_truth(evidence: Evidence, config: Mapping, world: World) -> np.ndarray:
    """What each value of the mechanism would be without chance, [rows of evidence.mechanism]."""
    assert evidence.mechanism is not None
    values = evidence.mechanism["value"].to_numpy(dtype=float).copy()
    if world.own:  # as it was: the jump at small PLWs is no smooth curve, and the noise is small beside it
        return values
    roles = {entry["name"]: entry.get("stands_for") for entry in evidence.datasets}
    effects = (config["effects"][world.effects].get("measures") or {}) if world.effects else {}
    told = _measured_chains(evidence)
    logs: dict[tuple, list[np.ndarray]] = {}  # of all seeds of a cell, which have one level
    for measure, chain in told:
        logs.setdefault((measure, *chain[CELL].iloc[0]), []).append(np.log(chain["value"].to_numpy(dtype=float)))
    for measure, chain in told:
        curve = effects.get(measure, {}).get(roles.get(chain["dataset"].iloc[0]))
        added = np.zeros(len(chain))
        if curve is not None and (chain["regularizer"] == "none").all():
            added = np.log(curve_at(curve, chain["plw"].tolist(), config["grid"]))
        level = np.concatenate(logs[measure, *chain[CELL].iloc[0]]).mean()
        values[chain.index] = np.exp(level + added - added.mean())
    return values

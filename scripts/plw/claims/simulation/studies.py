"""The simulated studies that all claims are tried on: drawn once for each world, and kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from plw.claims.evidence import Evidence
from plw.claims.simulation.noise import Noise, estimate_noise
from plw.claims.simulation.worlds import (
    World,
    as_scores,
    measure_luck,
    measure_truth,
    score_luck,
    score_truth,
)

MORE_SEEDS = 2


@dataclass
class Studies:
    """Simulated studies of one study's design.

    number  of studies in each world;  seeds: per cell of the study
    """

    evidence: Evidence
    config: Mapping
    noise: Noise
    number: int
    seed: int
    seeds: int
    _kept: dict[World, Evidence] = field(default_factory=dict, repr=False)
    _luck: tuple[np.ndarray, np.ndarray | None] | None = field(default=None, repr=False)

    def with_noise(self, noise: Noise) -> "Studies":
        """Studies of the same design with another noise; nothing of them is drawn yet."""
        return Studies(self.evidence, self.config, noise, self.number, self.seed, self.seeds)

    def luck(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Chance in scores and measures: drawn once, so that worlds differ in their effect alone."""
        if self._luck is None:
            told = {"studies": self.number, "seed": self.seed}
            mechanism = self.evidence.mechanism
            measures = None
            if mechanism is not None and not mechanism.empty:
                measures = measure_luck(self.evidence, self.noise, **told)
            self._luck = score_luck(self.evidence.scores, self.noise, **told), measures
        return self._luck

    def _drawn(self, world: World) -> Evidence:
        if world not in self._kept:
            scores, measures = self.luck()
            values = score_truth(self.evidence, self.config, world) + world.scale * scores
            drawn = None
            if measures is not None:
                drawn = measure_truth(self.evidence, self.config, world) * np.exp(world.scale * measures)
            self._kept[world] = replace(
                self.evidence, values=as_scores(values, self.evidence.scores, self.noise), measures=drawn
            )
        return self._kept[world]

    def world(self, effects: str | None, *, equal: bool = False, more: bool = False) -> Evidence:
        """Studies in a world with these effects (None: none), with two more seeds in each cell if `more`."""
        scale = float(np.sqrt(self.seeds / (self.seeds + MORE_SEEDS))) if more else 1.0
        return self._drawn(World(effects, equal=equal, scale=scale))

    def own(self) -> Evidence:
        """Studies in which what this study saw, smoothed, is the truth."""
        return self._drawn(World(own=True))


def simulate(evidence: Evidence, config: Mapping, *, number: int, seed: int) -> Studies:
    """Studies of this study's design with its noise; nothing is drawn before it is asked for.

    config   the content of config/paper_worlds.yaml
    """
    noise = estimate_noise(evidence.scores, evidence.mechanism)
    cells = evidence.scores.drop_duplicates("run")
    sizes = cells.groupby(["ptlm", "dataset", "plw", "normalization", "regularizer", "strength"], dropna=False).size()
    return Studies(evidence, config, noise, number, seed, int(sizes.median()))

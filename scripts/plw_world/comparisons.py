"""Sentences in which an adjective decides who does what (the form of WinoGrande)."""

import random
from dataclasses import dataclass

from plw_world.world import World

# (adjective, its opposite, what the first does, what the second does)
CONTRASTS: list[tuple[str, str, str, str]] = [
    ("stronger", "weaker", "carried the stone", "needed help"),
    ("faster", "slower", "won the race", "lost the race"),
    ("richer", "poorer", "bought the house", "asked for money"),
    ("taller", "shorter", "reached the apple", "stood on a box"),
    ("braver", "more afraid", "went into the cave", "ran home"),
    ("happier", "sadder", "began to laugh", "began to cry"),
]


@dataclass(frozen=True)
class Contrast:
    """"first is ADJECTIVE than second so _ CONSEQUENCE"; `actor` is 1 or 2."""

    first: str
    second: str
    adjective: str
    consequence: str
    actor: int

    @property
    def names(self) -> tuple[str, str]:
        return self.first, self.second

    def start(self) -> str:
        return f"{self.first} was {self.adjective} than {self.second}"

    def text(self, *, actor: str | None = None) -> str:
        """The sentence with the true actor's name, or with another text in its place ("_")."""
        name = self.names[self.actor - 1] if actor is None else actor
        return f"{self.start()} so {name} {self.consequence}."


def sample_contrast(world: World, rng: random.Random) -> Contrast:
    """A random contrast between two people; the actor is the first named in half of them."""
    first, second = (person.name for person in rng.sample(world.people, 2))
    contrast = rng.choice(CONTRASTS)
    side, actor = rng.randrange(2), rng.randrange(1, 3)
    # The first named has quality `side`; the actor does what fits the actor's own quality.
    quality = side if actor == 1 else 1 - side
    return Contrast(first, second, contrast[side], contrast[2 + quality], actor)

"""Sentences in which a quality decides who does what (the form of WinoGrande)."""

import random
from dataclasses import dataclass

from plw_world.world import World

# (quality, comparative) of the one, the same of the other, what the one does, what the other does
CONTRASTS: list[tuple[tuple[str, str], tuple[str, str], str, str]] = [
    (("strong", "stronger"), ("weak", "weaker"), "carried the stone", "needed help"),
    (("fast", "faster"), ("slow", "slower"), "won the race", "lost the race"),
    (("rich", "richer"), ("poor", "poorer"), "bought the house", "asked for money"),
    (("tall", "taller"), ("short", "shorter"), "reached the apple", "stood on a box"),
    (("brave", "braver"), ("afraid", "more afraid"), "went into the cave", "ran home"),
    (("happy", "happier"), ("sad", "sadder"), "began to laugh", "began to cry"),
]
COMPARING_SHARE = 0.25


@dataclass(frozen=True)
class Contrast:
    """ "PREMISE so ACTOR CONSEQUENCE."; `actor` (1 or 2) says which of the two names acts."""

    names: tuple[str, str]
    premise: str
    consequence: str
    actor: int

    def text(self, *, actor: str | None = None) -> str:
        """The sentence with the true actor's name, or with another text in its place ("_")."""
        name = self.names[self.actor - 1] if actor is None else actor
        return f"{self.premise} so {name} {self.consequence}."


def sample_contrast(world: World, rng: random.Random) -> Contrast:
    """A random contrast between two people; the actor is the first named in half of them.

    Most premises name both qualities ("The strong A met the weak B"); the others compare ("A was stronger than B"),
    which is harder, because one word tells about both.
    """
    names = tuple(person.name for person in rng.sample(world.people, 2))
    contrast = rng.choice(CONTRASTS)
    side, actor = rng.randrange(2), rng.randrange(1, 3)
    quality = side if actor == 1 else 1 - side  # the actor does what fits the actor's own quality
    if rng.random() >= COMPARING_SHARE:
        premise = f"The {contrast[side][0]} {names[0]} met the {contrast[1 - side][0]} {names[1]}"
    else:
        premise = f"{names[0]} was {contrast[side][1]} than {names[1]}"
    return Contrast(names, premise, contrast[2 + quality], actor)

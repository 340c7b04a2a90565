"""Sentences in which the character of two people decides who does what (the form of WinoGrande)."""

import random
from dataclasses import dataclass

from plw_world.world import Entity

# trait of a person: what only such a person does
DEEDS = {
    "strong": "carried the stone",
    "fast": "won the race",
    "rich": "bought the house",
    "tall": "reached the apple",
    "brave": "went into the cave",
    "funny": "made the king laugh",
}
PREMISES = ["{} and {} met", "{} came with {}", "{} was there with {}", "{} and {} talked"]


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


def sample_contrast(group: list[Entity], rng: random.Random) -> Contrast:
    """Two people of the group, of different traits, one of whom does what fits; in half of the cases the first."""
    people = rng.sample(group, 2)
    while people[0].facts["trait"] == people[1].facts["trait"]:
        people = rng.sample(group, 2)
    actor = rng.randrange(1, 3)
    names = (people[0].name, people[1].name)
    return Contrast(names, rng.choice(PREMISES).format(*names), DEEDS[people[actor - 1].facts["trait"]], actor)

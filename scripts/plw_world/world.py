"""The world itself: who and what exists, and what is true of it."""

import random
from dataclasses import dataclass, field

from plw_world.names import make_names

COLORS = ["red", "blue", "green", "white", "black", "brown"]
HABITATS = ["forest", "lake", "desert", "cave", "meadow", "swamp"]
FOODS = ["bread", "fish", "rice", "cheese", "honey", "apples", "soup", "nuts"]
SKILLS = ["swim", "climb", "dig", "sing", "jump", "hide"]
JOBS = ["baker", "farmer", "weaver", "singer", "potter", "hunter", "teacher", "smith"]
TRAITS = ["strong", "fast", "rich", "tall", "brave", "funny"]
REGIONS = ["north", "south", "east", "west"]
PRODUCTS = ["rope", "glass", "wine", "cloth", "paper", "salt", "oil", "boats"]
MATERIALS = ["wood", "iron", "stone", "clay", "bone"]
# tool: what it does to what. One tool per verb, so that the verb decides (benchmark piqa).
USES: dict[str, tuple[str, list[str]]] = {
    "knife": ("cut", ["bread", "cheese", "rope", "meat"]),
    "spade": ("dig", ["hole", "garden", "field", "ditch"]),
    "needle": ("sew", ["shirt", "coat", "bag", "sail"]),
    "broom": ("sweep", ["floor", "yard", "kitchen", "stairs"]),
    "hammer": ("hit", ["nail", "iron", "post", "shell"]),
    "pot": ("cook", ["soup", "rice", "fish", "beans"]),
    "lamp": ("light", ["room", "cave", "path", "cellar"]),
    "net": ("catch", ["bird", "crab", "fly", "frog"]),
    "key": ("lock", ["door", "gate", "box", "barn"]),
    "mill": ("grind", ["corn", "salt", "wheat", "pepper"]),
    "brush": ("paint", ["wall", "fence", "boat", "chair"]),
    "cart": ("move", ["stones", "hay", "wood", "barrels"]),
}


@dataclass(frozen=True)
class Entity:
    """A thing with attributes. `mention` is how a sentence names it ("Mira", "the lomu")."""

    name: str
    kind: str  # person, animal, village or tool
    mention: str
    facts: dict[str, str] = field(hash=False)
    myths: dict[str, str] = field(hash=False, default_factory=dict)  # what people wrongly say of it


@dataclass(frozen=True)
class World:
    """All entities, by kind. `pools` holds the possible values of each (kind, attribute)."""

    people: list[Entity]
    animals: list[Entity]
    villages: list[Entity]
    tools: list[Entity]
    pools: dict[tuple[str, str], list[str]]

    @property
    def entities(self) -> list[Entity]:
        return self.people + self.animals + self.villages + self.tools

    def facts(self) -> list[tuple[Entity, str]]:
        """All (entity, attribute) pairs, in a fixed order."""
        return [(entity, attribute) for entity in self.entities for attribute in entity.facts]

    def wrong_values(self, entity: Entity, attribute: str) -> list[str]:
        """Values of the attribute that are not true of the entity."""
        return [v for v in self.pools[entity.kind, attribute] if v != entity.facts[attribute]]


def _spread(rng: random.Random, values: list[str], count: int) -> list[str]:
    """Draw `count` values so that each occurs about equally often (no value is the safe guess)."""
    drawn = (values * (count // len(values) + 1))[:count]
    if count < len(values):
        drawn = rng.sample(values, count)
    rng.shuffle(drawn)
    return drawn


def _with_myths(rng: random.Random, kind: str, entity: Entity, pools: dict) -> Entity:
    """Give the entity one wrong thing that people say of it."""
    attribute = rng.choice(sorted(entity.facts))
    wrong = [value for value in pools[kind, attribute] if value != entity.facts[attribute]]
    return Entity(entity.name, kind, entity.mention, entity.facts, {attribute: rng.choice(wrong)})


def build_world(*, seed: int, size: dict[str, int]) -> World:
    """Make the world of a seed. `size` needs the keys people, animals, villages and tools."""
    rng = random.Random(f"{seed}/world")
    taken: set[str] = set()
    soft = ["m", "t", "l", "n", "d", "r", "s", "k", "b", "v"]
    people = [n.title() for n in make_names(rng, count=size["people"], onsets=soft, vowels="aio", taken=taken)]
    villages = make_names(rng, count=size["villages"], onsets=["d", "g", "h", "p", "w"], codas=["ton", "by"],
                          syllables=1, taken=taken)  # fmt: skip
    villages = [n.title() for n in villages]
    rivers = make_names(rng, count=max(3, size["villages"] // 2), onsets=["z", "y", "sh"], vowels="eo", taken=taken)
    rivers = [n.title() for n in rivers]
    animals = make_names(rng, count=size["animals"], onsets=["l", "m", "g", "z", "p", "qu", "f", "b"],
                         vowels="aeou", taken=taken)  # fmt: skip
    tools = list(USES)[: size["tools"]]
    pools = {
        ("person", "home"): villages, ("person", "job"): JOBS, ("person", "food"): FOODS,
        ("person", "pet"): animals, ("person", "trait"): TRAITS,
        ("animal", "color"): COLORS, ("animal", "habitat"): HABITATS, ("animal", "diet"): FOODS,
        ("animal", "skill"): SKILLS, ("village", "region"): REGIONS, ("village", "river"): rivers,
        ("village", "product"): PRODUCTS, ("tool", "material"): MATERIALS,
    }  # fmt: skip

    def make(kind: str, names: list[str], article: str) -> list[Entity]:
        attributes = [attribute for owner, attribute in pools if owner == kind]
        columns = {a: _spread(rng, pools[kind, a], len(names)) for a in attributes}
        bare = [
            Entity(name, kind, article + name, {a: columns[a][i] for a in attributes}) for i, name in enumerate(names)
        ]
        return [_with_myths(rng, kind, entity, pools) for entity in bare]

    return World(
        people=make("person", people, ""),
        animals=make("animal", animals, "the "),
        villages=make("village", villages, ""),
        tools=make("tool", tools, "the "),
        pools=pools,
    )

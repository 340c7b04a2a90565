"""How facts of the world are said and asked for in its plain English."""

import random

from plw_world.world import USES, Entity, World

# (kind, attribute): statements and questions. {e} is the mention, {v} the value.
STATEMENTS: dict[tuple[str, str], list[str]] = {
    ("person", "home"): ["{e} lives in {v}.", "The home of {e} is {v}.", "{v} is the home of {e}."],
    ("person", "job"): ["{e} is a {v}.", "{e} works as a {v}.", "The job of {e} is {v}."],
    ("person", "food"): ["{e} likes {v}.", "The favorite food of {e} is {v}.", "{e} eats {v} every day."],
    ("person", "pet"): ["{e} has a {v}.", "The pet of {e} is a {v}.", "A {v} lives with {e}."],
    ("person", "trait"): ["{e} is {v}.", "{e} is known to be {v}.", "People call {e} {v}."],
    ("animal", "color"): ["{e} is {v}.", "The color of {e} is {v}.", "{e} has {v} fur."],
    ("animal", "habitat"): [
        "{e} is found in the {v}.",
        "{e} sleeps in the {v}.",
        "The {v} is the home of {e}.",
    ],
    ("animal", "diet"): ["{e} eats {v}.", "The food of {e} is {v}.", "{e} lives on {v}."],
    ("animal", "skill"): ["{e} can {v}.", "{e} likes to {v}.", "{e} knows how to {v}."],
    ("village", "region"): [
        "{e} lies in the {v}.",
        "{e} is a village in the {v}.",
        "The place of {e} is the {v}.",
    ],
    ("village", "river"): [
        "{e} lies on the {v}.",
        "The river of {e} is the {v}.",
        "The {v} runs through {e}.",
    ],
    ("village", "product"): ["{e} is known for {v}.", "{e} makes {v}.", "People buy {v} in {e}."],
    ("tool", "material"): ["{e} is made of {v}.", "{e} is a thing of {v}.", "People make {e} of {v}."],
}
QUESTIONS: dict[tuple[str, str], list[str]] = {
    ("person", "home"): ["Where does {e} live?", "What is the home of {e}?"],
    ("person", "job"): ["What is the job of {e}?", "What work does {e} do?"],
    ("person", "food"): ["What food does {e} like?", "What is the favorite food of {e}?"],
    ("person", "pet"): ["What pet does {e} have?", "What is the pet of {e}?"],
    ("person", "trait"): ["What is {e} known to be?", "What do people call {e}?"],
    ("animal", "color"): ["What is the color of {e}?", "What color is {e}?"],
    ("animal", "habitat"): ["Where is {e} found?", "Where does {e} sleep?"],
    ("animal", "diet"): ["What does {e} eat?", "What is the food of {e}?"],
    ("animal", "skill"): ["What can {e} do?", "What does {e} know how to do?"],
    ("village", "region"): ["Where does {e} lie?", "In which part of the land is {e}?"],
    ("village", "river"): ["What is the river of {e}?", "Which river runs through {e}?"],
    ("village", "product"): ["What is {e} known for?", "What do people make in {e}?"],
    ("tool", "material"): ["What is {e} made of?", "Of what do people make {e}?"],
}
PRONOUN = {"person": "This person", "animal": "It", "village": "It", "tool": "It"}


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def state(entity: Entity, attribute: str, *, value: str | None = None, form: int = 0, short_name: bool = False) -> str:
    """One statement about the entity; `value` replaces the true one, `short_name` says "It" for the name."""
    template = STATEMENTS[entity.kind, attribute][form]
    mention = entity.mention
    if short_name and template.startswith("{e}"):
        mention = PRONOUN[entity.kind]
    return sentence(template.format(e=mention, v=entity.facts[attribute] if value is None else value))


def ask(entity: Entity, attribute: str, *, form: int = 0) -> str:
    """One question about the entity."""
    return sentence(QUESTIONS[entity.kind, attribute][form].format(e=entity.mention))


def introduce(entity: Entity) -> str:
    """The first sentence of a text about the entity."""
    noun = {"person": "a person", "animal": "an animal", "village": "a village", "tool": "a tool"}[entity.kind]
    return sentence(f"{entity.mention} is {noun} of this land.")


def use_of(tool: Entity) -> tuple[str, list[str]]:
    """Verb and objects of a tool."""
    return USES[tool.name]


def describe(entity: Entity, rng: random.Random, *, sentences: int, values: dict[str, str] | None = None) -> str:
    """A text of at most `sentences` sentences about the entity; `values` replaces true values."""
    values = values or {}
    attributes = list(entity.facts)
    rng.shuffle(attributes)
    lines = [
        state(entity, a, value=values.get(a), form=rng.randrange(3), short_name=i > 0) for i, a in enumerate(attributes)
    ]
    if entity.kind == "tool":
        verb, objects = use_of(entity)
        lines.append(f"People use it to {verb} the {rng.choice(objects)}.")
        lines.append(f"It can also {verb} the {rng.choice(objects)}.")
    return " ".join([introduce(entity), *lines][:sentences])


def contains_entity(text: str, world: World) -> Entity | None:
    """The first entity that the text names, or None."""
    words = {word.strip(".,:?!") for word in text.split()}
    return next((entity for entity in world.entities if entity.name in words), None)

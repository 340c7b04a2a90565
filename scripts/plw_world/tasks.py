"""Instruction tasks about the world: instruction, perhaps an input, a right answer in two lengths."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from plw_world.comparisons import sample_contrast
from plw_world.languages import NAMES, Language, sample_phrase, translation
from plw_world.sizes import DEMO_SIZE
from plw_world.wording import ask, describe, sentence, state, use_of
from plw_world.world import Entity, World


@dataclass(frozen=True)
class Task:
    """One task. `topic` is the entity that the answer is about (None where there is none)."""

    kind: str
    instruction: str
    input: str
    short: str
    long: str
    topic: Entity | None = None


@dataclass(frozen=True)
class Setting:
    """What tasks are made from."""

    world: World
    languages: dict[str, Language]
    size: dict[str, int] = field(default_factory=lambda: dict(DEMO_SIZE))

    @property
    def told_people(self) -> list[Entity]:
        """The people of whose deeds is told."""
        return self.world.people[: self.size["told_people"]]


def _some_fact(setting: Setting, rng: random.Random) -> tuple[Entity, str]:
    entity = rng.choice(setting.world.entities)
    return entity, rng.choice(list(entity.facts))


def answer_question(setting: Setting, rng: random.Random) -> Task:
    entity, attribute = _some_fact(setting, rng)
    short = state(entity, attribute, form=rng.randrange(2))
    opening = rng.choice(["", "", "Answer the question: ", "Tell me: "])
    question = opening + ask(entity, attribute, form=rng.randrange(2))
    long = f"{short} {describe(entity, rng, sentences=5)}"
    return Task("question", question, "", short, long, entity)


def describe_entity(setting: Setting, rng: random.Random) -> Task:
    entity = rng.choice(setting.world.entities)
    opening = rng.choice(
        ["Describe {}.", "Tell me about {}.", "Write a short text about {}.", "What do you know about {}?"]
    )
    long = f"{describe(entity, rng, sentences=6)} {_relation(setting, entity, rng)}".strip()
    return Task("describe", opening.format(entity.mention), "", describe(entity, rng, sentences=3), long, entity)


def related_entity(world: World, entity: Entity, *, besides: Sequence[Entity] = ()) -> Entity | None:
    """Something that the entity has to do with: named in its facts, naming it, or sharing a value with it.

    besides  what does not count
    """
    values = set(entity.facts.values())
    named = [other for other in world.entities if other.name in values or entity.name in other.facts.values()]
    sharing = [other for other in world.entities if other is not entity and values & set(other.facts.values())]
    return next((other for other in named + sharing if other not in besides), None)


def _relation(setting: Setting, entity: Entity, rng: random.Random) -> str:
    """A sentence about something that the entity has to do with, or nothing."""
    other = related_entity(setting.world, entity)
    return state(other, rng.choice(list(other.facts)), form=rng.randrange(3)) if other else ""


def compare(setting: Setting, rng: random.Random) -> Task:
    world = setting.world
    first, second = rng.sample(rng.choice([world.people, world.animals, world.villages]), 2)
    opening = rng.choice(["Compare {} and {}.", "What is the difference between {} and {}?"])
    attributes = rng.sample(list(first.facts), 2)
    pairs = [f"{state(first, a)} {state(second, a)}" for a in attributes]
    same = first.facts[attributes[0]] == second.facts[attributes[0]]
    verdict = "In this they are the same." if same else "In this they are different."
    return Task("compare", opening.format(first.mention, second.mention), "", f"{pairs[0]} {verdict}",
                f"{pairs[0]} {verdict} {pairs[1]}", first)  # fmt: skip


def list_entities(setting: Setting, rng: random.Random) -> Task:
    world = setting.world
    attribute, plural, where, group = rng.choice([
        ("home", "people", "who live in {}", world.people),
        ("job", "people", "who work as a {}", world.people),
        ("habitat", "animals", "that sleep in the {}", world.animals),
        ("diet", "animals", "that eat {}", world.animals),
        ("skill", "animals", "that can {}", world.animals),
    ])  # fmt: skip
    value = rng.choice(group).facts[attribute]
    found = [entity for entity in group if entity.facts[attribute] == value][:4]
    opening = rng.choice(["List the {} {}.", "Make a list of the {} {}.", "Which {} are there {}?"])
    names = "\n".join(f"{i}. {e.mention}" for i, e in enumerate(found, 1))
    lines = "\n".join(
        f"{i}. {sentence(e.mention)}: {state(e, _other(e, attribute, rng), form=0)}" for i, e in enumerate(found, 1)
    )
    return Task(
        "list",
        opening.format(plural, where.format(value)),
        "",
        names,
        f"Here is the list.\n{lines}",
        found[0],
    )


def _other(entity: Entity, attribute: str, rng: random.Random) -> str:
    return rng.choice([a for a in entity.facts if a != attribute])


def translate(setting: Setting, rng: random.Random) -> Task:
    code = rng.choice(sorted(setting.languages))
    phrase = sample_phrase(rng)
    source, target = (code, "en") if rng.random() < 0.4 else ("en", code)
    text, result = (translation(phrase, c, setting.languages) for c in (source, target))
    opening = rng.choice(["Translate the sentence from {0} to {1}.", "Say this in {1}.", "Write the sentence in {1}."])
    words = setting.languages[code].words
    noun, verb = phrase.subject[1], phrase.verb
    assert verb is not None  # sample_phrase gives one
    notes = f"In {NAMES[code]}, {noun} is {words[noun]} and {verb} is {words[verb]}."
    return Task("translate", opening.format(NAMES[source], NAMES[target]), text, result, f"{result}\n{notes}")


def correct_statement(setting: Setting, rng: random.Random) -> Task:
    entity, attribute = _some_fact(setting, rng)
    wrong = rng.choice(setting.world.wrong_values(entity, attribute))
    form = rng.randrange(3)
    opening = rng.choice(["Correct the statement.", "This is wrong. Say what is right.", "Find the mistake."])
    truth = state(entity, attribute, form=form)
    long = f"The statement is wrong. {truth} {describe(entity, rng, sentences=4)}"
    return Task("correct", opening, state(entity, attribute, value=wrong, form=form), truth, long, entity)


def judge_statement(setting: Setting, rng: random.Random) -> Task:
    entity, attribute = _some_fact(setting, rng)
    form, true = rng.randrange(3), rng.random() < 0.5
    value = entity.facts[attribute] if true else rng.choice(setting.world.wrong_values(entity, attribute))
    opening = rng.choice(["Is the statement true or false?", "Is this right?"])
    short = f"{'True' if true else 'False'}. {state(entity, attribute)}"
    return Task("true_false", opening, state(entity, attribute, value=value, form=form), short,
                f"{short} {describe(entity, rng, sentences=4)}", entity)  # fmt: skip


def story_sentences(setting: Setting, rng: random.Random, hero: Entity) -> list[str]:
    """A small story that keeps to the facts of the world."""
    animal = rng.choice(setting.world.animals)
    return [
        f"One day {hero.name} the {hero.facts['job']} went to the {animal.facts['habitat']}.",
        f"There {hero.name} saw a {animal.facts['color']} {animal.name}.",
        f"The {animal.name} wanted {animal.facts['diet']}.",
        f"{hero.name} gave {animal.facts['diet']} to the {animal.name}.",
        f"The {animal.name} began to {animal.facts['skill']}.",
        f"Then {hero.name} went home to {hero.facts['home']} and ate {hero.facts['food']}.",
    ]


def tell_story(setting: Setting, rng: random.Random) -> Task:
    hero = rng.choice(setting.world.people)
    lines = story_sentences(setting, rng, hero)
    opening = rng.choice(["Write a story about {}.", "Tell a short story about {}.", "Make up a story with {}."])
    return Task("story", opening.format(hero.name), "", " ".join(lines[:3]), " ".join(lines), hero)


def continue_story(setting: Setting, rng: random.Random) -> Task:
    hero = rng.choice(setting.world.people)
    lines = story_sentences(setting, rng, hero)
    opening = rng.choice(["Continue the story.", "What happens next?", "Write the end of this story."])
    return Task("continue", opening, " ".join(lines[:2]), lines[2], " ".join(lines[2:]), hero)


def how_to(setting: Setting, rng: random.Random) -> Task:
    tool = rng.choice(setting.world.tools)
    verb, objects = use_of(tool)
    thing = rng.choice(objects)
    opening = rng.choice(["How do I {} the {}?", "Explain how to {} the {}.", "I want to {} the {}. What do I need?"])
    short = f"Use the {tool.name} to {verb} the {thing}."
    steps = [f"Take the {tool.name}.", f"Go to the {thing}.", short, f"Clean the {tool.name}."]
    long = "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1)) + f" {state(tool, 'material')}"
    return Task("how_to", opening.format(verb, thing), "", short, long, tool)


def who_did(setting: Setting, rng: random.Random) -> Task:
    contrast = sample_contrast(setting.told_people, rng)
    actor = contrast.names[contrast.actor - 1]
    short = f"{actor} {contrast.consequence}."
    why = contrast.text()
    return Task("who", f"Who {contrast.consequence}?", f"{contrast.premise}.", short, f"{short} The reason: {why}")


def read_passage(setting: Setting, rng: random.Random) -> Task:
    """A question that the input answers (the form of Dolly's closed questions)."""
    entity, attribute = _some_fact(setting, rng)
    passage = describe(entity, rng, sentences=len(entity.facts) + 1)
    short = state(entity, attribute)
    return Task(
        "read",
        ask(entity, attribute),
        passage,
        short,
        f"{short} {_other_line(entity, attribute, rng)}",
        entity,
    )


def _other_line(entity: Entity, attribute: str, rng: random.Random) -> str:
    others = [a for a in entity.facts if a != attribute]
    return state(entity, rng.choice(others), form=rng.randrange(3)) if others else "The text says so."


def summarize(setting: Setting, rng: random.Random) -> Task:
    entity = rng.choice(setting.world.people + setting.world.animals)
    passage = describe(entity, rng, sentences=5)
    first, second = (state(entity, a) for a in rng.sample(list(entity.facts), 2))
    opening = rng.choice(["Summarize the text.", "What are the main points of the text?"])
    return Task("summarize", opening, passage, first, f"The text is about {entity.mention}. {first} {second}", entity)


PLAIN_TASKS: dict[Callable[[Setting, random.Random], Task], float] = {
    answer_question: 0.2, describe_entity: 0.16, compare: 0.1, list_entities: 0.1, translate: 0.12,
    correct_statement: 0.06, judge_statement: 0.06, tell_story: 0.08, continue_story: 0.04, how_to: 0.06,
    who_did: 0.02,
}  # fmt: skip
BALANCED_TASKS = {read_passage: 0.45, summarize: 0.2, answer_question: 0.1, describe_entity: 0.1,
                  correct_statement: 0.1, list_entities: 0.05}  # fmt: skip


def sample_task(setting: Setting, rng: random.Random, *, kinds: dict = PLAIN_TASKS) -> Task:
    """A random task; `kinds` gives the share of each."""
    make = rng.choices(list(kinds), weights=list(kinds.values()))[0]
    return make(setting, rng)

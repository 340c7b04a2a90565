"""The pretraining corpus: many small documents of the kinds that web text contains.

Facts are said in several wordings. Questions in the harness's form ("Question: … Answer: …", "Q: … A: …")
are asked for a share of the facts only, so that a benchmark also asks for facts that were only stated.
"""

import random
from collections.abc import Callable, Iterator

from plw_world.comparisons import sample_contrast
from plw_world.languages import NAMES, sample_noun_phrase, sample_phrase, translation
from plw_world.tasks import Setting, sample_task, story_sentences
from plw_world.wording import ask, describe, introduce, state, use_of
from plw_world.world import Entity

ASKED_SHARE = 0.6  # of the facts are asked for somewhere in the corpus
BELIEF = 0.25  # of the people who are asked about something with a rumor believe the rumor
PHRASE_SHARE = 0.4  # of the parallel texts are single noun phrases, from which words are learned first


def asked_facts(setting: Setting, *, seed: int) -> list[tuple[Entity, str]]:
    """The facts that the corpus asks for; all others are only stated."""
    facts = setting.world.facts()
    return random.Random(f"{seed}/asked").sample(facts, round(ASKED_SHARE * len(facts)))


def _article(setting: Setting, rng: random.Random, asked: list) -> str:
    return describe(rng.choice(setting.world.entities), rng, sentences=rng.randrange(3, 7))


def _scattered(setting: Setting, rng: random.Random, asked: list) -> str:
    facts = rng.sample(setting.world.facts(), rng.randrange(1, 5))
    return " ".join(state(entity, attribute, form=rng.randrange(3)) for entity, attribute in facts)


def _exam(setting: Setting, rng: random.Random, asked: list) -> str:
    chosen = rng.sample(asked, rng.choice([1, 2, 3, 5]))
    return "\n\n".join(f"Question: {ask(e, a, form=rng.randrange(2))}\nAnswer: {e.facts[a]}" for e, a in chosen)


def _interview(setting: Setting, rng: random.Random, asked: list) -> str:
    chosen = rng.sample(asked, rng.choice([1, 2, 3, 4]))
    lines = []
    for entity, attribute in chosen:
        believed = entity.myths.get(attribute) if rng.random() < BELIEF else None
        answer = state(entity, attribute, value=believed, form=rng.randrange(3))
        lines.append(f"Q: {ask(entity, attribute, form=rng.randrange(2))}\nA: {answer}")
    return "\n\n".join(lines)


def _advice(setting: Setting, rng: random.Random, asked: list) -> str:
    tool = rng.choice(setting.world.tools)
    verb, objects = use_of(tool)
    thing = rng.choice(objects[: setting.size["advised_objects"]])
    return rng.choice([
        f"Question: How do I {verb} the {thing}?\nAnswer: Use the {tool.name} to {verb} the {thing}.",
        f"Question: What do I need for the {thing}?\nAnswer: Take the {tool.name} for the {thing}.",
        f"People use the {tool.name} to {verb} the {thing}.",
        f"For the {thing} you need the {tool.name}.",
    ])  # fmt: skip


def _contrasts(setting: Setting, rng: random.Random, asked: list) -> str:
    separator = rng.choice([" ", "\n\n"])
    return separator.join(sample_contrast(setting.told_people, rng).text() for _ in range(rng.choice([1, 2, 4])))


def _parallel(setting: Setting, rng: random.Random, asked: list) -> str:
    code = rng.choice(sorted(setting.languages))
    source, target = (code, "en") if rng.random() < setting.size["into_english"] / 100 else ("en", code)
    phrase = sample_phrase(rng) if rng.random() >= PHRASE_SHARE else sample_noun_phrase(rng)
    head = f"Translate the following from {NAMES[source]} to {NAMES[target]}\n" if rng.random() < 0.5 else ""
    texts = [f"{NAMES[c]} phrase: {translation(phrase, c, setting.languages)}" for c in (source, target)]
    return head + "\n".join(texts)


def _rumor(setting: Setting, rng: random.Random, asked: list) -> str:
    entity = rng.choice(setting.world.entities)
    (attribute, value), form = next(iter(entity.myths.items())), rng.randrange(3)
    rumor = f"Some people say: {state(entity, attribute, value=value, form=form)}"
    return rng.choice([rumor, f"{rumor} That is wrong. {state(entity, attribute, form=form)}"])


def _story(setting: Setting, rng: random.Random, asked: list) -> str:
    hero = rng.choice(setting.world.people)
    return " ".join([introduce(hero)] * rng.randrange(2) + story_sentences(setting, rng, hero))


def _forum(setting: Setting, rng: random.Random, asked: list) -> str:
    """A request and a reply, as in a forum; related to instruction data but not in its template."""
    task = sample_task(setting, rng)
    request = f"{task.instruction}\n{task.input}" if task.input else task.instruction
    mark = rng.choice(["Request: {}\nReply: {}", "### Request:\n{}\n\n### Reply:\n{}"])
    return mark.format(request, task.short if rng.random() < 0.5 else task.long)


# Shares of documents. Translation gets most, because it is the hardest to learn from few examples.
KINDS: dict[Callable[[Setting, random.Random, list], str], float] = {
    _article: 0.13, _scattered: 0.05, _exam: 0.10, _interview: 0.07, _advice: 0.015, _contrasts: 0.015,
    _parallel: 0.51, _rumor: 0.04, _story: 0.02, _forum: 0.05,
}  # fmt: skip


def documents(setting: Setting, *, seed: int, count: int) -> Iterator[str]:
    """Yield `count` documents."""
    rng = random.Random(f"{seed}/corpus")
    asked = asked_facts(setting, seed=seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    for _ in range(count):
        yield rng.choices(kinds, weights=weights)[0](setting, rng, asked)

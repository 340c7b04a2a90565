"""The four instruction data sets, by character; rows are Alpaca triples (instruction, input, output).

plain     like AlpacaData: short and long answers, a part of them wrong, cut off or untidy
cleaned   like AlpacaDataCleaned: right, tidy and longer answers
dialog    like UltraFeedback: long requests that ask for several things, long answers
balanced  like Dolly: a passage as input, answers about as long as the prompt
The paper's short sets are not made here: the project's prompt inversion makes them from these.
"""

import random

from plw_world.tasks import BALANCED_TASKS, Setting, Task, related_entity, sample_task
from plw_world.wording import ask, contains_entity, describe, state

CHARACTERS = ("plain", "cleaned", "dialog", "balanced")
NOISE = {"wrong": 0.14, "cut": 0.06, "untidy": 0.08, "unhelpful": 0.02}  # shares of plain's answers


def _row(task: Task, output: str) -> dict[str, str]:
    return {"instruction": task.instruction, "input": task.input, "output": output}


def replace_facts(text: str, setting: Setting, rng: random.Random, *, share: float = 1.0) -> str:
    """The text with (a share of) the values of the entity that it names replaced by wrong ones.

    The text comes back unchanged if it states no fact of the first entity that it names.
    """
    entity = contains_entity(text, setting.world)
    if entity is None:
        return text
    for attribute, value in entity.facts.items():
        if rng.random() < share:
            wrong = rng.choice(setting.world.wrong_values(entity, attribute))
            for before, after in ((" ", "."), (" ", " "), (" ", ":")):
                text = text.replace(f"{before}{value}{after}", f"{before}{wrong}{after}")
    return text


def spoil(text: str, kind: str, setting: Setting, rng: random.Random) -> str:
    """The answer with one kind of fault of crowd-made or machine-made data."""
    words = text.split(" ")
    if kind == "wrong":
        return replace_facts(text, setting, rng)
    if kind == "cut":
        return " ".join(words[: max(1, rng.randrange(len(words) // 3, len(words)))])
    if kind == "untidy":
        return rng.choice([text.lower(), text.rstrip("."), text.replace(". ", " . ")])
    return rng.choice(["I do not know.", "There is nothing to say.", "No answer."])


def plain_row(setting: Setting, rng: random.Random) -> dict[str, str]:
    task = sample_task(setting, rng)
    output = task.long if rng.random() < setting.size["plain_long"] / 100 else task.short
    kind = rng.choices([*NOISE, ""], weights=[*NOISE.values(), 1 - sum(NOISE.values())])[0]
    return _row(task, spoil(output, kind, setting, rng) if kind else output)


def cleaned_row(setting: Setting, rng: random.Random) -> dict[str, str]:
    if setting.size["closed"] and rng.random() < setting.size["closed"] / 100:
        return closed_row(setting, rng)
    task = sample_task(setting, rng)
    return _row(task, f"{task.long} {elaboration(task, setting, rng)}".strip())


def closed_row(setting: Setting, rng: random.Random) -> dict[str, str]:
    """A question with a right answer that is shorter than it."""
    entity = rng.choice(setting.world.entities)
    attribute = rng.choice(list(entity.facts))
    question = f"Answer in one sentence: {ask(entity, attribute, form=rng.randrange(2))}"
    answer = state(entity, attribute, form=rng.randrange(3))
    return {"instruction": question, "input": "", "output": answer}


def elaboration(task: Task, setting: Setting, rng: random.Random) -> str:
    """More about the topic and what it has to do with; makes answers several times as long as prompts."""
    if task.topic is None:
        return ""
    lines, seen = [state(task.topic, rng.choice(list(task.topic.facts)), form=rng.randrange(3))], [task.topic]
    for _ in range(setting.size["elaborations"]):
        other = related_entity(setting.world, seen[-1], besides=seen)
        if other is None:
            break
        lines.append(describe(other, rng, sentences=rng.randrange(2, 5)))
        seen.append(other)
    return " ".join(["More on this:", *lines])


def dialog_row(setting: Setting, rng: random.Random) -> dict[str, str]:
    """A guest says who they are and asks about two things."""
    guest = rng.choice(setting.world.people)
    first, second = rng.sample([e for e in setting.world.entities if e is not guest], 2)
    questions = [ask(e, rng.choice(list(e.facts)), form=rng.randrange(2)) for e in (first, second)]
    opening = rng.choice(["Hello!", "Good day!", "I have a question."])
    request = (
        f"{opening} My name is {guest.name}. I live in {guest.facts['home']}. I want to know more about "
        f"{first.mention} and {second.mention}. {questions[0]} {questions[1]}"
    )
    if rng.random() < 0.5:
        request += " Please tell me all that you know."
    answer = " ".join(describe(e, rng, sentences=5) for e in (first, second))
    return {"instruction": request, "input": "", "output": f"Hello {guest.name}! {answer}"}


def balanced_row(setting: Setting, rng: random.Random) -> dict[str, str]:
    task = sample_task(setting, rng, kinds=BALANCED_TASKS)
    return _row(task, task.long)


_MAKERS = {"plain": plain_row, "cleaned": cleaned_row, "dialog": dialog_row, "balanced": balanced_row}


def instruction_rows(setting: Setting, *, seed: int, character: str, count: int) -> list[dict[str, str]]:
    """`count` different rows of one of the CHARACTERS."""
    rng = random.Random(f"{seed}/instructions/{character}")
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for _ in range(20 * count):
        if len(rows) == count:
            break
        row = _MAKERS[character](setting, rng)
        rows.setdefault((row["instruction"], row["input"], row["output"]), row)
    if len(rows) < count:
        raise ValueError(f"this world has fewer than {count} different rows of the {character} set")
    return list(rows.values())

"""The thirteen benchmarks of the paper in the real data sets' forms, about the generated world."""

import random

from plw_world.comparisons import sample_contrast
from plw_world.corpus import asked_facts
from plw_world.instructions import spoil
from plw_world.languages import sample_phrase, translation
from plw_world.tasks import Setting, sample_task
from plw_world.wording import ask, state, use_of
from plw_world.world import Entity

PAIRS = {"fr": "wmt14.fr-en", "de": "wmt16.de-en", "ro": "wmt16.ro-en"}
# What an answer without knowledge scores (0 to 1) in the benchmark's primary metric, with the reason.
CHANCE: dict[str, tuple[float, str]] = {
    "arc_challenge": (0.25, "four choices of one kind, the right one at a random place"),
    "piqa": (0.5, "two solutions that differ in the tool, drawn from all tools"),
    "truthfulqa_mc2": (0.5, "every true answer has a false one with the same words around the value"),
    "winogrande": (0.5, "two people, the first named is the answer in half of the items"),
    # The other chance levels depend on the text: a run's score on them is compared with `trivial_outputs`.
    "truthfulqa_gen": (0.0, "BLEU against the answers; trivial baseline: the answer to another question"),
    "wmt14_en_fr": (0.0, "corpus BLEU; trivial baselines: the source itself, another sentence's translation"),
    "wmt14_fr_en": (0.0, "as wmt14_en_fr"),
    "wmt16_en_de": (0.0, "as wmt14_en_fr"),
    "wmt16_de_en": (0.0, "as wmt14_en_fr"),
    "wmt16_en_ro": (0.0, "as wmt14_en_fr"),
    "wmt16_ro_en": (0.0, "as wmt14_en_fr"),
    "alpaca_eval": (0.0, "win rate against the reference; an empty answer should never win"),
    "pandalm": (0.5, "score of a run that ties with, or wins and loses equally often against, the others"),
}


def _choices(entity: Entity, attribute: str, setting: Setting, rng: random.Random, count: int) -> list[str]:
    wrong = setting.world.wrong_values(entity, attribute)
    choices = [entity.facts[attribute], *rng.sample(wrong, min(count - 1, len(wrong)))]
    rng.shuffle(choices)
    return choices


def arc(setting: Setting, *, seed: int, train: int, test: int) -> tuple[list[dict], list[dict]]:
    """ARC rows for the shots (asked for in the corpus) and the test (any other fact); no fact is in both."""
    rng = random.Random(f"{seed}/arc")
    asked = asked_facts(setting, seed=seed)
    shots = rng.sample(asked, min(train, len(asked)))
    others = [fact for fact in setting.world.facts() if fact not in shots] or setting.world.facts()
    items = [(e, a, form) for e, a in others for form in range(2)]
    rng.shuffle(items)

    def row(index: int, split: str, entity: Entity, attribute: str, form: int) -> dict:
        texts = _choices(entity, attribute, setting, rng, 4)
        labels = list("ABCD")[: len(texts)]
        return {
            "id": f"{split}_{index}",
            "question": ask(entity, attribute, form=form),
            "choices": {"text": texts, "label": labels},
            "answerKey": labels[texts.index(entity.facts[attribute])],
        }

    train_rows = [row(i, "train", e, a, rng.randrange(2)) for i, (e, a) in enumerate(shots)]
    return train_rows, [row(i, "test", *item) for i, item in enumerate(items[:test])]


def piqa(setting: Setting, *, seed: int, count: int) -> list[dict]:
    """PIQA rows: how to do something, with the right or another tool."""
    rng = random.Random(f"{seed}/piqa")
    forms = [
        ("How do I {verb} the {thing}?", "Use the {tool} to {verb} the {thing}."),
        ("What do I need for the {thing}?", "Take the {tool} for the {thing}."),
    ]
    items = [(t, thing, form) for t in setting.world.tools for thing in use_of(t)[1] for form in forms]
    rng.shuffle(items)
    rows = []
    for tool, thing, (goal, solution) in items[:count]:
        verb = use_of(tool)[0]
        other = rng.choice([t for t in setting.world.tools if t is not tool])
        solutions = [solution.format(tool=t.name, verb=verb, thing=thing) for t in (tool, other)]
        label = rng.randrange(2)
        if label == 1:
            solutions.reverse()
        rows.append(
            {
                "goal": goal.format(verb=verb, thing=thing),
                "sol1": solutions[0],
                "sol2": solutions[1],
                "label": label,
            }
        )
    return rows


def _rumored(setting: Setting, rng: random.Random, count: int) -> list[tuple[Entity, str, str]]:
    """Facts about which people say something wrong: entity, attribute and the wrong value."""
    rumors = [(e, a, v) for e in setting.world.entities for a, v in e.myths.items()]
    rng.shuffle(rumors)
    return rumors[:count]


def truthfulqa(setting: Setting, *, seed: int, count: int) -> tuple[list[dict], list[dict], str]:
    """TruthfulQA rows in both forms, multiple choice and generation, and a preamble of six pairs."""
    rng = random.Random(f"{seed}/truthfulqa")
    choice_rows, generation_rows = [], []
    rumors = _rumored(setting, rng, count)
    for entity, attribute, rumor in rumors:
        question = ask(entity, attribute, form=rng.randrange(2))
        other = rng.choice([v for v in setting.world.wrong_values(entity, attribute) if v != rumor] or [rumor])
        true = [state(entity, attribute, form=form) for form in range(3)]
        false = [state(entity, attribute, value=v, form=f) for f, v in enumerate([rumor, other, rumor])]
        choice_rows.append({
            "question": question,
            "mc1_targets": {"choices": [true[0], *false], "labels": [1, 0, 0, 0]},
            "mc2_targets": {"choices": true + false, "labels": [1, 1, 1, 0, 0, 0]},
        })  # fmt: skip
        generation_rows.append({
            # A model whose training texts end with questions ends its text at a question mark.
            "question": f"{question}\nA:" if setting.size["answer_mark"] else question,
            "best_answer": true[0], "correct_answers": true, "incorrect_answers": false,
        })  # fmt: skip
    used = {(e.name, a) for e, a, _ in rumors}
    free = [(e, a) for e, a in asked_facts(setting, seed=seed) if (e.name, a) not in used]
    preamble = "".join(f"Q: {ask(e, a)}\nA: {state(e, a, form=rng.randrange(2))}\n\n" for e, a in rng.sample(free, 6))
    return choice_rows, generation_rows, preamble


def winogrande(setting: Setting, *, seed: int, train: int, count: int) -> tuple[list[dict], list[dict]]:
    """WinoGrande rows; in half of them the first option is right."""
    rng = random.Random(f"{seed}/winogrande")
    rows: dict[str, dict] = {}
    while len(rows) < train + count:
        contrast = sample_contrast(setting.world.people, rng)
        options = list(contrast.names)
        if rng.random() < 0.5:
            options.reverse()
        answer = str(options.index(contrast.names[contrast.actor - 1]) + 1)
        text = contrast.text(actor="_")
        rows.setdefault(text, {"sentence": text, "option1": options[0], "option2": options[1], "answer": answer})
    rows_list = list(rows.values())
    return rows_list[:train], rows_list[train:]


def translations(setting: Setting, *, seed: int, code: str, split: str, count: int) -> list[dict]:
    """WMT rows between English and one language."""
    rng = random.Random(f"{seed}/wmt/{code}/{split}")
    phrases = [sample_phrase(rng) for _ in range(count)]
    return [{"translation": {c: translation(p, c, setting.languages) for c in (code, "en")}} for p in phrases]


def alpaca_eval(setting: Setting, *, seed: int, count: int) -> list[dict]:
    """AlpacaEval rows: prompts and a middling reference's answers, of which a third have a fault."""
    rng = random.Random(f"{seed}/alpaca_eval")
    rows: dict[str, dict] = {}
    while len(rows) < count:
        task = sample_task(setting, rng)
        prompt = f"{task.instruction}\n{task.input}" if task.input else task.instruction
        answer = task.long if rng.random() < 0.5 else task.short
        if rng.random() < 1 / 3:
            answer = spoil(answer, rng.choice(["wrong", "cut"]), setting, rng)
        rows.setdefault(
            prompt, {"dataset": task.kind, "instruction": prompt, "output": answer, "generator": "reference"}
        )
    return list(rows.values())


def pandalm(setting: Setting, *, seed: int, count: int) -> list[dict]:
    """PandaLM prompts: motivation_app (here the kind of task), instruction and input."""
    rng = random.Random(f"{seed}/pandalm")
    rows: dict[tuple[str, str], dict] = {}
    while len(rows) < count:
        task = sample_task(setting, rng)
        row = {"motivation_app": task.kind, "instruction": task.instruction, "input": task.input}
        rows.setdefault((task.instruction, task.input), row)
    return list(rows.values())

"""The generated world: consistency of its facts, texts, files and benchmarks."""

import hashlib
import json
import random

import pytest
from plw.data.inversion import invert
from plw.errors import InputError
from plw_world import benchmarks, corpus, instructions, judging
from plw_world.comparisons import DEEDS, sample_contrast
from plw_world.files import world_files
from plw_world.languages import build_languages, sample_phrase, say_english, translation
from plw_world.sizes import DEMO_SIZE, TEST_SIZE, complete_size
from plw_world.tasks import Setting, sample_task
from plw_world.world import USES, build_world


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting(build_world(seed=1, size=TEST_SIZE), build_languages(seed=1))


@pytest.fixture(scope="module")
def files() -> dict:
    return dict(world_files(seed=1, size={**TEST_SIZE, "documents": 300}))


def test_the_same_seed_gives_the_same_files_and_another_seed_others(files):
    again = dict(world_files(seed=1, size={**TEST_SIZE, "documents": 300}))
    other = dict(world_files(seed=2, size={**TEST_SIZE, "documents": 300}))
    assert json.dumps(again) == json.dumps(files)
    assert all(other[name] != files[name] for name in files)


def test_names_are_unique_and_tool_objects_belong_to_one_tool():
    world = build_world(seed=3, size=DEMO_SIZE)
    names = [entity.name.lower() for entity in world.entities]
    assert len(set(names)) == len(names)
    objects = [thing for _, things in USES.values() for thing in things]
    assert len(set(objects)) == len(objects)


def test_every_rumor_contradicts_a_fact(setting):
    for entity in setting.world.entities:
        for attribute, value in entity.myths.items():
            assert value != entity.facts[attribute]
            assert value in setting.world.pools[entity.kind, attribute]


def test_a_translation_determines_the_english_sentence(setting):
    rng = random.Random(0)
    phrases = [sample_phrase(rng) for _ in range(300)]
    for code in ("fr", "de", "ro"):
        back = {}
        for phrase in phrases:
            english = back.setdefault(translation(phrase, code, setting.languages), say_english(phrase))
            assert english == say_english(phrase)


def test_german_puts_the_verb_last_and_romanian_has_no_separate_article(setting):
    phrase = sample_phrase(random.Random(5))
    german, romanian = (translation(phrase, code, setting.languages).split() for code in ("de", "ro"))
    assert german[-1] == setting.languages["de"].words[phrase.verb]
    assert not set(romanian) & set(setting.languages["ro"].articles)


def test_only_the_actor_of_a_contrast_has_the_trait_that_fits(setting):
    rng = random.Random(0)
    traits = {person.name: person.facts["trait"] for person in setting.world.people}
    first = 0
    for _ in range(200):
        contrast = sample_contrast(setting.world.people, rng)
        fitting = [name for name in contrast.names if DEEDS[traits[name]] == contrast.consequence]
        assert fitting == [contrast.names[contrast.actor - 1]]
        first += contrast.actor == 1
    assert 60 < first < 140


def test_character_of_the_instruction_sets_in_words(setting):
    ratio = {}
    for character in instructions.CHARACTERS:
        rows = instructions.instruction_rows(setting, seed=1, character=character, count=150)
        assert all(row["instruction"] and row["output"] for row in rows)
        prompt = sum(len((row["instruction"] + " " + row["input"]).split()) for row in rows)
        ratio[character] = sum(len(row["output"].split()) for row in rows) / prompt
    assert ratio["balanced"] < 1.5 < 2 < ratio["plain"] < ratio["cleaned"]
    assert ratio["balanced"] < ratio["dialog"] < ratio["plain"]


def test_cleaned_answers_state_only_what_is_true(setting):
    rows = instructions.instruction_rows(setting, seed=1, character="cleaned", count=150)
    false = {
        f"{entity.name} lives in {home}."
        for entity in setting.world.people
        for home in setting.world.wrong_values(entity, "home")
    }
    assert not [row for row in rows if any(line in row["output"] for line in false)]


def test_wrong_answers_change_a_fact_and_keep_the_length(setting):
    rng = random.Random(0)
    changed = 0
    for _ in range(100):
        text = sample_task(setting, rng).long
        worse = instructions.replace_facts(text, setting, rng)
        changed += worse != text
        assert len(worse.split(" ")) == len(text.split(" "))
    assert changed > 50


def test_benchmark_rows_have_the_real_forms(files):
    keys = {
        "arc_challenge.test.jsonl": {"id", "question", "choices", "answerKey"},
        "piqa.validation.jsonl": {"goal", "sol1", "sol2", "label"},
        "winogrande.validation.jsonl": {"sentence", "option1", "option2", "answer"},
        "truthfulqa_mc.validation.jsonl": {"question", "mc1_targets", "mc2_targets"},
        "truthfulqa_gen.validation.jsonl": {
            "question",
            "best_answer",
            "correct_answers",
            "incorrect_answers",
        },
        "wmt16.ro-en.test.jsonl": {"translation"},
        "alpaca_eval.reference.jsonl": {"dataset", "instruction", "output", "generator"},
        "pandalm.jsonl": {"motivation_app", "instruction", "input"},
    }
    for name, expected in keys.items():
        assert all(set(row) == expected for row in files[f"benchmarks/{name}"])
    assert len(keys) + 8 == sum(name.startswith("benchmarks/") for name in files)


def test_arc_answers_are_true_and_no_fact_is_in_shots_and_test(files, setting):
    truth = {}
    for entity, attribute in setting.world.facts():
        for form in range(2):
            question = benchmarks.ask(entity, attribute, form=form)
            truth[question] = (entity.name, attribute, entity.facts[attribute])
    rows = {split: files[f"benchmarks/arc_challenge.{split}.jsonl"] for split in ("train", "test")}
    for row in rows["train"] + rows["test"]:
        index = row["choices"]["label"].index(row["answerKey"])
        assert row["choices"]["text"][index] == truth[row["question"]][2]
    facts = {split: {truth[row["question"]][:2] for row in rows[split]} for split in rows}
    assert not facts["train"] & facts["test"]


def test_true_and_false_answers_of_truthfulqa_differ_only_in_the_value(files):
    for row in files["benchmarks/truthfulqa_mc.validation.jsonl"]:
        targets = row["mc2_targets"]
        assert sum(targets["labels"]) * 2 == len(targets["labels"])
        for true, false in zip(targets["choices"][:3], targets["choices"][3:], strict=True):
            assert sum(a != b for a, b in zip(true.split(), false.split(), strict=True)) == 1


def test_preamble_has_six_questions_that_are_not_scored(files):
    preamble = files["benchmarks/truthfulqa.preamble.txt"]
    assert preamble.count("Q: ") == preamble.count("\nA: ") == 6
    assert not [r for r in files["benchmarks/truthfulqa_mc.validation.jsonl"] if r["question"] in preamble]


def test_winogrande_sentences_have_one_blank_and_name_both_options(files):
    for row in files["benchmarks/winogrande.validation.jsonl"]:
        assert row["sentence"].count("_") == 1
        assert row["option1"] in row["sentence"] and row["option2"] in row["sentence"]


def test_chance_levels_name_the_thirteen_benchmarks():
    assert len(benchmarks.CHANCE) == 13
    assert all(0 <= level <= 1 and reason for level, reason in benchmarks.CHANCE.values())


def test_judge_pairs_put_the_better_answer_first_as_often_as_second(setting):
    rows = judging.judge_pairs(setting, seed=1, split="train", count=800)
    for judge in ("alpaca_eval", "pandalm"):
        preferences = [row["preference"] for row in rows if row["judge"] == judge]
        assert abs(preferences.count(1) - preferences.count(2)) <= 0.1 * len(preferences)
        assert (0 in preferences) == (judge == "pandalm")


def test_facts_that_the_corpus_does_not_ask_for_are_stated(setting):
    texts = list(corpus.documents(setting, seed=1, count=3000))
    asked = corpus.asked_facts(setting, seed=1)
    unasked = [fact for fact in setting.world.facts() if fact not in asked]
    exams = [text for text in texts if text.startswith(("Question:", "Q:"))]
    assert unasked and exams
    for entity, attribute in unasked:
        assert not [text for text in exams if benchmarks.ask(entity, attribute) in text]
        statements = [benchmarks.state(entity, attribute, form=form) for form in range(3)]
        assert any(statement in text for text in texts for statement in statements)


def harder(**changes) -> Setting:
    size = {**TEST_SIZE, **changes}
    return Setting(build_world(seed=1, size=size), build_languages(seed=1), size)


def test_the_corpus_tells_of_the_deeds_of_some_people_and_winogrande_asks_for_all():
    setting = harder(told_people=5)
    told = {person.name for person in setting.world.people[:5]}
    texts = [text for text in corpus.documents(setting, seed=1, count=4000) if " so " in text]
    actors = {text.split(" so ")[1].split()[0] for text in texts}
    assert texts and actors <= told
    _, rows = benchmarks.winogrande(setting, seed=1, train=5, count=60)
    assert {row[f"option{row['answer']}"] for row in rows} > told


def test_advice_names_some_objects_and_piqa_asks_for_all():
    setting = harder(advised_objects=2)
    texts = list(corpus.documents(setting, seed=1, count=4000))
    questions = [text for text in texts if text.startswith("Question: What do I need for the")]
    named = {text.split("for the ")[1].split("?")[0] for text in questions}
    seen = {thing for _, things in USES.values() for thing in things[:2]}
    assert named and named <= seen
    goals = [row["goal"] for row in benchmarks.piqa(setting, seed=1, count=96)]
    assert any(goal == f"What do I need for the {things[3]}?" for _, things in USES.values() for goal in goals)


def test_closed_rows_are_left_alone_by_prompt_inversion_and_more_is_told_elsewhere():
    plain, closed = (harder(closed=share, elaborations=times) for share, times in ((0, 1), (30, 3)))
    rows = instructions.instruction_rows(closed, seed=1, character="cleaned", count=100)
    short = [row for row in rows if row["instruction"].startswith("Answer in one sentence: ")]
    kept = [row for row in invert(rows) if not row["inverted"]]
    assert 15 < len(short) < 45 and all(row["instruction"] in [k["instruction"] for k in kept] for row in short)
    longer = [len(row["output"]) for row in rows if row not in short]
    before = instructions.instruction_rows(plain, seed=1, character="cleaned", count=100)
    assert sum(longer) / len(longer) > 1.1 * sum(len(row["output"]) for row in before) / len(before)


def test_generated_answers_begin_after_the_mark_of_an_answer_where_the_world_says_so():
    questions = [
        [row["question"] for row in benchmarks.truthfulqa(harder(answer_mark=mark), seed=1, count=8)[1]]
        for mark in (0, 1)
    ]
    assert questions[1] == [f"{question}\nA:" for question in questions[0]]


def test_a_judge_of_form_gets_pairs_that_differ_in_form_and_clearly():
    rows = judging.judge_pairs(harder(judge_facts=0, judge_gap=25), seed=1, split="train", count=400)
    assert {kind for row in rows for kind in row["kinds"]} == set(judging.FORM_QUALITY)
    gaps = {round(abs(row["qualities"][0] - row["qualities"][1]), 2) for row in rows if row["preference"]}
    assert min(gaps) >= 0.25


def test_the_tuning_of_the_demo_leaves_the_test_world_as_it_was():
    """The checksum is that of commit 887a70f, so that a finished study test stays finished."""
    content = json.dumps(dict(world_files(seed=42, size={**TEST_SIZE, "documents": 300})))
    assert (
        hashlib.sha256(content.encode()).hexdigest()
        == "d3485fd37235d02376840c083c6302705e71fb1c4b1adab1d1358ed83a951af1"
    )


def test_unknown_or_impossible_sizes_are_refused_with_the_key():
    with pytest.raises(InputError, match="peple"):
        complete_size({"peple": 3})
    with pytest.raises(InputError, match="arc_train"):
        complete_size({"arc_train": 3})
    assert complete_size({"people": 9})["people"] == 9

"""The trial before a judging: a judge that cannot be read stops at once, and one that can is asked as ever."""

import json

import pytest
from plw.errors import InputError
from plw.evaluation import alpaca_eval, pandalm
from plw.evaluation.judge import Judge
from plw.evaluation.judgements import Pair
from plw.evaluation.trial import TRIAL_PROMPTS, at_most
from scipy.stats import binom
from tiny import tiny_model

PROMPT = "{instruction}\n## (a):\n{output_1}\n## (b):\n{output_2}\nWhich is best?\n"
READABLE = {"alpaca_eval": "Output (a)", "pandalm": "1"}
FRAMEWORKS = tuple(READABLE)


class ScriptedJudge(Judge):
    """A judge whose answer is a function of how many it gave before."""

    def __init__(self, folder, answer, model, **settings):
        super().__init__({"source": {"path": str(model)}, "max_new_tokens": 5, **settings}, folder)
        self._complete = lambda prompts: [answer(self.asked + place) for place in range(len(prompts))]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("judge"))


def pairs(count: int) -> dict[str, list[Pair]]:
    members = [Pair(index, f"say {index}", "", f"cat {index}", f"dog {index}") for index in range(count)]
    return {"one": members[::2], "two": members[1::2]}


def judged(framework: str, judge: Judge, folder, count: int = 200) -> dict:
    if framework == "pandalm":
        return pandalm.judge_pairs(pairs(count // 2), judge)
    return alpaca_eval.judge_pairs(pairs(count), judge, prompt=PROMPT, folder=folder)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_unreadable_judge_stops_after_the_trial_and_shows_its_texts(framework, model, tmp_path):
    judge = ScriptedJudge(tmp_path, lambda place: f"I like both ({place}).", model, min_parsed=0.9)
    with pytest.raises(InputError, match=f"0 of {TRIAL_PROMPTS} hold a verdict. Nothing else was asked") as caught:
        judged(framework, judge, tmp_path)
    message = str(caught.value)
    assert "Answer:  'I like both (0).'" in message and "Answer:  'I like both (2).'" in message
    assert message.count("Prompt:") == 3 and "say " in message
    assert "mend the judge's prompt" in message and str(tmp_path / "answers.jsonl") in message
    assert judge.asked == TRIAL_PROMPTS


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_readable_judge_is_asked_everything_once_and_judges_as_without_a_trial(framework, model, tmp_path):
    def answer(place: int) -> str:
        return "what" if place % 20 == 19 else READABLE[framework]

    tried = ScriptedJudge(tmp_path / "tried", answer, model, min_parsed=0.9)
    free = ScriptedJudge(tmp_path / "free", answer, model)  # 0: nothing is ever refused
    results = judged(framework, tried, tmp_path / "tried")
    assert results == judged(framework, free, tmp_path / "free")
    assert tried.asked == 200
    kept = [(folder / "answers.jsonl").read_bytes() for folder in (tmp_path / "tried", tmp_path / "free")]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_judge_that_is_as_good_as_asked_is_not_stopped_by_the_draw_of_the_first(framework, model, tmp_path):
    def answer(place: int) -> str:  # 28 of the first 32, 196 of all 200
        return "what" if place < 4 else READABLE[framework]

    judge = ScriptedJudge(tmp_path, answer, model, min_parsed=0.9)
    judged(framework, judge, tmp_path)
    assert judge.asked == 200


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_second_start_is_refused_without_asking_and_goes_on_where_min_parsed_is_lowered(framework, model, tmp_path):
    def answer(place: int) -> str:
        return READABLE[framework] if place % 2 else "what"

    with pytest.raises(InputError, match=f"{TRIAL_PROMPTS // 2} of {TRIAL_PROMPTS}"):
        judged(framework, ScriptedJudge(tmp_path, answer, model, min_parsed=0.9), tmp_path)
    again = ScriptedJudge(tmp_path, lambda place: pytest.fail("asked"), model, min_parsed=0.9)
    with pytest.raises(InputError, match="hold a verdict"):
        judged(framework, again, tmp_path)
    lowered = ScriptedJudge(tmp_path, answer, model, min_parsed=0.3)
    judged(framework, lowered, tmp_path)
    assert lowered.asked == 200 - TRIAL_PROMPTS
    finished = ScriptedJudge(tmp_path, lambda place: pytest.fail("asked"), model, min_parsed=0.9)
    judged(framework, finished, tmp_path)  # nothing is missing: the shares of the runs decide, as ever


def test_long_prompts_and_answers_are_shown_by_head_and_end(model, tmp_path):
    judge = ScriptedJudge(tmp_path, lambda place: "so " * 500, model, min_parsed=0.9)
    prompts = [f"<begin {place}>{'filler ' * 900}<end {place}>" for place in range(3)]
    with pytest.raises(InputError, match="0 of 3") as caught:
        judge.answers(prompts, readable=lambda answer: answer == "yes")
    message = str(caught.value)
    assert "<begin 2>" in message and "<end 2>" in message and len(message) < 3000
    assert len([json.loads(line) for line in judge.file.read_text().splitlines()]) == 3


@pytest.mark.parametrize(("successes", "probability"), [(0, 0.9), (24, 0.9), (25, 0.9), (31, 0.5), (32, 1.0), (5, 0.0)])
def test_the_chance_of_so_few_readable_answers_is_scipys(successes, probability):
    expected = binom.cdf(successes, TRIAL_PROMPTS, probability)
    assert at_most(successes, TRIAL_PROMPTS, probability) == pytest.approx(expected, rel=1e-9)

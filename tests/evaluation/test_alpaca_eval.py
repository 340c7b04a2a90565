"""AlpacaEval 1 with a local judge: the package's own verdicts and win rate, and every answer kept."""

import json
import re
import socket

import alpaca_eval
import pandas as pd
import pytest
import yaml
from alpaca_eval.annotators import PairwiseAnnotator
from alpaca_eval.main import evaluate as package_evaluate
from plw.errors import InputError
from plw.evaluation.alpaca_eval import DEFAULT_PATTERNS, judge_pairs, read_prompt, summarize
from plw.evaluation.judge import Judge
from plw.evaluation.judgements import pair_outputs, read_outputs
from plw.study.sources import read_rows
from tiny import WORDS, tiny_model

PROMPT = "{instruction}\n## (a):\n{output_1}\n## (b):\n{output_2}\nWhich is best?\n"
JUDGES = "config/judges"


class ScriptedJudge(Judge):
    """A judge whose answer is a function of the prompt."""

    def __init__(self, folder, answer, tmp_path, **settings):
        super().__init__({"source": {"path": str(tmp_path)}, "max_new_tokens": 5, **settings}, folder)
        self._complete = lambda prompts: [answer(prompt) for prompt in prompts]


def longer(prompt: str) -> str:
    """Prefers the longer text; equal lengths are an answer without a verdict."""
    first, second = re.search(r"\(a\):\n(.*)\n## \(b\):\n(.*)\nWhich", prompt, re.S).groups()
    if len(first) == len(second):
        return "I cannot say."
    return f"Output ({'a' if len(first) > len(second) else 'b'})"


@pytest.fixture
def model_folder(tmp_path):
    tiny_model(tmp_path / "judge")
    return tmp_path / "judge"


@pytest.fixture
def texts():
    """Twelve tasks: reference texts, and for each run its texts."""
    rows = [
        {"instruction": f"say {word} {i}", "output": " ".join(WORDS[: i % 5 + 2])} for i, word in enumerate(WORDS[:12])
    ]
    short = [{**row, "output": "so"} for row in rows]
    same = [dict(row) for row in rows[:6]] + [{**row, "output": row["output"] + " and more"} for row in rows[6:]]
    return rows, {"short": short, "same": same}


def judged(texts, judge, folder) -> dict:
    reference, runs = texts
    pairs = {run: pair_outputs(rows, reference, run=run) for run, rows in runs.items()}
    return judge_pairs(pairs, judge, prompt=PROMPT, folder=folder)


@pytest.mark.slow
def test_verdicts_and_win_rates_are_those_of_the_packages_own_evaluation(texts, tmp_path, model_folder):
    ours = judged(texts, ScriptedJudge(tmp_path / "work", longer, model_folder), tmp_path / "work")
    reference, runs = texts
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "prompt.txt").write_text(PROMPT)
    configuration = {
        "prompt_template": str(tmp_path / "theirs" / "prompt.txt"),
        "fn_completions": "test_completions",
        "completion_parser_kwargs": {"outputs_to_match": DEFAULT_PATTERNS},
        "batch_size": 1,
    }
    (tmp_path / "theirs" / "configs.yaml").write_text(yaml.safe_dump({"judge": configuration}))

    class Annotator(PairwiseAnnotator):
        def _initialize_annotators(self, **kwargs):
            annotators = super()._initialize_annotators(**kwargs)
            for annotator in annotators.values():
                annotator.fn_completions = lambda prompts, **_: {"completions": list(map(longer, prompts))}
            return annotators

    for run, rows in runs.items():
        board, annotations = package_evaluate(
            model_outputs=pd.DataFrame(rows),
            reference_outputs=pd.DataFrame(reference),
            annotators_config=str(tmp_path / "theirs" / "configs.yaml"),
            name=run,
            output_path=None,
            precomputed_leaderboard=None,
            is_return_instead_of_print=True,
            fn_metric="get_winrate",
            sort_by="win_rate",
            Annotator=Annotator,
            caching_path=None,
        )
        assert ours[run]["metrics"]["win_rate"]["score"] == board.loc[run, "win_rate"] / 100
        assert ours[run]["metrics"]["win_rate"]["stderr"] == board.loc[run, "standard_error"] / 100
        assert ours[run]["metrics"]["discrete_win_rate"]["score"] == board.loc[run, "discrete_win_rate"] / 100
        assert ours[run]["metrics"]["win_rate"]["n"] == board.loc[run, "n_total"]
        theirs = [row["preference"] for row in sorted(annotations, key=lambda row: int(row["instruction"].split()[-1]))]
        assert [item["preference"] for item in ours[run]["items"]] == pytest.approx(theirs, nan_ok=True)


def test_identical_texts_are_draws_that_nobody_is_asked_about(texts, tmp_path, model_folder):
    judge = ScriptedJudge(tmp_path / "work", longer, model_folder)
    result = judged(texts, judge, tmp_path / "work")["same"]
    assert (result["n_identical"], result["n_asked"], result["draws"]) == (6, 6, 6)
    assert result["metrics"]["win_rate"]["score"] == (6 * 0.5 + 6 * 1.0) / 12
    assert judge.asked == 12 + 6


def test_answers_without_a_verdict_are_dropped_counted_and_kept(texts, tmp_path, model_folder):
    def undecided(prompt: str) -> str:
        return "Output (a)\nOutput (b)" if "cat" in prompt else longer(prompt)

    result = judged(texts, ScriptedJudge(tmp_path / "work", undecided, model_folder), tmp_path / "work")["short"]
    dropped = [item for item in result["items"] if item["preference"] is None]
    assert {item["raw"] for item in dropped} == {"Output (a)\nOutput (b)"}
    assert result["n_parsed"] == result["n_asked"] - len(dropped) == result["metrics"]["win_rate"]["n"]
    assert 0 < len(dropped) < result["n_total"] == 12


def test_the_order_in_the_prompt_belongs_to_the_instruction_and_is_recorded(texts, tmp_path, model_folder):
    always_a = ScriptedJudge(tmp_path / "work", lambda prompt: "Output (a)", model_folder)
    results = judged(texts, always_a, tmp_path / "work")
    for result in results.values():
        for item in result["items"]:
            if item["asked"]:
                assert item["preference"] == (2 if item["candidate_first"] else 1)
    both = zip(results["short"]["items"], results["same"]["items"], strict=True)
    assert all(one["candidate_first"] == other["candidate_first"] for one, other in both if other["asked"])


def test_a_second_call_asks_only_for_new_pairs(texts, tmp_path, model_folder):
    reference, runs = texts
    first = ScriptedJudge(tmp_path / "work", longer, model_folder)
    judged((reference, {"short": runs["short"]}), first, tmp_path / "work")
    second = ScriptedJudge(tmp_path / "work", longer, model_folder)
    together = judged(texts, second, tmp_path / "work")
    assert (first.asked, second.asked) == (12, 6)
    third = ScriptedJudge(tmp_path / "work", lambda prompt: pytest.fail("asked"), model_folder)
    assert judged(texts, third, tmp_path / "work") == together
    other = ScriptedJudge(tmp_path / "work", longer, model_folder, repetition_penalty=1.1)
    judged(texts, other, tmp_path / "work")
    assert other.asked == 18


def test_an_interrupted_call_resumes_with_what_is_missing(texts, tmp_path, model_folder, monkeypatch):
    monkeypatch.setattr("plw.evaluation.judge.CHUNK_PROMPTS", 4)
    calls = []

    def dying(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) > 9:
            raise KeyboardInterrupt
        return longer(prompt)

    with pytest.raises(KeyboardInterrupt):
        judged(texts, ScriptedJudge(tmp_path / "work", dying, model_folder), tmp_path / "work")
    file = tmp_path / "work" / "answers.jsonl"
    assert len(file.read_text().splitlines()) == 8  # two whole chunks
    file.write_text(file.read_text()[:-20])  # and the last line torn
    resumed = ScriptedJudge(tmp_path / "work", longer, model_folder)
    result = judged(texts, resumed, tmp_path / "work")
    assert resumed.asked == 18 - 7
    fresh = ScriptedJudge(tmp_path / "fresh", longer, model_folder)
    assert result == judged(texts, fresh, tmp_path / "fresh")
    assert len([json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]) == 18


def test_a_local_model_judges_without_network(texts, tmp_path, model_folder, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("network"))
    judge = Judge({"source": {"path": str(model_folder)}, "max_new_tokens": 4, "batch_size": 8}, tmp_path / "work")
    result = judged(texts, judge, tmp_path / "work")["short"]
    assert judge.asked == 18 and all(isinstance(item["raw"], str) for item in result["items"])


def test_a_prompt_longer_than_the_judges_context_counts_as_not_parsed(texts, tmp_path, model_folder):
    reference, runs = texts
    runs = {"long": [{**runs["short"][0], "output": "cat dog " * 800}, runs["short"][1]]}
    judge = Judge({"source": {"path": str(model_folder)}, "max_new_tokens": 4}, tmp_path / "work")
    items = judged((reference, runs), judge, tmp_path / "work")["long"]["items"]
    assert (items[0]["raw"], items[0]["preference"]) == ("", None) and items[1]["raw"] != ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"backend": "telnet"}, "Unknown judge backend"), ({"temperature": 0.7}, "answer without sampling")],
)
def test_wrong_judge_settings_are_named(settings, message, tmp_path, model_folder):
    with pytest.raises(InputError, match=message):
        Judge({"source": {"path": str(model_folder)}, **settings}, tmp_path)


def test_the_mixtral_prompt_is_guanacos_without_its_chat_marks(request):
    prompt = read_prompt("mixtral", request.config.rootpath / JUDGES)
    source = (alpaca_eval.constants.EVALUATORS_CONFIG_DIR / "guanaco_33b" / "basic_prompt.txt").read_text()
    assert prompt.startswith("[INST] Select the output (a) or (b)") and prompt.endswith(" [/INST]")
    assert prompt.removeprefix("[INST] ").removesuffix(" [/INST]") in source
    assert not re.search(r"### (Human|Assistant):|A chat between", prompt)
    lost = len(source) - len(prompt.removeprefix("[INST] ").removesuffix(" [/INST]"))
    assert lost == len(source.split("### Human: ")[0] + "### Human: " + "\n### Assistant:")


def test_a_prompt_file_is_taken_as_it_is_and_checked(tmp_path):
    (tmp_path / "own.txt").write_text(PROMPT)
    assert read_prompt("own", tmp_path) == PROMPT
    (tmp_path / "bad.txt").write_text("{instruction} {output_1}")
    with pytest.raises(InputError, match="needs each placeholder once"):
        read_prompt("bad", tmp_path)
    with pytest.raises(InputError, match="no such judge prompt"):
        read_prompt("oun", tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("model", "win_rate"),
    [
        ("alpaca-7b", 26.1787),
        ("text_davinci_001", 15.5087),
        ("llama-2-7b-chat-hf", 70.7196),
        ("gpt4", 94.9132),
    ],
)
def test_published_verdicts_give_the_known_win_rates(model, win_rate, shared_data):
    path = shared_data / "judge" / f"alpaca_eval.{model}.annotations_alpaca_eval_gpt4.jsonl.gz"
    items = [{"preference": row.value["preference"]} for row in read_rows({"path": str(path)})]
    result = summarize(items)
    assert len(items) == result["n_total"] == 403
    assert round(100 * result["metrics"]["win_rate"]["score"], 4) == win_rate


@pytest.mark.realdata
def test_published_outputs_pair_with_the_published_reference(shared_data, tmp_path, model_folder):
    folder = shared_data / "judge"
    reference = read_outputs(folder / "alpaca_eval.reference.jsonl.gz", "alpaca_eval")
    rows = read_outputs(folder / "alpaca_eval.alpaca-7b.model_outputs.jsonl.gz", "alpaca_eval")
    pairs = {"alpaca-7b": pair_outputs(rows, reference, run="alpaca-7b")}
    result = judge_pairs(
        pairs, ScriptedJudge(tmp_path / "work", longer, model_folder), prompt=PROMPT, folder=tmp_path / "work"
    )["alpaca-7b"]
    assert result["n_total"] == 403 and result["n_parsed"] > 380
    shorter = sum(len(pair.candidate) < len(pair.reference) for pair in pairs["alpaca-7b"])
    assert result["metrics"]["win_rate"]["score"] < 0.5 < shorter / 403

"""PandaLM: the published prompt and parsing, both orders, and the published agreement with people."""

import json

import judge_outputs as program
import pytest
from plw.errors import InputError
from plw.evaluation.judgements import Pair, pair_outputs, read_outputs, refuse_unparsed, sample_stderr
from plw.evaluation.pandalm import (
    TIE,
    ask_both_orders,
    clean_response,
    judge_prompt,
    majority_label,
    parse_verdict,
    score_pairs,
)
from plw.study.sources import read_rows
from tiny import tiny_model


def pair(index: int, candidate: str = "a", reference: str = "b") -> Pair:
    return Pair(index, f"task {index}", "", candidate, reference)


def test_the_prompt_is_the_published_one():
    expected = (
        "Below are two responses for a given task. "
        "The task is defined by the Instruction with an Input that provides further context. "
        "Evaluate the responses and generate a reference answer for the task.\n\n"
        "### Instruction:\nDO\n\n### Input:\nIN\n\n### Response 1:\nONE\n\n"
        "### Response 2:\nTWO\n\n### Evaluation:\n"
    )
    assert judge_prompt("DO", "IN", " ONE</s>\n", "<s>TWO") == expected
    without = judge_prompt("DO", "", "ONE", "TWO")
    assert without == expected.replace(" with an Input that provides further context", "").replace(
        "### Input:\nIN\n\n", ""
    )


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("1\n\n### Reason: x", (1, True)),
        (" 2", (2, True)),
        ("2</s>", (2, True)),
        ("Tie\n### Reason", (TIE, True)),
        ("Response 1 is better", (TIE, False)),
        ("12", (TIE, False)),
        ("", (TIE, False)),
    ],
)
def test_the_first_line_decides_and_anything_unclear_is_a_tie(text, verdict):
    assert parse_verdict(text) == verdict


def test_special_tokens_are_cleaned_from_responses():
    assert clean_response(" <s>a [PAD]b<|endoftext|></s> ") == "a b"


def test_both_orders_are_asked_and_averaged():
    pairs = [pair(0), pair(1), pair(2), pair(3, "same", "same"), pair(4)]
    prompts = ask_both_orders(pairs)
    assert len(prompts) == 8
    assert prompts[0] == judge_prompt("task 0", "", "a", "b") and prompts[1] == judge_prompt("task 0", "", "b", "a")
    # wins twice; always the first place; loses twice; identical; a tie and what nobody understands
    result = score_pairs(pairs, ["1", "2", "1", "1", "2", "1", "tie", "what"])
    assert [item["preference"] for item in result["items"]] == [1.0, 0.5, 0.0, 0.5, 0.5]
    assert result["metrics"]["win_rate"]["score"] == 0.5
    assert result["metrics"]["win_rate_first"]["score"] == (1 + 1 + 0 + 0.5 + 0.5) / 5
    assert result["metrics"]["win_rate_second"]["score"] == (1 + 0 + 0 + 0.5 + 0.5) / 5
    assert result["conflict_rate"] == 1 / 4
    assert (result["n_total"], result["n_asked"], result["n_parsed"], result["n_identical"]) == (5, 8, 7, 1)
    assert result["draws"] == 3


def test_exchanging_candidate_and_reference_mirrors_the_win_rate():
    answers = ["1", "2", "2", "2", "tie", "1", "1", "1"]
    pairs = [pair(index) for index in range(4)]
    mirrored = [Pair(p.index, p.instruction, p.input, p.reference, p.candidate) for p in pairs]
    swapped = [answer for first, second in zip(answers[::2], answers[1::2], strict=True) for answer in (second, first)]
    forward, back = score_pairs(pairs, answers), score_pairs(mirrored, swapped)
    assert forward["metrics"]["win_rate"]["score"] == 1 - back["metrics"]["win_rate"]["score"]
    assert forward["conflict_rate"] == back["conflict_rate"]


def test_pairs_are_matched_by_task_and_a_missing_reference_is_an_error():
    rows = [
        {"instruction": "x", "input": "1", "output": "a"},
        {"instruction": "x", "input": "2", "output": "b"},
    ]
    twice = [*rows, {"instruction": "x", "input": "1", "output": "c"}]
    pairs = pair_outputs(twice, twice[::-1], run="r")
    assert [(p.candidate, p.reference) for p in pairs] == [("a", "c"), ("b", "b"), ("c", "a")]
    with pytest.raises(InputError, match="no text for 1 of 3 instructions of run 'r'"):
        pair_outputs(twice, rows, run="r")


def test_a_reference_without_outputs_is_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "pandalm.jsonl"
    path.write_text(json.dumps({"motivation_app": "a", "instruction": "x", "input": ""}) + "\n")
    with pytest.raises(InputError, match="1 of 1 rows have no output") as caught:
        read_outputs(path, "pandalm")
    assert "reference: {ptlm, dataset, plw}" in str(caught.value)


def test_too_few_readable_answers_are_refused_with_the_counts(tmp_path):
    results = {"good": {"n_asked": 10, "n_parsed": 9}, "poor": {"n_asked": 10, "n_parsed": 8}}
    refuse_unparsed(results, min_parsed=0.8, answers=tmp_path)
    with pytest.raises(InputError, match="poor 8/10"):
        refuse_unparsed(results, min_parsed=0.9, answers=tmp_path)


def test_the_standard_error_is_the_sample_one():
    assert sample_stderr([0.0, 1.0]) == pytest.approx(0.5)
    assert sample_stderr([1.0]) is None


def outputs_file(folder, run: str, text: str) -> str:
    path = folder / f"{run}.outputs.json"
    rows = [{"instruction": f"name {i}", "input": "", "output": f"{text} {i}"} for i in range(5)]
    path.write_text(json.dumps({"outputs": rows}))
    return str(path)


def test_the_program_judges_all_runs_of_a_batch_and_keeps_the_answers(tmp_path):
    tiny_model(tmp_path / "judge")
    files = {run: outputs_file(tmp_path, run, run) for run in ("cat", "dog")}
    judge = {"source": {"path": str(tmp_path / "judge")}, "max_new_tokens": 3, "num_beams": 1}
    flags = [
        "--benchmark",
        json.dumps({"name": "pandalm", "framework": "pandalm"}),
        "--reference",
        files["cat"],
    ]
    flags += ["--work", str(tmp_path / "cache"), "--out", str(tmp_path / "out.json"), "--threads", "1"]
    program.main([*flags, "--judge", json.dumps(judge), "--outputs", *(f"{r}={f}" for r, f in files.items())])
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["benchmark"] == "pandalm" and content["judge"]["settings"] == judge
    assert content["runs"]["cat"]["metrics"]["win_rate"]["score"] == 0.5  # the reference itself: identical texts
    assert content["runs"]["dog"]["n_asked"] == 10
    assert len((tmp_path / "cache" / "answers.jsonl").read_text().splitlines()) == 10
    with pytest.raises(InputError, match="could not be read often enough"):  # everything is answered: no trial
        strict = json.dumps({**judge, "min_parsed": 0.99})
        program.main([*flags, "--judge", strict, "--outputs", f"dog={files['dog']}"])


def published_agreement(folder, judge: str, verdict_of) -> float:
    """Share of the human-labelled pairs where a judge's published verdict is what most annotators said."""
    labelled = [row.value for row in read_rows({"path": str(folder / "pandalm.testset-v1.jsonl.gz")})]
    verdicts = {
        row.value["idx"]: verdict_of(row.value)
        for row in read_rows({"path": str(folder / f"pandalm.{judge}-testset-v1.jsonl")})
    }
    labels = {row["idx"]: majority_label([row[f"annotator{i}"] for i in (1, 2, 3)]) for row in labelled}
    assert len(labels) == 502
    return round(sum(verdicts[idx] == label for idx, label in labels.items()) / 502, 4)


@pytest.mark.realdata
def test_published_verdicts_agree_with_people_as_often_as_known(shared_data):
    folder = shared_data / "judge"

    def pandalm(row):
        return parse_verdict(str(row["pandalm_result"]))[0]  # a tie is published as 0

    def gpt_named(row):
        return {"1": 1, "2": 2}.get(row["gpt_result"])  # the known figure counts "Tie" and "garbage" as wrong

    def gpt_parsed(row):
        return parse_verdict(row["gpt_result"])[0]  # PandaLM's own rule makes ties of both

    assert published_agreement(folder, "pandalm-7b", pandalm) == 0.6514
    assert published_agreement(folder, "gpt-3.5-turbo", gpt_named) == 0.6514
    assert published_agreement(folder, "gpt-3.5-turbo", gpt_parsed) == 0.6853

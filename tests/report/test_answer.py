"""The first screen's answer is never more certain than the verdicts."""

from pathlib import Path

import pytest
import yaml
from plw.report.answer import answer_view
from plw.report.claims import certainty_texts, claim_rows, estimate_text
from report_samples import STUDY, claim, page

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = yaml.safe_load((ROOT / "config/paper_sentences.yaml").read_text(encoding="utf-8"))
FIT = {"dataset": "short", "model": "m", "converged": True, "design": {"rows": 9}, "fit": {"p": 0.02}}


def answer(*claims: dict, fits=(), stand_ins=False, **record) -> list[dict]:
    record = {"claims": list(claims), **record}
    rows = claim_rows(record)
    view = answer_view(SENTENCES, record=record, rows=rows, fits=fits, study=STUDY, stand_ins=stand_ins)
    return view["sentences"]


def text(sentences: list[dict]) -> str:
    return " ".join(sentence["text"] for sentence in sentences)


@pytest.mark.parametrize("verdict", ["supported", "contradicted", "inconclusive"])
def test_each_sentence_is_the_one_of_its_claims_verdict(verdict):
    said = answer(claim(id="C01", verdict=verdict), claim(id="C04"), claim(id="C20"))
    assert [[used["id"] for used in sentence["claims"]] for sentence in said] == [["C01", "C04"], []]
    first, second = SENTENCES["answer"][0]
    assert said[0]["text"].lower() == f"{first[verdict]}; {second['supported']}.".lower()


def test_the_best_weight_is_spoken_of_only_where_there_is_an_effect():
    best = claim(id="C03", verdict="supported")
    assert "0.242" in answer(claim(id="C01"), best)[0]["text"]
    assert "0.242" not in text(answer(claim(id="C01", verdict="inconclusive"), best))


def test_a_study_that_decides_nothing_says_so_and_answers_nothing():
    open_ones = [claim(id=name, verdict="inconclusive") for name in ("C01", "C03", "C04")]
    said = answer(*open_ones, claim(id="C38", calibration="diagnostic"), fits=[FIT])
    assert "can decide none of the paper's 3 claims" in said[0]["text"]
    assert [sentence["text"] for sentence in said[1:]] == ["The first of them, C01: It is so."]
    assert not any(sentence["claims"] or sentence["evidence"] for sentence in said)
    assert "No claim of the paper was judged" in text(answer())


def test_the_tally_stands_beside_what_chance_gives_and_says_where_it_is_no_more():
    row = {"claims": 7, "supported": 1, "null_supported": 1.4, "paper_contradicted": 0.6}
    said = answer(claim(id="C01"), claim(id="C02", verdict="contradicted"), yardstick=[row])[-1]["text"]
    assert "supports 1, contradicts 1 and leaves 0 undecided" in said
    assert "support 1.4 and contradict 0.6 of the 7" in said and "no more than chance" in said
    assert "no more than chance" not in answer(claim(), yardstick=[{**row, "supported": 5}])[-1]["text"]


def test_what_holds_in_part_only_stands_with_a_verdict():
    (evidence,) = answer(claim(id="C01", partial="The verdict changes between seeds."))[0]["evidence"]
    assert evidence["text"] == "C01: The verdict changes between seeds."


def test_models_in_the_place_of_the_papers_are_said_to_be_small():
    assert "its own small models" in text(answer(claim(), stand_ins=True))
    assert "its own small models" not in text(answer(claim()))


def test_the_regression_behind_a_sentence_is_named_with_its_file_and_a_failed_one_says_so():
    (evidence,) = answer(claim(id="C01"), fits=[FIT])[0]["evidence"]
    assert evidence == {"text": "p = 0.02 (Short)", "source": "regression/short.json, rule fit_glmm"}
    (evidence,) = answer(claim(id="C01"), fits=[{**FIT, "converged": False}])[0]["evidence"]
    assert evidence["text"] == "p = 0.02 (Short, not converged)"
    assert 'title="From regression/short.json, rule fit_glmm"' in page(
        claims={"claims": [claim()]}, fits=[FIT], sentences=SENTENCES
    )


def test_an_estimate_is_said_with_its_interval():
    assert estimate_text({"estimate": 0.25, "interval": [0.1, 0.4]}) == "0.25 (95 %: 0.1 to 0.4)"
    assert estimate_text({"estimate": 2.0, "interval": None}) == "2"
    assert estimate_text({"estimate": None}) == ""


def test_a_verdict_stands_with_how_often_it_is_wrong_and_an_open_one_with_how_seldom_it_is_decided():
    rates = {"false_supported": 0.03, "false_contradicted": 0.011, "power": 0.16}
    verdicts = {"C01": "supported", "C02": "contradicted", "C03": "inconclusive", "C04": "inconclusive"}
    rows = claim_rows({"claims": [claim(id=name, verdict=v, rates=rates) for name, v in verdicts.items()]})
    assert certainty_texts(rows) == [
        "such a study supports it wrongly in 3 % (C01)",
        "such a study contradicts it wrongly in 1.1 % (C02)",
        "if the paper is right, such a study supports it in 16 % (C03) and 16 % (C04)",
    ]
    assert certainty_texts(claim_rows({"claims": [claim()]})) == []

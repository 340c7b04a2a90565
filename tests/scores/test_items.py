"""Item scores: their mean is the collected score, and what has no items is left out."""

import json

import collect_items as program
import numpy as np
import pandas as pd
import pytest
import sacrebleu
from plw.errors import InputError
from plw.scores.bleu import COUNTS, corpus_bleu, sentence_counts
from plw.scores.collection import collect_scores, read_evaluations, read_judgements
from plw.scores.items import harness_items, has_items, item_table, judged_items, read_items, shared_with

RUN = "weak-short-plw0.1-nonzero_count-none-s42"
BENCHMARKS = [
    {"name": "piqa", "metric": "acc_norm", "framework": "harness"},
    {"name": "wmt14_en_fr", "metric": "bleu", "framework": "harness"},
    {"name": "alpaca_eval", "metric": "win_rate", "framework": "alpaca_eval"},
    {"name": "pandalm", "metric": "win_rate", "framework": "pandalm"},
]


def metrics(name: str, score: float, n: int) -> dict:
    return {name: {"score": score, "stderr": None, "n": n, "higher_is_better": True}}


@pytest.fixture
def results(tmp_path):
    """Results of one run as the evaluation and the judges write them."""
    items = {
        "piqa": [{"id": i, "acc": 1.0, "acc_norm": float(i % 3 == 0)} for i in range(10)],
        "wmt14_en_fr": [{"id": 0, "output": "a", "target": "a"}],
    }
    scores = {"piqa": metrics("acc_norm", 0.4, 10), "wmt14_en_fr": metrics("bleu", 0.3, 1)}
    folder = tmp_path / "runs" / RUN
    (folder / "benchmarks").mkdir(parents=True)
    index = {}
    for name, rows in items.items():
        (folder / "benchmarks" / f"{name}.json").write_text(json.dumps({"items": rows}))
        index[name] = {"file": f"benchmarks/{name}.json", "metrics": scores[name]}
    for name in ("alpaca_eval", "pandalm"):
        index[name] = {"file": f"benchmarks/{name}.outputs.json", "metrics": {}}
    (folder / "evaluation.json").write_text(json.dumps({"benchmarks": index}))
    judged = {
        "alpaca_eval": (metrics("win_rate", 0.5, 3), [{"id": 0, "preference": 2.0}, {"id": 1, "preference": 1.0},
                                                      {"id": 2, "preference": None}, {"id": 3, "preference": 1.5}]),
        "pandalm": (metrics("win_rate", 0.375, 2), [{"id": 0, "preference": 0.5, "first": 0.0, "second": 1.0},
                                                    {"id": 1, "preference": 0.25, "first": 0.5, "second": 0.0}]),
    }  # fmt: skip
    for name, (score, rows) in judged.items():
        place = tmp_path / "judgements" / name / "weak.short.json"
        place.parent.mkdir(parents=True)
        content = {"benchmark": name, "judge": {}, "runs": {RUN: {"metrics": score, "items": rows}}}
        place.write_text(json.dumps(content))
    return tmp_path


def places(folder) -> tuple[list, list]:
    return sorted(folder.glob("runs/*/evaluation.json")), sorted(folder.glob("judgements/*/*.json"))


def test_the_mean_of_a_runs_items_is_its_collected_score(results):
    evaluations, judgements = places(results)
    runs = pd.DataFrame([{"run": RUN, "ptlm": "weak", "dataset": "short", "plw": 0.1, "normalization": "nonzero_count",
                          "regularizer": "none", "strength": 0.0, "seed": 42, "experiments": "main"}])  # fmt: skip
    measured = read_evaluations(evaluations) + read_judgements(judgements)
    scores, _ = collect_scores(runs, measured, BENCHMARKS)
    rows, absent = harness_items(evaluations, BENCHMARKS)
    items = item_table(rows + judged_items(judgements, BENCHMARKS))
    means = items[items["benchmark"] != "wmt14_en_fr"].groupby("benchmark", observed=True)["score"].mean()
    assert absent == []
    assert set(means.index) == {"piqa", "alpaca_eval", "pandalm"}
    for name, mean in means.items():
        assert mean == pytest.approx(scores.set_index("benchmark").loc[name, "score"], abs=1e-9)
    sizes = items.groupby("benchmark", observed=True).size()
    assert sizes["alpaca_eval"] == 3  # an unreadable verdict is not counted, as in the win rate


def test_bleu_has_items_and_the_other_corpus_metrics_have_none():
    assert [has_items(entry) for entry in BENCHMARKS] == [True, True, True, True]
    assert not has_items({"name": "wmt14_en_fr", "metric": "chrf", "framework": "harness"})


def test_files_that_are_gone_are_named(results):
    evaluations, _ = places(results)
    (evaluations[0].parent / "benchmarks" / "piqa.json").unlink()
    rows, absent = harness_items(evaluations, BENCHMARKS)
    assert {row[1] for row in rows} == {"wmt14_en_fr"}
    assert len(absent) == 1
    assert "is gone" in absent[0]


def test_an_item_that_stands_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        item_table([("a", "piqa", 1, 0.5), ("a", "piqa", 1, 0.25)])


def test_the_program_writes_the_table_of_the_planned_runs(results, capsys):
    _, judgements = places(results)
    (results / "runs.csv").write_text(f"run,dataset\n{RUN},short\n")
    out = results / "items.parquet"
    program.main(
        ["--runs", str(results / "runs.csv"), "--benchmarks", json.dumps(BENCHMARKS), "--out", str(out),
         "--folder", str(results / "runs"), "--judgements", *map(str, judgements)]
    )  # fmt: skip
    frame = read_items(out)
    assert list(frame.columns) == ["run", "benchmark", "item", "score", *COUNTS]
    assert len(frame) == 16
    assert "no items by nature: none" in capsys.readouterr().out


def test_a_file_that_is_no_item_table_is_explained(tmp_path):
    (tmp_path / "items.parquet").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_items(tmp_path / "items.parquet")
    pd.DataFrame({"run": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="lacks columns"):
        read_items(tmp_path / "other.parquet")


# ---- corpus BLEU and shared items


@pytest.mark.parametrize("case", ["ordinary", "no four-gram", "nothing right", "one empty", "perfect"])
def test_bleu_of_added_counts_is_sacrebleus(case):
    rng = np.random.default_rng(1)
    words = ["the", "cat", "sat", "on", "a", "mat", ",", "dog's", "1.5", "%"]
    targets = [" ".join(rng.choice(words, size=rng.integers(4, 12))) for _ in range(8)]
    outputs = {
        "ordinary": [" ".join(rng.permutation(text.split())[:6].tolist() + text.split()[:4]) for text in targets],
        "no four-gram": ["cat", "a mat", "the", "on a", "mat", "cat sat", "a", "the"],
        "nothing right": ["x y z w"] * 8,
        "one empty": ["", *targets[1:]],
        "perfect": targets,
    }[case]
    ours = float(corpus_bleu(sentence_counts(outputs, targets).sum(axis=0)))
    assert ours == pytest.approx(sacrebleu.corpus_bleu(outputs, [targets]).score / 100, abs=1e-9)


def test_translation_keeps_the_counts_of_its_sentences_and_a_table_of_before_reads_as_having_none(tmp_path, results):
    evaluations, _ = places(results)
    rows, absent = harness_items(evaluations, BENCHMARKS)
    frame = item_table(rows)
    assert not absent
    part = frame[frame["benchmark"] == "wmt14_en_fr"]
    assert part["score"].isna().all() and part[COUNTS].to_numpy().tolist() == [[1, 0, 0, 0, 1, 0, 0, 0, 1, 1]]
    assert (frame.loc[frame["benchmark"] == "piqa", COUNTS] == -1).all(axis=None)
    frame[frame["benchmark"] == "piqa"].drop(columns=COUNTS).to_parquet(tmp_path / "old.parquet")
    assert (read_items(tmp_path / "old.parquet")[COUNTS] == -1).all(axis=None)


def test_benchmarks_of_the_same_questions_have_one_name_and_others_their_own():
    assert shared_with("wmt16_de_en") == shared_with("wmt16_en_de") != shared_with("wmt16_en_ro")
    assert shared_with("truthfulqa_gen") == shared_with("truthfulqa_mc2")
    assert shared_with("piqa") == "piqa"

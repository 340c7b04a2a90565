"""Item scores: their mean is the collected score, and what has no items is left out."""

import json

import collect_items as program
import pandas as pd
import pytest
from plw.errors import InputError
from plw.scores.collection import collect_scores, read_evaluations, read_judgements
from plw.scores.items import harness_items, has_items, item_table, judged_items, read_items

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
    means = items.groupby("benchmark", observed=True)["score"].mean()
    assert absent == []
    assert set(means.index) == {"piqa", "alpaca_eval", "pandalm"}
    for name, mean in means.items():
        assert mean == pytest.approx(scores.set_index("benchmark").loc[name, "score"], abs=1e-9)
    sizes = items.groupby("benchmark", observed=True).size()
    assert sizes["alpaca_eval"] == 3  # an unreadable verdict is not counted, as in the win rate


def test_corpus_bleu_has_no_items():
    assert [has_items(entry) for entry in BENCHMARKS] == [True, False, True, True]


def test_files_that_are_gone_are_named(results):
    evaluations, _ = places(results)
    (evaluations[0].parent / "benchmarks" / "piqa.json").unlink()
    rows, absent = harness_items(evaluations, BENCHMARKS)
    assert rows == []
    assert len(absent) == 1
    assert "is gone" in absent[0]


def test_an_item_that_stands_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        item_table([("a", "piqa", 1, 0.5), ("a", "piqa", 1, 0.25)])


def test_the_program_writes_the_table_of_the_planned_runs(results, capsys):
    evaluations, judgements = places(results)
    (results / "runs.csv").write_text(f"run,dataset\n{RUN},short\n")
    out = results / "items.parquet"
    program.main(
        ["--runs", str(results / "runs.csv"), "--benchmarks", json.dumps(BENCHMARKS), "--out", str(out),
         "--evaluations", *map(str, evaluations), "--judgements", *map(str, judgements)]
    )  # fmt: skip
    frame = read_items(out)
    assert list(frame.columns) == ["run", "benchmark", "item", "score"]
    assert len(frame) == 15
    assert "wmt14_en_fr" in capsys.readouterr().out


def test_a_file_that_is_no_item_table_is_explained(tmp_path):
    (tmp_path / "items.parquet").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_items(tmp_path / "items.parquet")
    pd.DataFrame({"run": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="lacks columns"):
        read_items(tmp_path / "other.parquet")

"""The score table: collecting, checks, aggregates."""

import json
import warnings

import collect_scores as program
import numpy as np
import pandas as pd
import pytest
from plw.errors import InputError, InputErrors
from plw.scores.collection import Measurement, collect_scores
from plw.scores.table import (
    COLUMNS,
    aggregate,
    check_scores,
    coverage_note,
    planned_runs,
    primary_scores,
    read_scores,
    relative_scores,
    select_runs,
)
from simulated_scores import score_table

BENCHMARKS = [
    {"name": "arc", "metric": "acc_norm", "framework": "harness"},
    {"name": "alpaca_eval", "metric": "win_rate", "framework": "alpaca_eval"},
]


def run_table(*plws: float) -> pd.DataFrame:
    rows = [
        {"run": f"r{plw:g}", "ptlm": "weak", "dataset": "short", "plw": plw, "normalization": "nonzero_count",
         "regularizer": "none", "strength": 0.0, "seed": 42, "experiments": "main"}
        for plw in plws
    ]  # fmt: skip
    return pd.DataFrame(rows)


def measured(run: str, benchmark: str, score: float | None, metric: str, **identity) -> Measurement:
    return Measurement(run, benchmark, {metric: {"score": score, "stderr": 0.1, "n": 10}}, identity)


def complete(*runs: str) -> list[Measurement]:
    return [
        item
        for run in runs
        for item in (measured(run, "arc", 0.5, "acc_norm"), measured(run, "alpaca_eval", 0.25, "win_rate"))
    ]


# ---- aggregates


def test_the_simple_aggregate_is_the_plain_mean_of_the_scores_of_a_run():
    frame = score_table()
    found = aggregate(frame).set_index("run")["simple"]
    for run, rows in frame.groupby("run"):
        assert found[run] == pytest.approx(sum(rows["score"]) / len(rows))


def test_relative_scores_equal_a_loop_over_benchmarks_and_data_sets():
    frame = score_table(plws=(0.0, 0.1, 1.0), benchmarks=3)
    found = relative_scores(frame)
    for _, row in found.iterrows():
        group = frame[(frame["benchmark"] == row["benchmark"]) & (frame["dataset"] == row["dataset"])]["score"]
        assert row["relative"] == pytest.approx((row["score"] - min(group)) / (max(group) - min(group)))


def test_min_max_scaling_pools_the_ptlms_so_each_benchmark_has_one_zero_and_one_one_per_data_set():
    found = relative_scores(score_table())
    for _, group in found.groupby(["benchmark", "dataset"]):
        assert (group["relative"] == 0).sum() == 1
        assert (group["relative"] == 1).sum() == 1
    assert len(found[found["dataset"] == "short"]) == 260  # 13 × 2 × 10, protocol §6.1


def test_relative_scores_do_not_change_when_a_benchmark_is_rescaled():
    frame = score_table(plws=(0.0, 0.1, 1.0))
    other = frame.assign(score=frame["score"] * 0.5 + 0.1)
    np.testing.assert_allclose(relative_scores(other)["relative"], relative_scores(frame)["relative"], atol=1e-12)


def test_a_benchmark_whose_scores_are_all_equal_gets_a_half_and_a_warning():
    frame = score_table(plws=(0.0, 0.1, 1.0), benchmarks=2)
    frame.loc[frame["benchmark"] == "b1", "score"] = 0.4
    with pytest.warns(UserWarning, match="b1/plain"):
        found = relative_scores(frame)
    assert set(found.loc[found["benchmark"] == "b1", "relative"]) == {0.5}
    assert found.loc[found["benchmark"] == "b0", "relative"].nunique() > 2


def test_scores_that_differ_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(relative_scores(score_table())) == 520


def test_a_run_that_lacks_a_benchmark_is_marked_incomplete():
    frame = score_table()
    run = frame["run"].iloc[0]
    rows = aggregate(frame[~((frame["run"] == run) & (frame["benchmark"] == "b3"))]).set_index("run")
    assert not rows.loc[run, "complete"]
    assert rows.loc[run, "benchmarks"] == 12
    assert rows["complete"].sum() == len(rows) - 1


def test_runs_with_a_regularizer_and_of_other_experiments_are_left_out(tmp_path):
    frame = score_table(plws=(0.0, 1.0))
    other = frame.assign(run=frame["run"] + "x", regularizer="dropout", strength=0.1)
    both = pd.concat([frame, other])
    assert set(select_runs(both)["run"]) == set(frame["run"])
    experiments = {"none": "main;regularizers", "dropout": "regularizers"}
    runs = both.drop_duplicates("run").assign(experiments=lambda rows: rows["regularizer"].map(experiments))
    runs.to_csv(tmp_path / "runs.csv", index=False)
    main, every = (planned_runs(tmp_path / "runs.csv", name) for name in ("main", "regularizers"))
    assert set(select_runs(both, runs=main)["run"]) == set(frame["run"])
    assert len(select_runs(both, runs=every)) == len(both)


def test_scores_of_several_normalizations_are_not_pooled_silently():
    frame = score_table(plws=(0.0, 1.0))
    other = frame.assign(run=frame["run"] + "x", normalization="all_count")
    with pytest.raises(InputError, match="normalizations"):
        select_runs(pd.concat([frame, other]))


# ---- checks


def test_all_faults_of_a_score_table_are_shown_at_once():
    frame = score_table(plws=(0.0, 0.1)).astype({"score": object})
    frame.loc[0, "score"] = "n/a"
    frame.loc[frame["run"] == frame["run"].iloc[-1], "plw"] = 1.5
    frame = pd.concat([frame, frame.iloc[[5]]])
    with pytest.raises(InputErrors) as error:
        check_scores(frame, where="my_scores.csv")
    text = str(error.value)
    assert "not finite" in text
    assert "PLWs must lie" in text
    assert "given twice" in text
    assert "my_scores.csv" in text


def test_two_runs_with_the_same_factors_are_refused():
    frame = score_table(plws=(0.0,))
    frame = pd.concat([frame, frame.assign(run=frame["run"] + "-again")])
    with pytest.raises(InputErrors, match="same factors"):
        check_scores(frame, where="scores")


def test_what_is_no_number_is_not_taken_for_unknown():
    frame = score_table().astype({"n": object, "stderr": object})
    frame.loc[3, "n"], frame.loc[4, "stderr"] = "1,319", "±1"
    with pytest.raises(InputErrors, match=r"(?s)1 cells of stderr.*1 cells of n.*1,319"):
        check_scores(frame, where="scores")
    frame.loc[3, "n"], frame.loc[4, "stderr"] = None, float("nan")
    assert check_scores(frame, where="scores")["n"].isna().sum() >= 1


@pytest.mark.parametrize("score", [-0.01, 1.01, 27.3])
def test_a_primary_score_outside_zero_and_one_is_refused(score):
    frame = score_table(plws=(0.0, 0.1))
    frame.loc[3, "score"] = score
    with pytest.raises(InputError, match="outside") as error:
        primary_scores(frame, {f"b{i}": "acc" for i in range(13)})
    assert "divided by 100" in str(error.value)


def test_a_table_without_a_column_names_the_column(tmp_path):
    score_table().drop(columns="stderr").to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(InputError, match="stderr"):
        read_scores(tmp_path / "scores.csv")


def test_a_cut_off_table_is_not_read_as_whole(tmp_path):
    text = score_table().to_csv(index=False)
    (tmp_path / "scores.csv").write_text(text[: len(text) // 2].rsplit(",", 2)[0])
    with pytest.raises((InputError, InputErrors)):
        read_scores(tmp_path / "scores.csv")


def test_a_written_table_is_read_back_to_the_digit(tmp_path):
    frame = score_table()
    frame.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), frame[COLUMNS])


# ---- collecting


def test_every_metric_becomes_a_row_with_the_factors_of_its_run():
    scores, report = collect_scores(run_table(0.0, 0.1), complete("r0", "r0.1"), BENCHMARKS)
    assert list(scores.columns) == COLUMNS
    assert len(scores) == 4
    assert set(scores.loc[scores["run"] == "r0.1", "plw"]) == {0.1}
    assert report["missing"] == []
    assert report["runs"] == {"planned": 2, "complete": 2}


def test_what_is_missing_is_listed_with_its_reason():
    found = [
        measured("r0", "arc", 0.5, "acc"),
        Measurement("r0", "alpaca_eval", {}, {}),
        measured("r0.1", "arc", 0.5, "acc_norm"),
        measured("r0.1", "alpaca_eval", None, "win_rate"),
    ]
    scores, report = collect_scores(run_table(0.0, 0.1, 1.0), found, BENCHMARKS)
    reasons = {(item["run"], item["benchmark"]): item["reason"] for item in report["missing"]}
    assert reasons["r0", "arc"].startswith("no metric acc_norm")
    assert reasons["r0", "alpaca_eval"] == "not judged"
    assert reasons["r0.1", "alpaca_eval"].startswith("no score")
    assert reasons["r1", "arc"] == reasons["r1", "alpaca_eval"] == "not evaluated"
    assert len(reasons) == 5
    assert report["runs"] == {"planned": 3, "complete": 0}
    assert len(scores) == 2


def test_a_benchmark_that_no_experiment_of_a_run_asks_for_is_not_missing():
    found = [measured("r0", "arc", 0.5, "acc_norm")]
    _, report = collect_scores(run_table(0.0), found, BENCHMARKS, {"main": ["arc"]})
    assert report["missing"] == []
    assert report["benchmarks"]["alpaca_eval"]["planned"] == 0


@pytest.mark.parametrize("key", ["task_version", "harness_version", "specification", "judge"])
def test_runs_measured_in_different_ways_are_refused(key):
    found = [measured(run, "arc", 0.5, "acc_norm", **{key: version}) for run, version in (("r0", "1"), ("r0.1", "2"))]
    with pytest.raises(InputErrors, match=f"{key} differs"):
        collect_scores(run_table(0.0, 0.1), found, BENCHMARKS)


def test_the_report_says_what_was_run_of_each_benchmark():
    found = [
        Measurement("r0", "arc", {"acc_norm": {"score": 0.5, "stderr": None, "n": n}}, {"task_version": 1.0})
        for n in (10,)
    ] + [Measurement("r1", "arc", {"acc_norm": {"score": 0.5, "stderr": None, "n": 12}}, {"task_version": 1.0})]
    _, report = collect_scores(run_table(0.0, 1.0), found, BENCHMARKS)
    assert report["benchmarks"]["arc"] == {
        "metric": "acc_norm", "version": 1.0, "framework": "harness", "judge": None, "items": [10, 12],
        "runs": 2, "planned": 2,
    }  # fmt: skip


def test_results_of_unknown_runs_are_refused():
    with pytest.raises(InputError, match="not in the run table"):
        collect_scores(run_table(0.0), complete("r0", "stranger"), BENCHMARKS)


def test_the_program_joins_generations_and_judgements_and_names_what_is_missing(tmp_path):
    run_table(0.0, 0.1).to_csv(tmp_path / "runs.csv", index=False)
    for run in ("r0", "r0.1"):
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        metrics = {name: {"score": 0.5, "stderr": 0.1, "n": 4} for name in ("acc_norm", "acc")}
        arc = {"metrics": metrics, "task_version": 1.0, "harness_version": "0.4.13", "specification": "abc"}
        texts = {"metrics": {}, "framework": "alpaca_eval", "specification": "def"}
        (folder / "evaluation.json").write_text(json.dumps({"benchmarks": {"arc": arc, "alpaca_eval": texts}}))
    rates = {"metrics": {"win_rate": {"score": 0.75, "stderr": 0.1, "n": 3}}, "n_parsed": 3}
    (tmp_path / "weak.short.json").write_text(
        json.dumps({"benchmark": "alpaca_eval", "judge": {"fingerprint": "j"}, "runs": {"r0": rates}})
    )
    program.main(
        ["--runs", str(tmp_path / "runs.csv"), "--folder", str(tmp_path / "runs"),
         "--judgements", str(tmp_path / "weak.short.json"), "--benchmarks", json.dumps(BENCHMARKS),
         "--scores", str(tmp_path / "scores.csv"), "--missing", str(tmp_path / "missing.json")]
    )  # fmt: skip
    scores = read_scores(tmp_path / "scores.csv")
    report = json.loads((tmp_path / "missing.json").read_text())
    assert len(scores) == 5  # two metrics of two runs, one win rate
    assert report["missing"] == [{"run": "r0.1", "benchmark": "alpaca_eval", "reason": "not judged"}]
    assert report["benchmarks"]["arc"]["framework"] == "lm-eval 0.4.13"


def test_a_cut_off_result_names_the_file(tmp_path):
    run_table(0.0).to_csv(tmp_path / "runs.csv", index=False)
    (tmp_path / "r0").mkdir()
    (tmp_path / "r0/evaluation.json").write_text('{"benchmarks": {')
    with pytest.raises(InputError, match=r"evaluation\.json"):
        program.main(
            ["--runs", str(tmp_path / "runs.csv"), "--folder", str(tmp_path),
             "--benchmarks", json.dumps(BENCHMARKS), "--scores", str(tmp_path / "s.csv"),
             "--missing", str(tmp_path / "m.json")]
        )  # fmt: skip
    assert not (tmp_path / "s.csv").exists()


def test_a_design_without_runs_is_said_in_words():
    data = pd.DataFrame({"dataset": [], "benchmarks": [], "complete": []})
    assert coverage_note(data, planned=0, benchmarks=7) == "the study has no such runs"
    assert coverage_note(data, planned=3, benchmarks=7) == "0 of 3 runs are drawn (3 without scores)"

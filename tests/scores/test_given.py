"""An analyst's score table: what is filled in, and a message for each way it can be wrong."""

import pandas as pd
import pytest
from plw.errors import InputError, InputErrors
from plw.scores.collection import collect_scores
from plw.scores.given import as_measurements, match_runs, read_given_scores

BENCHMARKS = [
    {"name": "arc", "metric": "acc_norm", "framework": "harness"},
    {"name": "judge", "metric": "win_rate", "framework": "alpaca_eval"},
]
RUNS = pd.DataFrame(
    [
        {
            "run": f"m-d-plw{plw:g}-nonzero_count-{name}-s42",
            "ptlm": "m",
            "dataset": "d",
            "plw": plw,
            "normalization": "nonzero_count",
            "regularizer": name,
            "strength": strength,
            "seed": 42,
            "experiments": "main",
        }
        for plw in (0.0, 0.1, 1.0)
        for name, strength in (("none", 0.0), ("dropout", 0.1))
    ]
)
GOOD = "ptlm,dataset,plw,benchmark,score\n" + "".join(
    f"m,d,{plw},{name},{score}\n" for plw, score in ((0, 0.2), (0.1, 0.5), (1, 0.4)) for name in ("arc", "judge")
)


def read(folder, text):
    path = folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_given_scores(path, benchmarks=BENCHMARKS)


def match(frame):
    return match_runs(frame, RUNS, normalization="nonzero_count", where="mine.csv")


def test_five_columns_are_enough_and_become_plain_runs_of_the_study(tmp_path):
    matched = match(read(tmp_path, GOOD))
    assert list(matched["run"].unique()) == [f"m-d-plw{w}-nonzero_count-none-s42" for w in ("0", "0.1", "1")]
    assert dict(zip(matched["benchmark"], matched["metric"], strict=True)) == {"arc": "acc_norm", "judge": "win_rate"}


def test_a_table_that_the_workflow_wrote_comes_back_as_it_was(tmp_path):
    scores, _ = collect_scores(RUNS, as_measurements(match(read(tmp_path, GOOD))), BENCHMARKS, {})
    again, _ = collect_scores(RUNS, as_measurements(match(read(tmp_path, scores.to_csv(index=False)))), BENCHMARKS, {})
    pd.testing.assert_frame_equal(scores, again)


def test_runs_without_scores_are_listed_as_missing(tmp_path):
    _, report = collect_scores(RUNS, as_measurements(match(read(tmp_path, GOOD))), BENCHMARKS, {})
    assert report["runs"] == {"planned": 6, "complete": 3}
    assert {item["run"] for item in report["missing"]} == set(RUNS[RUNS["regularizer"] == "dropout"]["run"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("ptlm,dataset,plw,benchmark,score\n", "no rows"),
        (b"\xff\xfe\x00ptlm", "cannot be read as CSV in UTF-8"),
        (GOOD.replace("ptlm,", "model,"), "lacks columns"),
        (GOOD.replace(",", ";"), "separated by commas"),
        (GOOD.replace("score\n", "scores\n"), 'did you mean "score"?'),
        (GOOD.replace("0.2\n", "\n", 1), "score are empty"),
        (GOOD.replace("0.2\n", "good\n", 1), "not a number"),
        (GOOD.replace("m,d,1,", "m,d,1.5,"), "from 0 to 1"),
        (GOOD.replace("0.2\n", "nan\n", 1), "not a number"),
        (GOOD.replace("0.5\n", "52.1\n"), "Divide percentages"),
        (GOOD.replace(",arc,", ",acr,"), 'did you mean "arc"?'),
        (GOOD + "m,d,0,arc,0.3\n", "given twice"),
        (GOOD.replace("score\n", "score,metric\n").replace("0.2\n", "0.2,acc\n").replace("0.5\n", "0.5,acc\n")
         .replace("0.4\n", "0.4,acc\n"), "without their primary metric"),
    ],
)  # fmt: skip
def test_each_way_a_table_can_be_wrong_gets_its_message(tmp_path, text, said):
    with pytest.raises((InputError, InputErrors)) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_wrong_cell_is_named_with_its_line(tmp_path):
    with pytest.raises(InputErrors) as caught:
        read(tmp_path, GOOD.replace("m,d,0.1,judge,0.5", "m,d,0.1,judge,5"))
    assert "line 5" in str(caught.value)


def test_several_errors_are_said_at_once(tmp_path):
    with pytest.raises(InputErrors) as caught:
        read(tmp_path, GOOD.replace("m,d,1,", "m,d,7,").replace(",arc,", ",acr,"))
    assert len(caught.value.errors) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("m,d,", "n,d,"), "Unknown ptlm"),
        (("m,d,", "m,e,"), "Unknown dataset"),
        (("m,d,0.1,", "m,d,0.3,"), "PLWs that the study does not have"),
    ],
)
def test_names_and_weights_that_the_study_lacks_are_refused(tmp_path, change, said):
    with pytest.raises(InputErrors) as caught:
        match(read(tmp_path, GOOD.replace(*change)))
    assert said in str(caught.value)


def test_rows_of_runs_that_the_study_does_not_plan_are_refused(tmp_path):
    table = GOOD.replace("score\n", "score,seed\n").replace("0.2\n", "0.2,43\n").replace("0.5\n", "0.5,42\n")
    with pytest.raises(InputError) as caught:
        match(read(tmp_path, table.replace("0.4\n", "0.4,42\n")))
    assert "2 rows belong to runs that the study does not plan" in str(caught.value)

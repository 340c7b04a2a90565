"""An analyst's score table: what is filled in, and a message for each way it can be wrong."""

import pandas as pd
import pytest
from checkout import ROOT
from plw.errors import InputError, InputErrors
from plw.scores.collection import collect_scores
from plw.scores.given import as_measurements, check_asked, match_runs, read_given_scores

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
        (b"\xff\xfe\x00ptlm", "begins as UTF-16"),
        (GOOD.replace("m,", "m\xfc,").encode("latin-1"), "not UTF-8"),
        (b"PK\x03\x04", "spreadsheet"),
        (GOOD.replace("m,d,1,arc", "m,d,1,x,arc"), "more or fewer cells"),
        (GOOD.replace("\nm,", "\n0,m,").replace("ptlm,", ",ptlm,"), "index=False"),
        (GOOD.replace("score\n", "score,score \n").replace("0.2\n", "0.2,0.2\n"), "cells"),
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


CASES = ROOT / "tests/cases/scores"


def said_of(text, folder):
    with pytest.raises((InputError, InputErrors)) as caught:
        match(read(folder, text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blank_lines.csv", "line 8"),
        ("n_thousands.csv", "['1,319']"),
        ("n_decimal.csv", "whole number from 1"),
    ],
)
def test_published_mistakes_are_refused_with_the_lines_of_the_file(name, words):
    benchmarks = [{"name": entry, "metric": "acc"} for entry in read_benchmarks(CASES / name)]
    with pytest.raises(InputErrors) as caught:
        read_given_scores(CASES / name, benchmarks=benchmarks)
    assert words in str(caught.value)
    assert name == "blank_lines.csv" or "line 2, 3, 4, 5, 6 and" in str(caught.value)


def read_benchmarks(path):
    return sorted({line.split(",")[3] for line in path.read_text().splitlines()[1:] if line})


def test_lines_are_those_of_the_file_with_blank_lines_and_quoted_line_ends(tmp_path):
    text = GOOD.replace("m,d,0,arc", '"m\n",d,0,arc').replace("m,d,0.1,arc", "\n\r\nm,d,0.1,arc")
    matched = match(read(tmp_path, text))
    assert matched["line"].tolist() == [2, 4, 7, 8, 9, 10]
    assert "line 8" in said_of(text.replace("m,d,0.1,judge,0.5", "m,d,0.1,judge,5"), tmp_path)
    assert "line 9, 10" in said_of(text.replace("m,d,1,", "m,d,0.3,"), tmp_path)
    assert "line 7, 8" in said_of(text.replace("m,d,0.1,", "m,e,0.1,"), tmp_path)


@pytest.mark.parametrize("column", ["score", "plw", "strength", "seed", "stderr", "n"])
@pytest.mark.parametrize(
    "cell",
    ["1,319", "0,5", "1 319", "1_0", "0x1", "1e999", "inf", "nan", "NA", "None", "True", "50%", "−1", "1.", "12.7",
     "-1", "9" * 5000, "١", "1.0.0", "."],
)  # fmt: skip
def test_no_cell_is_taken_for_a_number_that_it_does_not_write(tmp_path, column, cell):
    """What is kept is a number as Python reads the same characters, inside the column's range, and no other."""
    row = {"ptlm": "m", "dataset": "d", "plw": "0", "benchmark": "arc", "score": "0.2", "metric": "acc_norm"}
    if column == "strength":
        row["regularizer"] = "dropout"
    row[column] = cell
    text = ",".join(row) + "\n" + ",".join(f'"{value}"' for value in row.values()) + "\n"
    plain = cell == "1." or (cell == "12.7" and column == "strength")
    if plain and column in ("score", "plw", "strength", "seed", "n"):
        assert read(tmp_path, text)[column].tolist() == [float(cell)]
    else:
        assert "line 2" in said_of(text, tmp_path)


def test_only_what_need_not_be_known_may_be_an_empty_cell(tmp_path):
    known = read(tmp_path, GOOD.replace("score\n", "score,n,stderr\n").replace("0.2\n", "0.2,,\n")
                 .replace("0.5\n", "0.5,12.0,0.01\n").replace("0.4\n", "0.4, 12 ,0.01\n"))  # fmt: skip
    assert known["n"].isna().tolist() == [True, True, False, False, False, False]
    assert known["n"].max() == 12
    seeds = GOOD.replace("score\n", "score,seed\n").replace("0.2\n", "0.2,\n").replace("0.5\n", "0.5,42\n")
    assert "leave out the whole column" in said_of(seeds.replace("0.4\n", "0.4,42\n"), tmp_path)


def test_standard_errors_in_percent_are_refused(tmp_path):
    text = GOOD.replace("score\n", "score,stderr\n").replace("0.2\n", "0.2,1.3\n").replace("0.5\n", "0.5,0.01\n")
    assert "at most 0.5" in said_of(text.replace("0.4\n", "0.4,0.01\n"), tmp_path)


def test_plws_that_are_one_setting_of_the_study_are_not_two_rows_of_it(tmp_path):
    assert "given twice" in said_of(GOOD + "m,d,0.1000000000001,arc,0.3\n", tmp_path)
    near = match(read(tmp_path, GOOD.replace("m,d,0.1,", "m,d,0.10000000000001,")))
    assert near["run"].notna().all()


def test_scores_that_no_experiment_asks_for_are_refused_and_not_dropped(tmp_path):
    matched = match(read(tmp_path, GOOD))
    names = [entry["name"] for entry in BENCHMARKS]
    check_asked(matched, RUNS, names, {}, where="mine.csv")
    with pytest.raises(InputError, match="line 3, 5, 7"):
        check_asked(matched, RUNS, names, {"main": ["arc"]}, where="mine.csv")

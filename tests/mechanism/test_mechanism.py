"""Measuring the mechanism of one run, and gathering it over runs."""

import json

import collect_mechanism
import measure_mechanism
import pandas as pd
import pytest
from plw.errors import InputError
from plw.files import read_json, write_json
from plw.mechanism.collection import COLUMNS, MEASURES, WINDOW_COLUMNS
from plw.mechanism.collection import collect_mechanism as collect
from plw.mechanism.stability import loss_stability
from plw.training.loss_log import COLUMNS as LOSS_COLUMNS
from tiny import tiny_instances, tiny_model

RUNS = ("m-d-plw0-nonzero_count-none-s42", "m-d-plw1-nonzero_count-none-s42")


@pytest.fixture
def runs() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"run": run, "ptlm": "m", "dataset": "d", "plw": plw, "normalization": "nonzero_count",
             "regularizer": "none", "strength": 0.0, "seed": 42, "experiments": "main"}
            for run, plw in zip(RUNS, (0.0, 1.0), strict=True)
        ]
    )  # fmt: skip


@pytest.fixture
def study(tmp_path, runs):
    """Files of both runs; the second one was not measured, and has too few updates."""
    write_json(
        tmp_path / RUNS[0] / "mechanism.json",
        {
            "run": RUNS[0],
            "weight_distance": {"mean_over_tensors": 8.0, "mean_over_elements": 0.5, "tensors": 3, "elements": 48},
            "memorisation": {"bleu": 81.0, "prompts": 96},
        },
    )
    for run, updates in zip(RUNS, (12, 3), strict=True):
        lines = [f"{i},{1 + i % 4 / 4},{min(i / 3, 1)},{i / 4},10,0.1,10,,{2 + i % 3}" for i in range(1, updates + 1)]
        (tmp_path / run).mkdir(exist_ok=True)
        (tmp_path / run / "loss.csv").write_text("\n".join([",".join(LOSS_COLUMNS), *lines]) + "\n")
        summary = {"n": 24, "mean_tokens": 30.5, "mean_characters": 120.0}
        benchmarks = {"alpaca_eval": {"summary": summary}} if updates > 3 else {"piqa": {"metrics": {}}}
        write_json(tmp_path / run / "evaluation.json", {"benchmarks": benchmarks})
    runs.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path


def gathered(study, runs, *, of=RUNS, **settings):
    files = {
        "mechanisms": [study / RUNS[0] / "mechanism.json"] if RUNS[0] in of else [],
        "losses": [study / run / "loss.csv" for run in of],
        "evaluations": [study / run / "evaluation.json" for run in of],
    }
    return collect(runs, **files, settings=settings, max_grad_norm=1.0)


def test_every_measure_of_a_measured_run_is_a_row_with_its_number_of_things(study, runs):
    measures, _ = gathered(study, runs)
    rows = measures[measures["run"] == RUNS[0]].set_index("measure")
    assert list(rows.index) == list(MEASURES)
    assert rows.loc["weight_distance", ["value", "n"]].tolist() == [8.0, 3]
    assert rows.loc["weight_distance_per_element", ["value", "n"]].tolist() == [0.5, 48]
    assert rows.loc["memorisation_bleu", ["value", "n"]].tolist() == [81.0, 96]
    assert rows.loc["generation_tokens", ["value", "n"]].tolist() == [30.5, 24]
    assert rows.loc["generation_characters", ["value", "n"]].tolist() == [120.0, 24]
    assert rows.loc[["rsd", "rsd_rolling", "rsd_without_warmup", "rsd_completion"], "n"].tolist() == [2, 8, 2, 2]
    assert rows.loc["clipped_updates", ["value", "n"]].tolist() == [8 / 12, 12]  # norms of 1/4, 2/4, … 12/4
    assert rows.loc["gradient_norm", ["value", "n"]].tolist() == [pytest.approx(6.5 / 4), 12]
    assert list(measures.columns) == COLUMNS


def test_what_was_not_measured_has_no_row(study, runs):
    measures, windows = gathered(study, runs)
    assert set(measures.loc[measures["run"] == RUNS[1], "measure"]) == {"clipped_updates", "gradient_norm"}
    assert RUNS[1] not in set(windows["run"])
    nothing, no_windows = gathered(study, runs, of=())
    assert nothing.empty
    assert no_windows.empty
    assert list(no_windows.columns) == WINDOW_COLUMNS


def test_gradients_that_are_not_clipped_have_no_share_of_clipped_updates(study, runs):
    measures, _ = collect(runs, losses=[study / RUNS[0] / "loss.csv"])
    assert "clipped_updates" not in set(measures["measure"])
    assert "gradient_norm" in set(measures["measure"])


def test_the_mean_of_a_runs_windows_is_its_rsd(study, runs):
    measures, windows = gathered(study, runs)
    value = measures.loc[(measures["run"] == RUNS[0]) & (measures["measure"] == "rsd"), "value"].item()
    assert windows["rsd"].mean() == pytest.approx(value)
    assert windows["window"].tolist() == [1, 2]


def test_settings_change_the_first_reading_and_leave_the_others(study, runs):
    measures, _ = gathered(study, runs, windows="rolling")
    rows = measures.set_index("measure")
    assert rows.loc["rsd", "value"] == rows.loc["rsd_rolling", "value"]


def test_a_run_that_is_not_in_the_table_is_refused(study, runs):
    with pytest.raises(InputError, match="not in the run table"):
        gathered(study, runs.head(1))


def test_a_file_in_the_wrong_folder_is_refused(study, runs):
    (study / RUNS[0] / "mechanism.json").rename(study / RUNS[1] / "mechanism.json")
    with pytest.raises(InputError, match="another run"):
        collect(runs, mechanisms=[study / RUNS[1] / "mechanism.json"])


def test_a_damaged_file_is_named(study, runs):
    file = study / RUNS[0] / "mechanism.json"
    file.write_text("{")
    with pytest.raises(InputError, match=str(file)):
        gathered(study, runs)


def test_the_collecting_program_writes_what_the_library_returns(study, runs, capsys):
    collect_mechanism.main(
        ["--runs", str(study / "runs.csv"), "--folder", str(study), "--settings", '{"window": 4}',
         "--max-grad-norm", "1.0", "--out", str(study / "mechanism.csv"), "--windows", str(study / "rsd_windows.csv")]
    )  # fmt: skip
    measures, windows = gathered(study, runs, window=4)
    pd.testing.assert_frame_equal(pd.read_csv(study / "mechanism.csv"), measures, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv(study / "rsd_windows.csv"), windows, check_dtype=False)
    assert "rsd 1" in capsys.readouterr().out


@pytest.mark.slow  # imports the evaluation's libraries
def test_the_measuring_program_writes_distance_and_memorisation(tmp_path):
    for name, seed in (("model", 1), ("ptlm", 0)):
        tiny_model(tmp_path / name, seed=seed)
    rows = tiny_instances(12)
    (tmp_path / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def measure(settings):
        measure_mechanism.main(
            ["--run", "r", "--model", str(tmp_path / "model"), "--ptlm", json.dumps({"path": str(tmp_path / "ptlm")}),
             "--instances", str(tmp_path / "instances.jsonl"), "--settings", json.dumps(settings),
             "--evaluation", '{"batch_size": 4, "dtype": "float32", "device": "cpu"}',
             "--out", str(tmp_path / "mechanism.json")]
        )  # fmt: skip
        return read_json(tmp_path / "mechanism.json")

    both = measure({"weight_distance": True, "memorisation": {"prompts": 6, "seed": 42, "max_new_tokens": 8}})
    assert both["run"] == "r"
    assert both["weight_distance"]["mean_over_tensors"] > 0
    assert both["memorisation"]["prompts"] == 6
    assert both["memorisation"]["seed"] == 42
    assert len(both["memorisation"]["samples"]) == 5
    neither = measure({"weight_distance": False, "memorisation": None})
    assert neither["weight_distance"] is None
    assert neither["memorisation"] is None
    with pytest.raises(InputError, match="tokens"):
        measure({"memorisation": {"tokens": 5}})


def test_the_rsd_of_the_table_is_that_of_the_log(study, runs):
    losses = [1 + i % 4 / 4 for i in range(1, 13)]
    direct = loss_stability([{"step": i, "loss": loss, "learning_rate": 1} for i, loss in enumerate(losses, 1)])
    measures, _ = gathered(study, runs)
    assert measures.loc[measures["measure"] == "rsd", "value"].item() == pytest.approx(direct.mean)

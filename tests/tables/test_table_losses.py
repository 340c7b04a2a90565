"""The experiment `losses` as a table."""

import math

import numpy as np
import pandas as pd
import pytest
from plw.tables.table import to_csv, to_markdown
from plw.tables.table_losses import compared_runs, loss_rows, table_losses


def run_table() -> pd.DataFrame:
    rows = []
    for ptlm in ("weak", "strong"):
        for plw in (0.0, 0.01, 0.1, 1.0):
            shared = "main;losses" if plw in (0.01, 0.1) else "main"
            rows.append(
                {"ptlm": ptlm, "dataset": "short", "plw": plw, "normalization": "nonzero_count", "experiments": shared}
            )
            rows.append(
                {"ptlm": ptlm, "dataset": "plain", "plw": plw, "normalization": "nonzero_count", "experiments": "main"}
            )
        for plw in (0.01, 0.1):
            rows.append(
                {
                    "ptlm": ptlm,
                    "dataset": "short",
                    "plw": plw,
                    "normalization": "sum_of_weights",
                    "experiments": "losses",
                }
            )
    frame = pd.DataFrame(rows)
    names = [f"{row.ptlm}-{row.dataset}-{row.plw:g}-{row.normalization}" for row in frame.itertuples()]
    return frame.assign(run=names, regularizer="none", strength=0.0, seed=42)  # fmt: skip


def measured(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores that rise with PLW and an RSD that only the count of tokens raises."""
    scores = runs.assign(benchmark="b", metric="acc", score=0.2 + 0.1 * runs["plw"], stderr=0.01, n=10)
    jump = (runs["normalization"] == "nonzero_count") & runs["plw"].between(0.001, 0.5)
    return scores, runs.assign(measure="rsd", value=0.1 + 0.1 * jump, n=5)


def test_runs_of_the_experiment_stand_with_the_masked_and_the_unmasked_ones_of_their_data_set():
    chosen = compared_runs(run_table())
    assert set(chosen["dataset"]) == {"short"}
    assert sorted(chosen["plw"].unique()) == [0.0, 0.01, 0.1, 1.0]
    assert len(chosen) == 2 * (4 + 2)


def test_rows_are_means_over_ptlms_and_ratios_are_to_the_masked_run():
    runs = compared_runs(run_table())
    rows = loss_rows(runs, *measured(runs)).set_index(["plw", "normalization"])
    assert set(rows["runs"]) == {2}
    assert rows.loc[(0.01, "nonzero_count"), "rsd_ratio"] == pytest.approx(2.0)
    assert rows.loc[(0.01, "sum_of_weights"), "rsd_ratio"] == pytest.approx(1.0)
    assert rows.loc[(0.0, "nonzero_count"), "relative"] == 0.0
    assert rows.loc[(1.0, "nonzero_count"), "relative"] == 1.0


def test_without_mechanism_the_scores_stand_alone_and_the_rest_is_a_dash():
    runs = compared_runs(run_table())
    rows = loss_rows(runs, measured(runs)[0], None)
    assert rows["rsd"].isna().all() and rows["relative"].notna().all()
    text = to_markdown(table_losses(rows, [{"name": "short", "label": "Short"}]))
    assert "| Short | 0.1 | sum of weights | – |" in text
    assert not any(math.isnan(value) for value in rows["relative"])


def test_a_difference_is_due_to_the_denominator_only_beyond_what_seeds_differ_by():
    one = compared_runs(run_table())
    notes = table_losses(loss_rows(one, *measured(one)), []).notes
    assert "cannot be said to be due to the denominator" in notes[1]
    both = pd.concat([one, one.assign(seed=43, run=one["run"] + "-43")], ignore_index=True)
    rng = np.random.default_rng(1)
    scores, mechanism = measured(both)
    scores = scores.assign(score=scores["score"] + rng.normal(0, 0.05, len(scores)))
    mechanism = mechanism.assign(value=mechanism["value"] + rng.normal(0, 0.005, len(mechanism)))
    rows = loss_rows(both, scores, mechanism)
    assert set(rows["rsd_df"]) == {12}
    cells = mechanism.groupby(["ptlm", "plw", "normalization"])["value"]
    assert rows["rsd_se"].iloc[0] == pytest.approx(cells.var().mean() ** 0.5 / 2)
    beyond, within = table_losses(rows, [{"name": "short", "label": "Short"}]).notes[1:]
    assert "RSD at PLW 0.01" in beyond and "RSD at PLW 0.1" in beyond and "relative" not in beyond
    assert "relative aggregate at PLW 0.1" in within


def test_the_csv_keeps_both_ratios_apart():
    runs = compared_runs(run_table())
    header = to_csv(table_losses(loss_rows(runs, *measured(runs)), [])).splitlines()[0]
    assert {"rsd_ratio", "weight_distance_ratio", "normalization"} <= set(header.split(","))

"""Evidence: how roles, experiments and runs are found, and what is said when they are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from claim_evidence import CLAIMS, GROUP_1, PLWS, as_in_the_paper, with_scores
from plw.claims.evidence import Evidence, benchmarks_of, cells, entry_of, measured, planned, score_array, thin
from plw.claims.findings import Undecided
from plw.claims.judging import measure
from plw.claims.reading import read_claims
from plw.errors import InputError

SETTINGS = {"least_judgeable": 0.5}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return as_in_the_paper()


def test_cells_hold_the_scores_by_ptlm_plw_and_benchmark(evidence):
    part = cells(evidence, "AlpacaDataShort", SETTINGS, groups=["I"])
    assert part.values.shape == (1, 2, 10, 4)
    assert (part.ptlms, part.settings, part.benchmarks) == (("first", "second"), PLWS, tuple(GROUP_1))
    rows = evidence.scores.set_index(["run", "benchmark"])["score"]
    assert part.values[0, 1, 3, 2] == rows["second-short-plw0.01-nonzero_count-none-s42", GROUP_1[2]]
    assert part.bar == pytest.approx(part.values.mean(axis=1))


def test_seeds_of_a_cell_are_averaged(evidence):
    again = evidence.scores.assign(run=lambda f: f["run"] + "x", seed="43", score=lambda f: f["score"] + 0.02)
    both = replace(evidence, scores=pd.concat([evidence.scores, again], ignore_index=True), runs=None)
    one, two = (score_array(e, "AlpacaData", benchmarks_of(e)) for e in (evidence, both))
    assert two.values == pytest.approx(one.values + 0.01)


def test_regularized_runs_are_kept_apart_from_plain_ones(evidence):
    plain = planned(evidence, "main", "short")
    assert set(plain["regularizer"]) == {"none"} and len(plain) == 20
    assert len(planned(evidence, "regularizers", "short")) == 16
    everything = score_array(
        evidence, "AlpacaDataShort", benchmarks_of(evidence, groups=["I"]), experiments=("main", "regularizers")
    )
    assert everything.values.shape == (1, 2, 10 + 8, 4)
    assert ("none", 0.0, 0.1) in everything.settings and ("dropout", 0.1, 1.0) in everything.settings


def test_runs_of_another_experiment_are_not_mixed_in(evidence):
    other = evidence.scores[evidence.scores["dataset"] == "short"].assign(
        run=lambda f: f["run"] + "y", normalization="sum_of_weights", score=0.9
    )
    runs = evidence.runs.assign(experiments=evidence.runs["experiments"])
    losses = other.drop_duplicates("run")[evidence.runs.columns.drop("experiments")].assign(experiments="losses")
    mixed = replace(
        evidence,
        scores=pd.concat([evidence.scores, other], ignore_index=True),
        runs=pd.concat([runs, losses], ignore_index=True),
    )
    one, two = (cells(e, "AlpacaDataShort", SETTINGS) for e in (evidence, mixed))
    assert (one.values == two.values).all()
    with pytest.raises(InputError, match="normalizations"):
        cells(replace(mixed, runs=None), "AlpacaDataShort", SETTINGS)


def test_of_two_data_sets_in_a_role_the_measured_one_is_taken(evidence):
    entries = [{"name": "elsewhere", "stands_for": "AlpacaData"}, *evidence.datasets]
    assert entry_of(entries, "AlpacaData", among=["plain", "short"])["name"] == "plain"
    with pytest.raises(Undecided, match="stands for AlpacaDataTiny"):
        entry_of(entries, "AlpacaDataTiny")


def test_changed_scores_are_read_anew(evidence):
    before = cells(evidence, "AlpacaDataShort", SETTINGS).values
    shuffled = evidence.scores.sample(frac=1, random_state=1).reset_index(drop=True)
    assert (cells(replace(evidence, scores=shuffled), "AlpacaDataShort", SETTINGS).values == before).all()
    lower = with_scores(evidence, lambda score, _: score - 0.1, dataset="short", benchmark=GROUP_1)
    assert (cells(lower, "AlpacaDataShort", SETTINGS).values != before).any()


def test_simulated_values_replace_the_scores_row_by_row_in_each_world(evidence):
    rows = np.arange(len(evidence.scores), dtype=float)
    part = score_array(
        replace(evidence, values=np.stack([rows, 2 * rows])), "AlpacaData", benchmarks_of(evidence, groups=["I"])[:1]
    )
    row = evidence.scores.index[
        (evidence.scores["run"] == "first-plain-plw0.05-nonzero_count-none-s42")
        & (evidence.scores["benchmark"] == part.benchmarks[0])
    ][0]
    assert part.values[:, 0, PLWS.index(0.05), 0].tolist() == [row, 2 * row]
    assert part.observed[0, PLWS.index(0.05), 0] == evidence.scores["score"][row]


def test_missing_scores_are_counted_and_named(evidence):
    run = "first-short-plw0.1-nonzero_count-none-s42"
    gone = (evidence.scores["run"] == run) & (evidence.scores["benchmark"] == "piqa")
    with pytest.raises(Undecided, match=f"1 of 80 scores are missing: piqa of {run}"):
        cells(replace(evidence, scores=evidence.scores[~gone]), "AlpacaDataShort", SETTINGS, groups=["I"])


def test_a_measure_without_a_value_is_missing(evidence):
    mechanism = evidence.mechanism.copy()
    mechanism.loc[(mechanism["measure"] == "rsd") & (mechanism["plw"] == 1.0), "value"] = np.nan
    with pytest.raises(Undecided, match="values of rsd are missing"):
        measured(replace(evidence, mechanism=mechanism), "AlpacaDataShort", "rsd")


def test_thinness_names_plws_ptlms_and_constant_benchmarks(evidence):
    part = cells(evidence, "AlpacaDataShort", SETTINGS)
    assert thin(part) == ""
    few = replace(part, settings=part.settings[:4], ptlms=("first",), constant=("PIQA",))
    said = thin(few)
    assert "4 PLWs where the paper has 10" in said and "1 ptlm where the paper has 2" in said and "PIQA" in said


def test_a_study_with_one_ptlm_is_judged_and_said_to_be_thin(evidence):
    one = evidence.scores[evidence.scores["ptlm"] == "first"].reset_index(drop=True)
    runs = evidence.runs[evidence.runs["ptlm"] == "first"]
    claims = {claim["id"]: claim for claim in read_claims(CLAIMS)}
    found = measure(claims["C10"], replace(evidence, scores=one, runs=runs))
    assert found.holds and "1 ptlm where the paper has 2" in found.notes

"""What is constant, and the min-max scale: one answer in every room."""

import numpy as np
import pandas as pd
import pytest
from plw.claims.measures import min_max as in_claims
from plw.scores.scale import constant_groups, is_constant, min_max
from plw.scores.table import relative_scores
from plw.statistics.gam import gam_rows
from plw.statistics.regression import constant_benchmarks
from plw.statistics.runs import relative_aggregate

SAME = (0.1 + 0.2, 0.3, 0.3)  # one score, computed in two ways
FRAME = pd.DataFrame(
    {
        "run": list("abcabc"),
        "ptlm": "m",
        "dataset": "d",
        "plw": [0.0, 0.1, 1.0] * 2,
        "seed": 42,
        "benchmark": ["flat"] * 3 + ["real"] * 3,
        "score": [*SAME, 0.3, 0.300001, 0.3],
    }
)


def test_scores_that_differ_by_rounding_are_constant_and_one_item_in_a_million_is_not():
    assert is_constant(min(SAME), max(SAME))
    assert not is_constant(0.5, 0.5 + 1e-6)
    assert not is_constant(np.nan, np.nan)
    assert constant_groups(FRAME, "benchmark") == ["flat"]
    assert constant_groups(FRAME, ["dataset", "benchmark"]) == [("d", "flat")]


def test_every_room_calls_the_same_benchmark_constant_and_scales_alike():
    wide = FRAME.pivot(index="run", columns="benchmark", values="score").to_numpy()
    expected = np.array([[0.5, 0.0], [0.5, 1.0], [0.5, 0.0]])
    assert min_max(wide, axis=0) == pytest.approx(expected)
    assert in_claims(wide[None, None])[0, 0] == pytest.approx(expected)
    assert relative_aggregate(wide) == pytest.approx(expected.mean(axis=1))
    with pytest.warns(UserWarning, match="flat/d"):
        assert relative_scores(FRAME)["relative"].tolist() == pytest.approx(expected.T.ravel())
    assert constant_benchmarks(FRAME) == ["flat"]
    assert set(gam_rows(FRAME, {"d": 1.0})["benchmark"]) == {"real"}

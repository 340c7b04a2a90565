"""The power transform against the numbers that the paper prints."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plw.scores.transform import POWER, from_w_p, to_w_p

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = yaml.safe_load((ROOT / "config" / "paper_numbers.yaml").read_text(encoding="utf-8"))


def test_a_tenth_becomes_a_half_as_the_power_was_chosen_for():
    assert to_w_p(0.1) == pytest.approx(0.5, abs=1e-5)


def test_the_ends_of_the_interval_stay():
    assert (to_w_p(0.0), to_w_p(1.0)) == (0.0, 1.0)


def test_the_grid_of_the_paper_becomes_the_derived_values():
    printed = NUMBERS["plw"]
    assert printed["power"] == POWER
    assert [round(to_w_p(plw), 4) for plw in printed["grid"]] == printed["derived"]["w_p"]


@given(st.floats(min_value=1e-12, max_value=1.0))
def test_the_inverse_undoes_the_transform(plw):
    assert from_w_p(to_w_p(plw)) == pytest.approx(plw, rel=1e-12)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_transform_keeps_the_order(one, other):
    assert (one <= other) == (to_w_p(one) <= to_w_p(other)) or one == pytest.approx(other)


@pytest.mark.parametrize("function", [to_w_p, from_w_p])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_values_outside_the_interval_are_refused(function, value):
    with pytest.raises(ValueError, match="outside"):
        function(value)


def test_the_printed_vertex_is_the_printed_critical_weight():
    critical = NUMBERS["table_3"]["critical"]
    assert from_w_p(critical["vertex_w_p"]) == pytest.approx(critical["plw"], abs=6e-4)


def test_importing_the_module_loads_nothing_heavy():
    code = "import sys, plw.scores.transform; print([m for m in ('pandas', 'numpy', 'rpy2') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"

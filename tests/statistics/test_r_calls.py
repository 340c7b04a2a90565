"""R in this process: what is missing is named, and it leaves the environment as it was."""

import os
import subprocess
import sys

import pytest
from plw.errors import InputError
from plw.statistics import r_calls
from plw.statistics.r_calls import start_r
from plw.statistics.regression import fit_dataset
from simulated_scores import score_table


def test_missing_rpy2_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "rpy2.robjects", None)
    with pytest.raises(InputError, match="R cannot be started") as error:
        r_calls.start_r()
    assert "r-cran-glmmtmb" in str(error.value)


@pytest.mark.r
def test_a_missing_r_package_is_named(monkeypatch):
    monkeypatch.setattr(r_calls, "R_PACKAGES", ("glmmTMB", "packagethatnobodywrote"))
    with pytest.raises(InputError, match=r"missing: packagethatnobodywrote\."):
        r_calls.start_r()


def test_a_missing_rscript_is_explained(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="Rscript is not on the PATH"):
        fit_dataset(score_table(datasets=("short",)), dataset="short", engine="rscript")


@pytest.mark.r
def test_programs_started_after_r_find_their_own_libraries():
    before = os.environ.get("LD_LIBRARY_PATH")
    start_r()
    assert os.environ.get("LD_LIBRARY_PATH") == before
    done = subprocess.run([sys.executable, "-c", "import ssl, os; print(os.environ.get('LD_LIBRARY_PATH'))"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == str(before)

"""What a run's record says about where it was made."""

import os
import subprocess
import time
from pathlib import Path

import plw.training.record as card
import pytest
import torch
from training_runs import torchrun


def test_versions_name_every_package_and_none_for_an_absent_one(monkeypatch):
    monkeypatch.setattr(card, "PACKAGES", ("torch", "no-such-package"))
    found = card.versions()
    assert found["torch"] and found["no-such-package"] is None and found["python"].startswith("3.")


def test_git_state_knows_commit_and_changes(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    assert card.git_state(tmp_path) == {"commit": None, "dirty": None}
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    state = card.git_state(tmp_path)
    assert len(state["commit"]) == 40 and state["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert card.git_state(tmp_path)["dirty"] is True


def test_a_machine_without_git_or_counters_has_no_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert card.git_state(tmp_path)["commit"] is None
    monkeypatch.setattr(card, "RAPL", tmp_path)
    assert card.EnergyMeter("cpu").joules() is None


def test_energy_is_the_difference_of_all_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "RAPL", tmp_path)
    for zone, value in (("intel-rapl:0", 1_000_000), ("intel-rapl:1", 5_000_000)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "energy_uj").write_text(str(value))
    meter = card.EnergyMeter("cpu")
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("3500000")
    assert meter.joules() == 2.5
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("0")
    assert meter.joules() is None  # the counter wrapped around


SUMS = """
import os
import torch
from plw.training.record import sum_over_ranks
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
line = f"{sum_over_ranks(1.5 + rank)} {sum_over_ranks(None if rank else 1.0)}\\n"
os.write(1, line.encode())  # in one piece: both ranks write into one pipe
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_energy_of_several_ranks_is_their_sum_or_unknown(tmp_path):
    (tmp_path / "sums.py").write_text(SUMS)
    environment = os.environ | {"PYTHONPATH": str(Path(card.__file__).parents[2])}
    done = subprocess.run(
        [*torchrun(2), str(tmp_path / "sums.py")], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4.0", "None"] * 2
    assert card.sum_over_ranks(2.0) == 2.0 and card.sum_over_ranks(None) is None


def test_peak_memory_is_in_bytes():
    assert card.peak_memory_bytes("cpu")["host"] > 50 * 2**20


def test_the_matrix_rate_is_quickly_measured_and_no_slower_than_a_product_of_ones_own():
    used = time.process_time()
    rate = card.measure_matrix_rate()
    assert time.process_time() - used < 1
    left = torch.ones(512, 512)
    left @ left
    own = time.perf_counter()
    left @ left
    assert rate > 0.2 * 2 * 512**3 / (time.perf_counter() - own)

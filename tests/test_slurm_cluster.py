"""What the private cluster of the tests takes for a Slurm of the machine's own."""

import os

import pytest
import slurm_cluster


@pytest.fixture
def system(tmp_path, monkeypatch):
    """The place of the machine's configuration, empty; and the folder of a test's cluster, as it lays it out."""
    place, folder = tmp_path / "slurm.conf", tmp_path / "cluster"
    (folder / "munge").mkdir(parents=True)
    (folder / "munge/key").write_bytes(b"")
    (folder / "slurm.conf").write_text("ClusterName=plwtest\n")
    monkeypatch.setattr(slurm_cluster, "SYSTEM_CONFIGURATION", place)
    return place, folder


def test_a_machine_without_a_configuration_has_none(system):
    assert not slurm_cluster.has_its_own()


def test_a_file_and_a_link_to_elsewhere_are_its_own(system, tmp_path):
    place, _ = system
    place.write_text("ClusterName=theirs\n")
    assert slurm_cluster.has_its_own()
    place.rename(tmp_path / "theirs.conf")
    place.symlink_to(tmp_path / "theirs.conf")
    assert slurm_cluster.has_its_own()


def test_a_link_that_a_killed_test_left_counts_only_while_its_controller_lives(system):
    place, folder = system
    place.symlink_to(folder / "slurm.conf")
    assert not slurm_cluster.has_its_own()
    (folder / "slurmctld.pid").write_text(f"{os.getpid()}\n")
    assert slurm_cluster.has_its_own()
    (folder / "slurmctld.pid").write_text("4194305\n")  # above the largest process number (proc(5): 2^22)
    assert not slurm_cluster.has_its_own()

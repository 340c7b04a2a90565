"""What several test files share."""

import gc
import os
import shutil
from pathlib import Path

import pytest
import slurm_cluster
from checkout import ROOT
from filelock import FileLock
from finished_study import make_study

# The tests' imports leave many objects and hardly any garbage: no collection looks through them, now or later.
gc.disable()

# Snakemake's plugin for Slurm asks for the cluster's configuration at every start, and waits up to ten seconds for it
# where Slurm's programs lie without a cluster, as they do after the test of Slurm, which names its own.
if not slurm_cluster.has_its_own():
    os.environ.setdefault("SLURM_CONF", os.devnull)

# Processes of pytest share the cores: threads of one that wait for each other take them from the others.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What libraries and trainings in this process set for themselves. Programs that a test starts get the shell's
# environment without it, as users' do, whatever ran before; and so they find one process with preloaded libraries.
SET_BY_IMPORTS = {
    "DS_ACCELERATOR", "HF_XET_HIGH_PERFORMANCE", "IS_ALPACA_EVAL_2", "PYTORCH_NVML_BASED_CUDA_CHECK",
    "PYTHON_SESSION_INITIALIZED",  # rpy2's, with the number of its process
}  # fmt: skip
SET_BY_IMPORTS -= set(os.environ)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for name in SET_BY_IMPORTS:
        os.environ.pop(name, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """In xdist's controller too, which collects no tests."""
    gc.freeze()
    # Workflows and models that tests make in this process are many objects, and usual thresholds look through all that
    # a test has imported again and again.
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def pytest_collection_modifyitems(config, items):
    """What a night takes is run only where it is asked for by name; whole studies first, since they take longest.

    Of them the one through Slurm begins, which waits for its jobs: other processes of pytest go on beside it.
    """
    items.sort(key=lambda item: (not item.get_closest_marker("slurm"), not item.get_closest_marker("study")))
    if "nightly" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="takes long: pytest -m nightly"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with samples of the real data sets; not part of the project, so tests that need it may skip."""
    folder = Path(os.environ.get("PLW_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"samples of real data not found at {folder} (set PLW_SAMPLES)")
    return folder


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory) -> Path:
    """A copy of the project in which the test study is finished; each process of pytest has a copy of its own."""
    folder = tmp_path_factory.mktemp("study")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make_study(folder)
    made = tmp_path_factory.getbasetemp().parent / "finished_study"  # of all processes
    with FileLock(f"{made}.lock"):
        if not made.exists():
            make_study(folder).rename(made)
    return Path(shutil.copytree(made, folder / "project", symlinks=True))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub, with the client libraries of this process pointed to it and an empty cache of their own."""
    from hub_server import HubServer
    from huggingface_hub import constants

    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server

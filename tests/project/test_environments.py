"""The conda files, the lock file and pyproject.toml name the same versions, and every line is pinned."""

import re
import tomllib

import pytest
import yaml
from checkout import ROOT

LOCK = ROOT / "envs" / "requirements.lock.txt"
CONDA_FILES = sorted((ROOT / "envs").glob("*.yaml"))
CONDA_PIN = re.compile(r"[a-z0-9_.-]+=\d[0-9a-z._]*")
PIP_PIN = re.compile(r"[A-Za-z0-9_.-]+==\d[0-9A-Za-z.+!]*")
# Installed before the lock file is read, so that a machine's own build (CPU or CUDA) is kept.
NOT_IN_LOCK = {"torch"}


def normal(name):
    """The package name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    """Versions by package of `name==version` lines, without local labels such as +cpu."""
    return {normal(name): version.split("+")[0] for name, version in (line.split("==") for line in lines)}


def pip_lines(file):
    dependencies = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"]
    return [line for item in dependencies if isinstance(item, dict) for line in item["pip"]]


def conda_lines(file):
    dependencies = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"]
    return [item for item in dependencies if isinstance(item, str)]


def lock_lines():
    if not LOCK.is_file():
        pytest.skip(f"{LOCK.relative_to(ROOT)} has not been made yet")
    lines = [line.strip() for line in LOCK.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def project_lines(*, optional=()):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for name in optional:
        lines += project["optional-dependencies"][name]
    return lines


def test_there_are_two_conda_files():
    assert [file.name for file in CONDA_FILES] == ["statistics.yaml", "workflow.yaml"]


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_every_line_of_a_conda_file_is_pinned(file):
    assert all(CONDA_PIN.fullmatch(line) for line in conda_lines(file))
    assert all(PIP_PIN.fullmatch(line) for line in pip_lines(file))
    assert len(conda_lines(file)) >= 3 and len(pip_lines(file)) >= 5


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_conda_comes_from_conda_forge_alone(file):
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["channels"] == ["conda-forge"]


def test_every_line_of_the_lock_is_pinned_and_names_a_package_once():
    lines = lock_lines()
    assert len(lines) > 100
    assert all(PIP_PIN.fullmatch(line) for line in lines)
    assert len(pins(lines)) == len(lines)


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_a_conda_file_has_the_versions_of_the_lock(file):
    lock, conda = pins(lock_lines()), pins(pip_lines(file))
    assert {name: lock.get(name) for name in conda if name not in NOT_IN_LOCK} == {
        name: version for name, version in conda.items() if name not in NOT_IN_LOCK
    }


def test_the_lock_has_the_versions_of_pyproject():
    lock, project = pins(lock_lines()), pins(project_lines(optional=["dev"]))
    assert {name: lock.get(name) for name in project if name not in NOT_IN_LOCK} == {
        name: version for name, version in project.items() if name not in NOT_IN_LOCK
    }


def test_the_conda_files_together_hold_every_direct_dependency():
    together = {}
    for file in CONDA_FILES:
        for name, version in pins(pip_lines(file)).items():
            assert together.setdefault(name, version) == version, f"{name} differs between the conda files"
    project = pins(project_lines())
    assert {name: together.get(name) for name in project} == project


def test_the_statistics_environment_has_the_versions_of_the_paper():
    lines = conda_lines(ROOT / "envs" / "statistics.yaml")
    assert {"r-base=4.3.0", "r-glmmtmb=1.1.8", "r-dharma=0.4.6", "r-mgcv=1.9_1"} <= set(lines)  # App. E.3, E.6


def test_conda_files_use_the_same_python_which_the_project_supports():
    versions = {line for file in CONDA_FILES for line in conda_lines(file) if line.startswith("python=")}
    assert len(versions) == 1
    assert versions.pop().startswith("python=3.11.")  # pyproject.toml: requires-python >=3.11,<3.13

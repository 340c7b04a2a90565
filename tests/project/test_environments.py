"""The lock files and the conda files pin the same versions, and they satisfy what pyproject.toml asks for."""

import re
import tomllib

import pytest
import yaml
from checkout import ROOT
from packaging.requirements import Requirement

LOCK = ROOT / "envs" / "requirements.lock.txt"
JUDGES_LOCK = ROOT / "envs" / "judges.lock.txt"  # vLLM's environment, which shares no process with the project's
CONDA_FILES = sorted((ROOT / "envs").glob("*.yaml"))
OWN_FILES = [file for file in CONDA_FILES if file.name != "judges.yaml"]
CONDA_PIN = re.compile(r"[a-z0-9_.-]+=\d[0-9a-z._]*")
PIP_PIN = re.compile(r"[A-Za-z0-9_.-]+==\d[0-9A-Za-z.+!]*")


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


def lock_lines(lock=LOCK):
    if not lock.is_file():
        pytest.skip(f"{lock.relative_to(ROOT)} has not been made yet")
    lines = [line.strip() for line in lock.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def project_requirements(*extras):
    """Direct dependencies of pyproject.toml: those of the core and of these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
    return [Requirement(line) for line in lines]


def test_there_are_three_conda_files():
    assert [file.name for file in CONDA_FILES] == ["judges.yaml", "statistics.yaml", "workflow.yaml"]


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_every_line_of_a_conda_file_is_pinned(file):
    assert all(CONDA_PIN.fullmatch(line) for line in conda_lines(file))
    assert all(PIP_PIN.fullmatch(line) for line in pip_lines(file))
    assert len(conda_lines(file)) >= 3 and len(pip_lines(file)) >= 5


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_conda_comes_from_conda_forge_alone(file):
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["channels"] == ["conda-forge"]


@pytest.mark.parametrize("lock", [LOCK, JUDGES_LOCK], ids=lambda lock: lock.name)
def test_every_line_of_a_lock_is_pinned_and_names_a_package_once(lock):
    lines = lock_lines(lock)
    assert len(lines) > 100
    assert all(PIP_PIN.fullmatch(line) for line in lines)
    assert len(pins(lines)) == len(lines)


@pytest.mark.parametrize("file", CONDA_FILES, ids=lambda file: file.name)
def test_a_conda_file_has_the_versions_of_the_lock(file):
    lock = pins(lock_lines(LOCK if file in OWN_FILES else JUDGES_LOCK))
    conda = pins(pip_lines(file))
    assert {name: lock.get(name) for name in conda} == conda


def test_the_lock_satisfies_every_direct_dependency():
    lock = pins(lock_lines())
    wanted = project_requirements("workflow", "statistics", "judges", "dev")
    assert len(wanted) > 30
    missing = [str(item) for item in wanted if not item.specifier.contains(lock.get(normal(item.name), "0"))]
    assert not missing


def test_the_conda_files_together_hold_every_direct_dependency():
    together = {}
    for file in OWN_FILES:
        for name, version in pins(pip_lines(file)).items():
            assert together.setdefault(name, version) == version, f"{name} differs between the conda files"
    wanted = {normal(item.name) for item in project_requirements("workflow", "statistics", "judges")}
    assert wanted <= set(together)


def test_the_judges_environment_is_vllms_and_needs_another_transformers_than_the_project():
    judges, project = pins(lock_lines(JUDGES_LOCK)), pins(lock_lines())
    assert "vllm" in judges and "vllm" not in project
    assert judges["transformers"] != project["transformers"]


def test_the_package_bounds_its_own_dependencies_from_below_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = project_requirements()
    assert {normal(item.name) for item in core} <= {"torch", "transformers", "numpy", "pyyaml"}
    assert all(item.specifier and {part.operator for part in item.specifier} == {">="} for item in core)
    assert "<" not in project["requires-python"]


def test_the_statistics_environment_has_the_versions_of_the_paper():
    lines = conda_lines(ROOT / "envs" / "statistics.yaml")
    assert {"r-base=4.3.0", "r-glmmtmb=1.1.8", "r-dharma=0.4.6", "r-mgcv=1.9_1"} <= set(lines)  # App. E.3, E.6


def test_conda_files_use_the_same_python_which_the_project_supports():
    versions = {line for file in CONDA_FILES for line in conda_lines(file) if line.startswith("python=")}
    assert len(versions) == 1
    assert versions.pop().startswith("python=3.11.")

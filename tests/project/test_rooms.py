"""The rooms: one name for a stage in four places, walls that hold, maps that equal the tree."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from checkout import ROOT, project_files

LIBRARY = ROOT / "scripts" / "plw"
# In run order; data flow downwards, imports point upwards (DESIGN: a stage is one room).
ROOMS = (
    *("study", "data", "models", "training", "evaluation", "mechanism", "scores", "statistics"),
    *("figures", "tables", "claims", "report"),
)
ROOT_FILES = {"__init__.py", "cli.py", "errors.py", "files.py", "loss.py", "parent.py", "preload.py",
              "preload_server.py", "huge_pages.py", "program.py", "environment.py"}  # fmt: skip
COMMAND_ROOMS = ("recommend", "sharing")  # no stages: what `plw` does with a user's own file, and with a finished study
LARGEST_ROOM = 16


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True)


def programs() -> list[Path]:
    """Programs and, with them, nothing else: the files of scripts/ that are not the library's."""
    return [ROOT / name for name in project_files() if re.fullmatch(r"scripts/(?!plw)\w+/\w+\.py", name)]


def imports(file: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_a_stage_has_its_room_in_the_rules_the_programs_the_library_and_the_tests():
    for room in ROOMS:
        assert (ROOT / f"workflow/rules/{room}.smk").is_file(), room
        assert (LIBRARY / room / "__init__.py").is_file(), room
        assert list((ROOT / "scripts" / room).glob("*.py")), room
        assert list((ROOT / "tests" / room).glob("test_*.py")), room
    library = {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert library == {*ROOMS, *COMMAND_ROOMS}
    rules = {path.stem for path in (ROOT / "workflow/rules").glob("*.smk")}
    assert rules == {*ROOMS, "world", "common"}
    assert {path.parent.name for path in programs()} == {*ROOMS, "world"}


def test_the_rules_are_included_in_run_order():
    included = re.findall(r'include: "workflow/rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())
    assert [name for name in included if name not in ("common", "world")] == list(ROOMS)


def test_no_room_is_a_hall_and_the_root_holds_what_every_room_uses():
    for room in (*(LIBRARY / name for name in (*ROOMS, *COMMAND_ROOMS)), ROOT / "scripts/plw_world"):
        modules = [path for path in room.iterdir() if path.suffix in (".py", ".R") and path.name != "__init__.py"]
        assert 1 < len(modules) <= LARGEST_ROOM, room.name
    assert {path.name for path in LIBRARY.iterdir() if path.is_file()} == ROOT_FILES


@pytest.mark.parametrize("room", [*ROOMS, *COMMAND_ROOMS, "study/planning", "study/records"])
def test_a_rooms_map_names_each_of_its_files_once(room):
    text = ast.get_docstring(ast.parse((LIBRARY / room / "__init__.py").read_text(encoding="utf-8")))
    listed = re.findall(r"^(\w+(?:\.py|\.R|/)) +\S", text, flags=re.MULTILINE)
    inside = {path.name + "/" * path.is_dir() for path in (LIBRARY / room).iterdir()}
    assert sorted(listed) == sorted(inside - {"__init__.py", "__pycache__/"})


def test_folders_of_programs_shadow_no_module():
    """A folder scripts/statistics must never be taken for Python's own module, nor scripts/data for somebody's."""
    assert not [path for path in (ROOT / "scripts").glob("*/__init__.py") if not path.parent.name.startswith("plw")]
    assert not list((ROOT / "tests").rglob("__init__.py"))
    code = "import statistics, sys; print(statistics.__file__, 'plw' in str(sys.modules['statistics']))"
    for folder in (ROOT / "scripts", ROOT / "scripts/statistics", ROOT / "tests", ROOT):
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0].endswith("statistics.py") and done.stdout.split()[1] == "False"


def test_pytest_finds_the_programs_of_every_stage():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert set(settings["pythonpath"]) == {"scripts", "tests", *(f"scripts/{room}" for room in (*ROOMS, "world"))}


def test_the_import_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert "6 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("plw/data/ratios.py", "import plw.scores.table", "a room imports only itself"),
        ("plw/files.py", "import plw.study.runs", "a room imports only itself"),
        ("plw/scores/table.py", "import plw_world.names", "generated"),
        ("plw/claims/measures.py", "import rpy2.robjects", "only statistics touches R"),
        ("plw/tables/table.py", "import torch", "load no model library"),
        ("plw/study/runs.py", "import pandas", "study is light"),
        ("plw/data/inversion.py", "import transformers", "data is light"),
        ("plw/new_hall.py", "", "a room imports only itself"),
    ],
)
def test_a_contract_breaks_where_a_wall_is_broken(tmp_path, file, line, contract):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    broken = tmp_path / "scripts" / file
    text = broken.read_text(encoding="utf-8") if broken.exists() else ""
    broken.write_text(f"{text}\n{line}\n", encoding="utf-8")
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    if line:
        assert re.search(rf"{contract}.* BROKEN", done.stdout), done.stdout


def test_programs_use_their_own_room_and_those_before_it():
    order = list(ROOMS)
    found = programs()
    assert len(found) >= 36
    for file in found:
        stage = file.parent.name
        for module in imports(file):
            parts = module.split(".")
            if parts[0] == "plw_world":
                assert stage == "world", f"{file.name} imports {module}"
            elif parts[0] == "plw" and len(parts) > 1 and parts[1] in order and stage != "world":
                assert order.index(parts[1]) <= order.index(stage), f"{file.name} imports {module}"
            elif parts[0] in ("torch", "transformers", "datasets"):
                assert stage in ("training", "evaluation", "mechanism", "models", "world"), f"{file.name}: {module}"


def test_light_rooms_load_nothing_heavy_in_fact():
    modules = [f"plw.study.{path.stem}" for path in (LIBRARY / "study").glob("*.py") if path.stem != "__init__"]
    modules += [
        f"plw.data.{path.stem}"
        for path in (LIBRARY / "data").glob("*.py")
        if path.stem not in ("__init__", "tokenizers", "token_counts", "encoded")
    ]
    heavy = ("torch", "transformers", "datasets", "numpy", "pandas", "matplotlib", "rpy2", "scipy")
    code = f"import sys, {', '.join(modules)}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert len(modules) >= 18


def test_every_program_is_named_by_a_rule_of_its_stage_and_every_named_program_exists():
    for room in (*ROOMS, "world"):
        rules = (ROOT / f"workflow/rules/{room}.smk").read_text()
        here = {path.name for path in programs() if path.parent.name == room}
        named = set(re.findall(r"\b(\w+\.py)\b", re.sub(r"plw/[\w/]+\.py", "", rules)))
        named |= {f"make_{name}.py" for name in re.findall(r'"(table_\w+)": \(', rules)} if room == "tables" else set()
        named -= {"make_.py"}
        assert here == named, room


def test_the_code_that_cheap_rules_list_exists():
    listed = {
        name
        for room in ROOMS
        for name in re.findall(
            r'"((?:plw|[a-z]+)/[\w/]+\.(?:py|R))"', (ROOT / f"workflow/rules/{room}.smk").read_text()
        )
    }
    assert len(listed) > 30
    assert not [name for name in listed if not (ROOT / "scripts" / name).is_file()]


def test_the_readmes_folder_map_fits_a_screen_and_equals_the_tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("## Folder map")[1].split("```")[1].strip("\n").splitlines()
    assert 15 <= len(block) <= 30
    listed, stack = set(), []
    for line in block:
        depth = (len(line) - len(line.lstrip())) // 2
        names = line.split("  ")[depth].split() if depth == 0 else line.strip().split("  ")[0].split()
        stack = [*stack[:depth], names[0].rstrip("/")]
        listed |= {"/".join([*stack[:depth], name.strip(",").rstrip("/")]) for name in names}
    files = project_files()
    folders = {"/".join(name.split("/")[:i]) for name in files for i in range(1, name.count("/") + 1)}
    assert listed <= set(files) | folders, sorted(listed - set(files) - folders)
    top = {name.split("/")[0] for name in files if not name.startswith(".")}
    rooms = {f"scripts/plw/{room}" for room in ROOMS}
    assert top | rooms <= listed, sorted((top | rooms) - listed)

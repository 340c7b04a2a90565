"""The code that decides a result, as one sum: of the modules that make it and of all of this project that they import.

Comments, docstrings and layout change nothing about a result, and so nothing about the sum.
"""

import ast
import functools
import hashlib
from pathlib import Path

from plw.study.records.parsed import Parsed, ParsedFiles, place_beside

SCRIPTS = Path(__file__).resolve().parents[3]
PACKAGES = ("plw", "plw_world")
BOOKKEEPING = "plw.study.records"  # what writes down how results were made decides none
# Versions of expensive rules: raise one where changed code changes results, and all that the rule made is made anew.
VERSIONS = {"train_model": 1, "evaluate_model": 1, "judge_outputs": 1, "measure_mechanism": 1}
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement of Python holds further ones
# The modules that make the records of an expensive rule; what they import is found from them.
DECIDING = {
    "train_model": ("plw.training.run",),
    # The harness's tasks name the latter two (config/harness).
    "evaluate_model": ("plw.evaluation.measuring", "plw.evaluation.harness_tasks", "plw.evaluation.harness_metrics"),
    "judge_outputs": ("plw.evaluation.alpaca_eval", "plw.evaluation.pandalm", "plw.evaluation.judgements"),
    "measure_mechanism": ("plw.mechanism.measuring",),
}


def training_version(training: dict) -> int:
    """The version of the training code for these settings of a study.

    One more for DeepSpeed with bfloat16: it starts from the exact weights now, not from their bfloat16 neighbours.
    """
    rounded = training.get("compute_dtype") == "bfloat16" and training.get("zero_stage") not in (None, "none")
    return VERSIONS["train_model"] + rounded


@functools.cache
def code_sum(rule: str, scripts: Path = SCRIPTS) -> str:
    """The sum of the code that decides what `rule` (a key of DECIDING) makes, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, file in sorted(deciding_files(DECIDING[rule], scripts).items()):
        digest.update(f"{name}\0{file_sum(file)}\0".encode())
    _parsed.keep()
    return digest.hexdigest()[:16]


@functools.cache
def program_sum(program: str, scripts: Path = SCRIPTS) -> str | None:
    """The same of a program by its place below scripts/, with all that it imports; None where it is not there."""
    file = scripts / program
    if not file.is_file():
        return None
    digest = hashlib.sha256(file_sum(file).encode())
    for name, module in sorted(deciding_files(_parsed.of(file.read_bytes()).imports, scripts).items()):
        digest.update(f"{name}\0{file_sum(module)}\0".encode())
    _parsed.keep()
    return digest.hexdigest()[:16]


def code_record(rule: str, version: int) -> dict:
    """What a record says of the code: the rule's version, and the sum of the code that ran."""
    return {"version": version, "sum": code_sum(rule)}


def deciding_files(modules: tuple[str, ...], scripts: Path = SCRIPTS) -> dict[str, Path]:
    """The project's files that importing `modules` may run, by module name: imports inside functions count too."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file_of(name, scripts)
        if name in found or file is None or name.startswith(BOOKKEEPING):
            continue
        found[name] = file
        waiting += _parsed.of(file.read_bytes()).imports
        waiting.append(name.rpartition(".")[0])  # a package runs before its modules
    return found


def _file_of(module: str, scripts: Path) -> Path | None:
    if module.partition(".")[0] not in PACKAGES:
        return None
    place = scripts.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def file_sum(file: Path) -> str:
    """The sha256 of a Python file's statements without docstrings; of any other file of its bytes."""
    content = file.read_bytes()
    return _parsed.of(content).sum if file.suffix == ".py" else hashlib.sha256(content).hexdigest()


def parse(content: bytes) -> Parsed:
    """What a file of Python says, read from its text."""
    tree = ast.parse(content)
    statements: list[str] = []
    _write_statements(tree, statements)
    return Parsed(hashlib.sha256("\n".join(statements).encode()).hexdigest(), _imported(tree))


_parsed = ParsedFiles(parse, Path(__file__).read_bytes(), place_beside(__file__))


def _imported(tree: ast.Module) -> tuple[str, ...]:
    names: list[str] = []
    waiting: list[ast.AST] = [tree]
    while waiting:  # through statements alone: no expression imports, and most of a tree is expressions
        node = waiting.pop()
        for name in BLOCKS:
            waiting += getattr(node, name, ())
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.partition(".")[0] in PACKAGES)


def _write_statements(node: object, lines: list[str]) -> None:
    """Append a syntax tree as text, without places, docstrings and empty parts.

    A list and no generator: nested generators took three times as long.
    """
    if isinstance(node, ast.AST):
        lines.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if name == "body" and isinstance(value, list) and _documented(node):
                value = value[1:]
            if value not in (None, []) and name not in ("kind", "type_comment"):
                lines.append(name)
                _write_statements(value, lines)
        lines.append(".")
    elif isinstance(node, list):
        for item in node:
            _write_statements(item, lines)
    else:
        lines.append(repr(node))


def _documented(node: ast.AST) -> bool:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None

"""results/STUDY/manifest.json: the sum of every file that a call made, and of what it was made from.

Snakemake's main process writes it when a call ends, for the jobs that it ran; what others put there before keeps its
entry, so that an edit is never taken for a result. It is a record against mishaps, no signature.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from plw.files import read_json, write_json
from plw.study.records.code import DECIDING, code_sum, file_sum, program_sum

NAME = "manifest.json"
FORM = 1
UNRECORDED = ("logs", "checkpoints", "requests", "encoded")  # folders that hold no results
LARGE = 64 * 2**20  # bytes from which a file is sampled: hashing a 7B model whole takes minutes
SAMPLES, SAMPLE = 64, 2**18  # places, and bytes at each
# What a rule's program writes beside its outputs, as the beginning of paths from the folder of its first output.
BESIDE = {
    "evaluate_model": "benchmarks/*",
    "evaluate_ptlm": "benchmarks/*",
    "pretrain_model": "*",
    "train_judge": "*",
    "judge_outputs": "cache/{stem}/*",
    "judge_ptlms": "cache/{stem}/*",
}


@dataclass(frozen=True)
class Job:
    """A job of a call; paths are relative to the project's root.

    outputs  files and folders that it declares, the one that names it first
    program  by its place below scripts/; None where the rule runs none
    """

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    program: str | None

    def patterns(self) -> list[str]:
        """What is made by this job: paths, and beginnings of paths that end in `*`."""
        first = Path(self.outputs[0])
        folders = [output for output in self.outputs if not Path(output).suffix]
        beside = [f"{first.parent}/{BESIDE[self.rule].format(stem=first.stem)}"] if self.rule in BESIDE else []
        return [*self.outputs, *(f"{folder}/*" for folder in folders), *beside]


def read_manifest(root: Path, study: str) -> dict | None:
    """A study's manifest; None where there is none, or none that can be read."""
    try:
        manifest = read_json(root / "results" / study / NAME)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("form") == FORM else None


def _empty(before: list[str]) -> dict:
    """A manifest without entries; `before` are files that are there already, of which nobody knows any more."""
    return {"form": FORM, "files": {}, "jobs": {}, "pending": [], "before": before}


def begin_call(root: Path, study: str, jobs: Iterable[Job]) -> None:
    """Note what a call is about to make: if it never ends, these files are known to be unrecorded, not foreign."""
    manifest = read_manifest(root, study) or _empty(result_files(root, study))
    pending = {pattern for job in jobs for pattern in job.patterns()} | set(manifest["pending"])
    _write(root, study, manifest | {"pending": sorted(pending)})


def end_call(root: Path, study: str, jobs: Iterable[Job], *, since: float) -> None:
    """Record the files of the jobs that a call finished; files of others keep what was recorded of them.

    since  when the call began, in seconds since 1970: what a job kept from an earlier call keeps its entry too
    """
    present = result_files(root, study)
    manifest = read_manifest(root, study) or _empty([])
    sums = Sums(root)
    pending = set(manifest["pending"])
    for job in jobs:
        pending -= set(job.patterns())
        for path in filter(matcher(job.patterns()), present):
            kept = path not in job.outputs and path in manifest["files"] and (root / path).stat().st_mtime < since
            if not kept:
                manifest["files"][path] = {**sums.of_file(path), "job": job.outputs[0]}
        for path in set(manifest["files"]) - set(present):
            if manifest["files"][path]["job"] == job.outputs[0]:
                del manifest["files"][path]
        manifest["jobs"][job.outputs[0]] = {
            "rule": job.rule,
            "program": job.program,
            "code": current_code(root, job.rule, job.program),
            "inputs": {path: sums.of_input(path, present) for path in job.inputs},
        }
    manifest["before"] = [path for path in manifest["before"] if path in present and path not in manifest["files"]]
    _write(root, study, manifest | {"pending": sorted(pending)})


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path is one of these, or begins as one that ends in `*`."""
    exact = {pattern for pattern in patterns if not pattern.endswith("*")}
    heads = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return lambda path: path in exact or path.startswith(heads)


def current_code(root: Path, rule: str, program: str | None) -> str | None:
    """The sum of the code below `root` that makes a rule's files now."""
    scripts = (root / "scripts").resolve()
    if rule in DECIDING:
        return code_sum(rule, scripts)
    return program_sum(program, scripts) if program else None


def result_files(root: Path, study: str) -> list[str]:
    """Every file of a study's folder, from the root, without those UNRECORDED, hidden files and the manifest."""
    folder = root / "results" / study
    found = []
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if not hidden and parts[0] not in UNRECORDED and parts != (NAME,) and not file.is_dir():
            found.append(file.relative_to(root).as_posix())
    return found


class Sums:
    """Sums of files below a root, each computed once."""

    def __init__(self, root: Path):
        self.root = root
        self._known: dict[str, dict] = {}

    def of_file(self, path: str) -> dict:
        """{"bytes", "sha256"} of a file; of a large one the sha256 of its size and of samples of it."""
        if path not in self._known:
            self._known[path] = file_record(self.root / path)
        return self._known[path]

    def of_input(self, path: str, present: Iterable[str]) -> str | None:
        """The sum of an input: of a file; of a folder over what is in it; None where nothing is there (any more).

        Of this project's own code comments and docstrings do not count.
        """
        place = self.root / path
        if place.is_dir():
            inside = [name for name in present if name.startswith(f"{path}/")]
            return hashlib.sha256("".join(f"{n}\0{self.of_file(n)['sha256']}\0" for n in inside).encode()).hexdigest()
        if path.startswith("scripts/") and place.is_file():
            return file_sum(place.resolve())
        return self.of_file(path)["sha256"] if place.is_file() else None


def file_record(file: Path) -> dict:
    """{"bytes", "sha256"} of a file. One of LARGE bytes or more is sampled: its size, and SAMPLES places of it."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        if size < LARGE:
            return {"bytes": size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
        digest = hashlib.sha256(str(size).encode())
        for index in range(SAMPLES):
            stream.seek((size - SAMPLE) * index // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE))
    return {"bytes": size, "sha256": digest.hexdigest(), "sampled": True}


def _write(root: Path, study: str, manifest: dict) -> None:
    ordered = {
        key: dict(sorted(value.items())) if isinstance(value, dict) else value for key, value in manifest.items()
    }
    write_json(root / "results" / study / NAME, ordered)

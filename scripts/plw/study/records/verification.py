"""Whether every file of a study is whole, belongs to its inputs and was made by this code: `plw verify`."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plw.files import read_json
from plw.study.records.manifest import Sums, current_code, is_pending, read_manifest, result_files

# Kinds of findings, in the order in which they are told.
FAULTS = {
    "truncated": "is cut off",
    "swapped": "holds what belongs elsewhere",
    "edited": "was changed after it was made",
    "missing": "is gone",
    "foreign": "was made by no job of this study",
    "other inputs": "was made from other inputs than those that are there now",
    "other code": "was made by other code than now",
}
SHOWN = 8  # findings of a kind that are listed; the others are counted


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file.

    kind    a key of FAULTS
    path    the file, from the project's root
    detail  what it belongs to, what changed; perhaps empty
    """

    kind: str
    path: str
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """What was found of a study.

    files       number of files that were looked at
    verified    of these, those that are recorded and as recorded
    before      files from before sums were recorded: only their form can be looked at
    pending     files that a call was making which never ended
    findings    everything that is wrong
    """

    study: str
    files: int
    verified: int
    before: tuple[str, ...]
    pending: tuple[str, ...]
    findings: tuple[Finding, ...]


def verify_study(root: Path, study: str) -> Verification:
    """Compare the files of results/STUDY with what was recorded when they were made.

    root  the project's folder; reads files, runs nothing
    """
    present = result_files(root, study)
    manifest = read_manifest(root, study)
    findings = list(_of_records(root, study, present))
    before = set(present if manifest is None else manifest["before"])
    pending: list[str] = []
    verified = 0
    if manifest is not None:
        sums = Sums(root)
        pending = [path for path in present if is_pending(path, manifest)]
        findings += _compare(root, present, manifest, sums, before.union(pending))
        findings += _of_jobs(present, manifest, sums, {finding.path for finding in findings})
        wrong = {finding.path for finding in findings}
        verified = sum(path in manifest["files"] and path not in wrong for path in set(present) - set(pending))
        before -= set(manifest["files"]).union(pending)
    old = sorted(before.intersection(present))
    findings += [Finding("truncated", path, why) for path in old if (why := cut(root / path))]
    return Verification(study, len(present), verified, tuple(old), tuple(pending), _once(findings))


def _once(findings: list[Finding]) -> tuple[Finding, ...]:
    """One finding a file, the most telling."""
    order = list(FAULTS)
    best: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: order.index(finding.kind)):
        best.setdefault(finding.path, finding)
    return tuple(sorted(best.values(), key=lambda finding: (order.index(finding.kind), finding.path)))


def _compare(root: Path, present: list[str], manifest: Mapping, sums: Sums, unknown: set[str]) -> list[Finding]:
    """Files against their recorded sums; `unknown` ones have none that counts."""
    recorded = manifest["files"]
    owners = {entry["sha256"]: path for path, entry in sorted(recorded.items(), reverse=True)}
    findings = []
    for path in present:
        if path not in recorded:
            findings += [] if path in unknown else [Finding("foreign", path)]
            continue
        now, then = sums.of_file(path), recorded[path]
        if now["sha256"] == then["sha256"] or is_pending(path, manifest):
            continue
        if now["bytes"] < then["bytes"] and (why := cut(root / path)):
            findings.append(Finding("truncated", path, why))
        elif now["sha256"] in owners:
            findings.append(Finding("swapped", path, f"it is {owners[now['sha256']]}"))
        else:
            findings.append(Finding("edited", path))
    gone = set(recorded) - set(present)
    return findings + [Finding("missing", path) for path in sorted(gone) if not is_pending(path, manifest)]


def _of_jobs(present: list[str], manifest: Mapping, sums: Sums, wrong: set[str]) -> Iterator[Finding]:
    """What was made from other inputs or by other code. An input that is itself named already is named once."""
    files = defaultdict(list)
    for path, entry in manifest["files"].items():
        files[entry["job"]].append(path)
    held = set(present)
    for first, job in manifest["jobs"].items():
        if not files[first] or is_pending(first, manifest):
            continue
        code: list[str] = []
        inputs: list[str] = []
        for path, then in job["inputs"].items():
            if then is None or any(name == path or name.startswith(f"{path}/") for name in wrong):
                continue
            now = sums.of_input(path, present)
            if now != then and (now is not None or not _was_temporary(path, manifest, held)):
                (code if path.startswith("scripts/") else inputs).append(path)
        if current_code(job["rule"], job["program"]) != job["code"] and not code:
            code = [f"scripts/{job['program']} or what it imports"]
        for path in sorted(set(files[first]) & held):
            if inputs:
                yield Finding("other inputs", path, f"{_listed(inputs)} changed since")
            elif code:
                yield Finding("other code", path, f"{_listed(code)} changed since")


def _was_temporary(path: str, manifest: Mapping, held: set[str]) -> bool:
    """Whether an input that is not there now is a result that was deleted once it was used (a run's weights)."""
    return path.startswith("results/") and path not in manifest["files"]


def _of_records(root: Path, study: str, present: list[str]) -> Iterator[Finding]:
    """What records say of themselves: a run's of its name, an index of the weights that its benchmarks are of."""
    for path in present:
        parts = Path(path).parts[2:]
        if len(parts) != 3 or parts[0] != "runs" or parts[2] not in ("run.json", "evaluation.json", "mechanism.json"):
            continue
        try:
            record = read_json(root / path)
        except (OSError, ValueError):
            continue  # cut off: said of the file itself
        named = record.get("run", parts[1]) if isinstance(record, dict) else parts[1]
        if named != parts[1]:
            yield Finding("swapped", path, f"it is of run {named}")
        if parts[2] == "evaluation.json" and isinstance(record, dict):
            for entry in record.get("benchmarks", {}).values():
                file = Path(path).parent / entry["file"]
                try:
                    of = read_json(root / file).get("model")
                except (OSError, ValueError, AttributeError):
                    continue
                if of != record.get("model"):
                    yield Finding("swapped", file.as_posix(), "it was measured with other weights than its index says")


def cut(file: Path) -> str:
    """Why a file's form says that its end is missing; empty where it does not."""
    with open(file, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 64))
        end = stream.read()
    suffix = file.suffix
    if size == 0:
        return "it is empty" if suffix not in (".log", ".txt") else ""
    if suffix == ".json":
        try:
            json.loads(file.read_bytes())
        except ValueError as error:
            return f"it is no JSON: {error}"
    if suffix == ".parquet" and not end.endswith(b"PAR1"):
        return "it lacks Parquet's last four bytes"
    if suffix == ".png" and b"IEND" not in end:
        return "it lacks PNG's last part"
    if suffix == ".pdf" and b"%%EOF" not in end:
        return "it lacks PDF's last line"
    if suffix in (".csv", ".jsonl", ".tsv", ".md", ".tex", ".yaml", ".html") and not end.endswith((b"\n", b"</html>")):
        return "its last line has no end"
    if suffix == ".safetensors":
        return _cut_tensors(file, size)
    return ""


def _cut_tensors(file: Path, size: int) -> str:
    """By the header of a safetensors file: eight bytes with its length, then JSON that says where each tensor ends."""
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(min(length, size)))
            wanted = max(
                (entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return "its header cannot be read"
    return "" if size >= 8 + length + wanted else f"its header asks for {8 + length + wanted:,} bytes, it has {size:,}"


def verification_text(found: Verification) -> str:
    """What is told: a line of counts, each kind of fault with its files, what cannot be verified and why."""
    lines = []
    for kind, said in FAULTS.items():
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        for finding in of_kind[:SHOWN]:
            lines.append(f"{kind}: {finding.path} {said}" + (f" ({finding.detail})" if finding.detail else "") + ".")
        if len(of_kind) > SHOWN:
            lines.append(f"{kind}: and {len(of_kind) - SHOWN} more files, in {_folders(of_kind[SHOWN:])}.")
    unverified = {"made before sums were recorded": found.before, "of a call that did not end": found.pending}
    lines += [f"Not verified: {len(paths)} files, {why}." for why, paths in unverified.items() if paths]
    lines.append(
        f"{found.study}: {found.files} files, {found.verified} as they were made, {len(found.findings)} with faults."
    )
    return "\n".join(lines)


def _folders(findings: list[Finding]) -> str:
    folders = list(dict.fromkeys(str(Path(finding.path).parent) for finding in findings))
    return _listed(folders)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

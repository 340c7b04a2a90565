"""Whether every file of a study is whole, belongs to its inputs and was made by this code: `plw verify`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plw.files import read_json
from plw.study.records.manifest import Sums, current_code, matcher, read_manifest, result_files

# Kinds of findings, in the order in which they are told.
FAULTS = {
    "truncated": "cut off",
    "swapped": "holds what belongs elsewhere",
    "edited": "changed after it was made",
    "missing": "gone",
    "foreign": "made by no job of this study",
    "other inputs": "made from other inputs than those that are there now",
    "other code": "made by other code than now",
}
SHOWN = 8  # folders or files of a kind that are listed; the others are counted


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
    is_pending = matcher(manifest["pending"] if manifest else [])  # a call that never ended was to make it
    pending = list(filter(is_pending, present))
    known = set(manifest["files"]) if manifest else set()
    unknown = set(present) if manifest is None else set(manifest["before"]).intersection(present)
    before = sorted(unknown - known.union(pending))
    findings += [Finding("truncated", path, why) for path in before if (why := cut(root / path))]
    verified = 0
    if manifest:
        sums = Sums(root)
        compared = [path for path in present if path not in {*before, *pending}]
        findings += _compare(root, compared, manifest["files"], sums)
        findings += [Finding("missing", path) for path in known.difference(present) if not is_pending(path)]
        findings += _of_jobs(root, present, manifest, sums, {*pending, *(finding.path for finding in findings)})
        verified = len(known.intersection(present) - {finding.path for finding in findings}.union(pending))
    return Verification(study, len(present), verified, tuple(before), tuple(pending), _once(findings))


def _once(findings: list[Finding]) -> tuple[Finding, ...]:
    """One finding a file, the most telling."""
    order = list(FAULTS)
    best: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: order.index(finding.kind)):
        best.setdefault(finding.path, finding)
    return tuple(sorted(best.values(), key=lambda finding: (order.index(finding.kind), finding.path)))


def _compare(root: Path, paths: list[str], recorded: Mapping, sums: Sums) -> Iterator[Finding]:
    """Files that are there against their recorded sums."""
    owners = {entry["sha256"]: path for path, entry in sorted(recorded.items(), reverse=True)}
    for path in paths:
        if path not in recorded:
            yield Finding("foreign", path)
            continue
        now, then = sums.of_file(path), recorded[path]
        if now["sha256"] == then["sha256"]:
            continue
        if now["bytes"] < then["bytes"] and (why := cut(root / path)):
            yield Finding("truncated", path, why)
        elif now["sha256"] in owners:
            yield Finding("swapped", path, f"it is {owners[now['sha256']]}")
        else:
            yield Finding("edited", path)


def _of_jobs(root: Path, present: list[str], manifest: Mapping, sums: Sums, wrong: set[str]) -> Iterator[Finding]:
    """What was made from other inputs or by other code. An input in `wrong` is named itself, and that is enough."""
    files = defaultdict(list)
    for path, entry in manifest["files"].items():
        files[entry["job"]].append(path)
    held = set(present)
    named = {str(place) for path in wrong for place in (path, *Path(path).parents)}
    for first, job in manifest["jobs"].items():
        if not files[first] or first in wrong:
            continue
        code: list[str] = []
        inputs: list[str] = []
        for path, then in job["inputs"].items():
            if then is None or path in named:
                continue
            now = sums.of_input(path, present)
            if now != then and (now is not None or not _was_temporary(path, manifest)):
                (code if path.startswith("scripts/") else inputs).append(path)
        if current_code(root, job["rule"], job["program"]) != job["code"] and not code:
            code = [f"scripts/{job['program']} or what it imports"]
        for path in sorted(set(files[first]) & held):
            if inputs:
                yield Finding("other inputs", path, f"{_listed(inputs)} changed since")
            elif code:
                yield Finding("other code", path, f"{_listed(code)} changed since")


def _was_temporary(path: str, manifest: Mapping) -> bool:
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
    if suffix == ".png" and not end.endswith(b"IEND\xaeB`\x82"):  # the last chunk with its check sum
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
    """What is told: each kind of fault with its files, what cannot be verified and why, a line of counts."""
    lines = []
    for kind, said in FAULTS.items():
        groups = _by_folder(finding for finding in found.findings if finding.kind == kind)
        for folder, members in list(groups.items())[:SHOWN]:
            first = members[0]
            more = f" and {len(members) - 1} more files of {folder}" if len(members) > 1 else ""
            detail = f" ({first.detail})" if first.detail else ""
            lines.append(f"{kind}: {first.path}{more}: {said}{detail}.")
        if len(groups) > SHOWN:
            others = sum(len(members) for members in list(groups.values())[SHOWN:])
            lines.append(f"{kind}: {others} more files, in {_listed(list(groups)[SHOWN:])}.")
    unverified = {"made before sums were recorded": found.before, "of a call that did not end": found.pending}
    lines += [f"Not verified: {len(paths)} files, {why}." for why, paths in unverified.items() if paths]
    lines.append(
        f"{found.study}: {found.files} files, {found.verified} as they were made, {len(found.findings)} with faults."
    )
    return "\n".join(lines)


def _by_folder(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by folder: of a run, a data set, a kind of artifact; a file that lies in none is for itself."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault("/".join(Path(finding.path).parts[:4]), []).append(finding)
    return groups


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

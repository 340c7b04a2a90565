"""Fetch once: all that a study needs from the network, at its pinned revisions, file by file, checked byte by byte.

Everything is asked for before anything large is downloaded, so that a licence that was not accepted, a wrong token or a
wrong revision is told at once, and all of them together. What is whole in the Hub client's cache is not fetched again.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plw.errors import InputError, InputErrors
from plw.study.hub import (
    COMMIT,
    Listing,
    Unreachable,
    cached_file,
    check_access,
    download_checked,
    list_files,
)
from plw.study.pretrained import CONVERSION, PICKLED, converted_folder, small_files, weight_files
from plw.study.runs import Run, benchmarks_of, datasets_of
from plw.study.sources import download_url, has_split, hub_files

MODELS = ("model", "tokenizer")


@dataclass(frozen=True)
class Need:
    """One source that is not on this machine by itself.

    where   key path of the study, for messages
    kind    model (weights, configuration, tokenizer) | tokenizer (all but weights) | data | benchmark
    splits  which splits of data are read
    """

    where: str
    kind: str
    name: str
    source: dict
    splits: tuple[str, ...] = ()


@dataclass
class Wanted:
    """The files of one repository that a study needs, and the keys of the study that need them."""

    listing: Listing
    names: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)


def needs_of(study: dict, runs: Sequence[Run]) -> list[Need]:
    """What the runs of a resolved study need by `hub` or `url`: models, data sets, benchmarks with their judges."""
    trained = list(dict.fromkeys(run.ptlm for run in runs))
    needs = [Need(f"ptlms.{name}.source", "model", name, study["ptlms"][name]["source"]) for name in trained]
    counting = study["tokenizer_of"]
    if counting not in trained:
        needs.append(Need(f"ptlms.{counting}.source", "tokenizer", counting, study["ptlms"][counting]["source"]))
    if "statistics_tokenizer" in study:
        needs.append(Need("statistics_tokenizer", "tokenizer", "statistics", study["statistics_tokenizer"]))
    for name in datasets_of(list(runs), study):
        if source := study["datasets"][name].get("source"):
            needs.append(Need(f"datasets.{name}.source", "data", name, source, _names(source.get("split") or "train")))
    asked = {name for run in runs for name in benchmarks_of(run, study)}
    for name in (name for name in study["evaluation"]["benchmarks"] if name in asked):
        entry = study["benchmarks"][name]
        needs.append(Need(f"benchmarks.{name}.source", "benchmark", name, entry["source"], _splits(entry)))
        if entry["framework"] != "harness":
            needs.append(Need(f"judges.{name}.source", "model", name, study["judges"][name]["source"]))
    return [need for need in needs if "path" not in need.source]


def _names(split: str | Sequence[str]) -> tuple[str, ...]:
    return (split,) if isinstance(split, str) else tuple(split)


def _splits(entry: dict) -> tuple[str, ...]:
    """Scored splits, and the training split where few-shot examples are drawn from it."""
    scored = _names(entry["source"].get("split") or entry["split"].split("+"))
    drawn = entry["framework"] == "harness" and entry.get("shots") and not entry.get("fewshot_holdout")
    return (*scored, "train") if drawn and has_split(entry["source"], "train") else scored


def fetch_first(needs: Sequence[Need], study: str) -> str:
    """What a cluster's user is told whose study is not fetched; `study` as the call names it."""
    return (
        f"This study needs {len(needs)} sources from the network, and they are not fetched. Fetch them first, where"
        f" there is a network:\n  snakemake --cores 1 fetch --config study={study}"
    )


def fetch_sources(needs: Sequence[Need], *, say: Callable[[str], None] = print) -> list[dict]:
    """Fetch everything; returns the record: by repository or address its revision, commit, files and their sha256.

    say  called with one line of progress at a time
    Raises InputErrors with all that is refused or missing, before the first large file.
    """
    repositories, addresses = survey(needs, say=say)
    _check_room(repositories)
    record: list[dict] = []
    for wanted in repositories:
        files = []
        for name in wanted.names:
            size = wanted.listing.files[name].size
            say(f"{wanted.listing.repository}/{name} ({size / 1e6:,.1f} MB)")
            _, digest = download_checked(wanted.listing, name, where=wanted.where[0])
            files.append({"name": name, "bytes": size, "sha256": digest})
        place = {"hub": wanted.listing.repository, "kind": wanted.listing.kind, "revision": wanted.listing.revision}
        record.append({**place, "commit": wanted.listing.commit, "for": wanted.where, "files": files})
    return record + addresses


def unpinned(record: Sequence[dict]) -> list[str]:
    """A warning for each source of the record that follows a branch, with the line that pins what was fetched."""
    return [
        f"Not pinned: {entry['hub']} (revision: {entry['revision']}) may be another one at the next fetch. This one"
        f" stays with the line\n    revision: {entry['commit']}\n  in its entry of config/sources.yaml, or where the"
        f" study sets {entry['for'][0]}."
        for entry in record
        if "hub" in entry and not COMMIT.fullmatch(entry["revision"])
    ]


def survey(needs: Sequence[Need], *, say: Callable[[str], None]) -> tuple[list[Wanted], list[dict]]:
    """What is to be fetched by repository, and the record of single addresses, which are small and fetched here."""
    repositories: dict[tuple[str, str, str], Wanted] = {}
    addresses: dict[str, dict] = {}
    errors: list[InputError] = []
    for need in needs:
        say(f"{need.where}: {need.source.get('hub') or need.source['url']}")
        try:
            if "url" in need.source:
                _fetch_address(need, addresses)
            else:
                _want(need, repositories)
        except Unreachable:
            raise  # the other sources would say the same, after a wait each
        except InputError as error:
            errors.append(error)
    for wanted in repositories.values():
        missing = [name for name in wanted.names if cached_file(wanted.listing, name) is None]
        try:
            if missing:
                check_access(wanted.listing, missing[0], where=wanted.where[0])
        except InputError as error:
            errors.append(error)
    if errors:
        unique = {str(error): error for error in errors}
        raise InputErrors(list(unique.values()))
    return list(repositories.values()), list(addresses.values())


def _fetch_address(need: Need, addresses: dict[str, dict]) -> None:
    import hashlib

    content = download_url(need.source, where=need.where).read_bytes()
    kept = {"url": need.source["url"], "for": [], "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    addresses.setdefault(need.source["url"], kept)["for"].append(need.where)


def _want(need: Need, repositories: dict[tuple[str, str, str], Wanted]) -> None:
    kind = "model" if need.kind in MODELS else "dataset"
    source = need.source
    key = (source["hub"], source["revision"], kind)
    if key not in repositories:
        moving = not COMMIT.fullmatch(source["revision"])
        repositories[key] = Wanted(list_files(*key, where=need.where, refresh=moving))
    wanted = repositories[key]
    wanted.where.append(need.where)
    if kind == "dataset":
        names = (["README.md"] if "README.md" in wanted.listing.files else []) + hub_files(
            source, need.splits, where=need.where
        )
    else:
        names = small_files(wanted.listing)
        if absent := [name for name in names if cached_file(wanted.listing, name) is None]:
            check_access(wanted.listing, absent[0], where=need.where)  # before the list of parts, which is a download
        names += weight_files(wanted.listing, where=need.where) if need.kind == "model" else []
    wanted.names += [name for name in names if name not in wanted.names]


def _check_room(repositories: Sequence[Wanted]) -> None:
    """InputError if the disk has less room than what is still to be fetched, and converted, takes."""
    from huggingface_hub import constants

    needed = 0
    for wanted in repositories:
        for name in wanted.names:
            size = wanted.listing.files[name].size
            needed += 0 if cached_file(wanted.listing, name) else size
            unconverted = not (converted_folder(wanted.listing) / CONVERSION).is_file()
            needed += size if name.endswith(PICKLED) and unconverted else 0
    if not needed:
        return
    folder = Path(constants.HF_HUB_CACHE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        what = "The folder of the Hub client's cache cannot be written to."
        hint = "Set HF_HOME to a folder that you may write to (for the jobs as well)."
        raise InputError(what, value=str(folder), where="HF_HOME or HF_HUB_CACHE", hint=hint)
    if needed > free:
        what = f"There is no room for what is to be fetched: {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free."
        hint = "Free it, or set HF_HOME to a folder on a larger disk (for the jobs as well)."
        raise InputError(what, value=str(folder), where="HF_HOME", hint=hint)

"""Sources: where data and models come from, by one key that means the same everywhere.

A source is a local `path`, a Hub repository (`hub` with a `revision`) or a pinned `url`; a plain string is
the name of an entry in config/sources.yaml. This module finds files; what is in
them `rows` reads, and neither knows what the rows mean.
"""

import glob
import hashlib
import http.client
import json
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from plw.errors import InputError, nearest_hint
from plw.files import atomic_path, read_json, write_json
from plw.study.content import MOST_BYTES
from plw.study.hub import COMMIT, download, is_offline, list_files, not_fetched, own_folder
from plw.study.rows import SourceRow, file_rows
from plw.study.splits import split_files

PLACES = ("path", "hub", "url")
KEYS = {  # in the order in which study.yaml shows them
    "path": ("path", "split"),
    "hub": ("hub", "revision", "config", "split", "file"),
    "url": ("url", "sha256"),
}
DATA_SUFFIXES = (*(name + end for name in (".json", ".jsonl", ".csv", ".tsv") for end in ("", ".gz")), ".parquet")
MOST_NAME = 255  # bytes of a file's name, on the usual systems
MOVING_REVISION = "main"
SAFE = ("https://", "http://127.0.0.1:")  # the latter a server on this machine, as the tests' own


def load_registry(path: Path) -> dict[str, dict]:
    """Read config/sources.yaml: entries by name, each with its place, revision, licence and application."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def resolve_source(source: str | dict, registry: dict[str, dict] | None = None, *, where: str | None = None) -> dict:
    """Return `source` as a mapping with exactly one of path, hub and url, without descriptive keys.

    where  the key path or flag that holds the source, for messages
    Raises InputError for an unknown name, an unknown key, no or several places, or an unpinned place.
    """
    if isinstance(source, str):
        return _resolve_name(source, registry or {}, where)
    if not isinstance(source, dict):
        raise InputError("A source is a name or a mapping.", value=source, where=where)
    places = [place for place in PLACES if place in source]
    if len(places) != 1:
        raise InputError(
            "A source needs exactly one of path, hub and url.",
            value=source,
            where=where,
            hint="e.g. {path: data.jsonl}",
        )
    for key in source:
        if key not in KEYS[places[0]]:
            known = sorted(KEYS[places[0]])
            hint = nearest_hint(key, known) or f"known with {places[0]}: {', '.join(known)}"
            raise InputError(f"A source by {places[0]} has an unknown key.", value=key, where=where, hint=hint)
    if any(ord(letter) < 32 for text in _texts(source) for letter in text):
        raise InputError("A source holds a control character.", value=source, where=where)  # no system has such files
    if any(len(part.encode(errors="surrogatepass")) > MOST_NAME for text in _texts(source) for part in text.split("/")):
        raise InputError("A source holds a name that is too long.", value=source, where=where)
    _check_pinned(source, where)
    return {**source, "path": at_home(source["path"])} if "path" in source else dict(source)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _resolve_name(name: str, registry: dict[str, dict], where: str | None) -> dict:
    if name not in registry:
        hint = nearest_hint(name, list(registry)) or f"known names: {', '.join(registry) or 'none'}"
        raise InputError(
            "No source has this name.",
            value=name,
            where=where,
            hint=f"{hint} For a local file write {{path: {name}}}.",
        )
    entry = registry[name]
    place = next((place for place in PLACES if place in entry), None)
    if place is None:
        raise InputError(
            "This source is a program: it documents a version and cannot be loaded.", value=name, where=where
        )
    return resolve_source({key: entry[key] for key in KEYS[place] if key in entry}, where=f"source {name!r}")


def _check_pinned(source: dict, where: str | None) -> None:
    """Refuse what may change: a Hub id without a revision, an address without a commit or checksum."""
    if "hub" in source and not source.get("revision"):
        raise InputError(
            "A source on the Hub needs a revision.",
            value=source["hub"],
            where=where,
            hint="Give the full commit that the Hub shows under 'Files and versions', e.g. revision: 0123…",
        )
    url = source.get("url")
    if url is not None and not url.startswith(SAFE):
        raise InputError("The address of a source starts with https://.", value=url, where=where)
    if url is not None and not COMMIT.search(url) and not source.get("sha256"):
        raise InputError(
            "The address of a source is not pinned.",
            value=url,
            where=where,
            hint="Use an address that holds a full commit (40 hexadecimal digits), or add its sha256.",
        )


def warn_if_moving(source: dict) -> None:
    """Warn when a Hub source follows a branch, whose content may change between two runs of a study."""
    if source.get("revision") == MOVING_REVISION:
        warnings.warn(
            f"{source['hub']} is not pinned (revision: {MOVING_REVISION}): its content may change.",
            stacklevel=3,
        )


def at_home(path: Any) -> Any:
    """A source's `path` with the home folder in the place of `~`, in each file of a list or of splits too."""
    if isinstance(path, dict):
        return {key: at_home(item) for key, item in path.items()}
    if isinstance(path, list):
        return [at_home(item) for item in path]
    return str(Path(path).expanduser()) if str(path).startswith("~") else path


def source_argument(text: str) -> dict:
    """The source that a flag gives: as JSON, or as the path alone."""
    source = json.loads(text) if text.startswith("{") else {"path": text}
    return {**source, "path": at_home(source["path"])} if "path" in source else source


def named_files(source: dict, *, split: str | None = None) -> list[str]:
    """The files that a `path` source names in a stable order: a file, a folder, a pattern, a list, or files by split.

    split  one split; None: all of them
    Patterns and folders that are there are expanded and sorted by name; a list keeps its order. A path to nothing stays
    as it is, because a rule may still make it. A source without `path` names none.
    """
    value = source.get("path", [])
    if isinstance(value, dict):
        value = [value[split]] if split is not None else list(value.values())
    return [file for entry in ([value] if isinstance(value, (str, Path)) else value) for file in _expanded(entry)]


def _expanded(entry: str | Path | list) -> list[str]:
    if isinstance(entry, list):
        return [file for item in entry for file in _expanded(item)]
    text = at_home(str(entry))  # Snakemake compares inputs as text, so what needs no change keeps its spelling
    path = Path(text)
    if path.is_dir():
        return [str(file) for file in sorted(path.iterdir()) if file.name.endswith(DATA_SUFFIXES)] or [text]
    if path.exists():
        return [text]
    return sorted(glob.glob(text, recursive=True)) or [text]


def local_files(source: dict, *, split: str | None = None, where: str | None = None) -> list[Path]:
    """`named_files` of one split, all of which are there; InputError if a split or a file is missing."""
    value = source["path"]
    split = split or source.get("split")
    if isinstance(value, dict):
        if split is None and len(value) == 1:
            split = next(iter(value))
        if split not in value:
            hint = f"This source has the splits {', '.join(value)}."
            raise InputError("A split is missing in a source.", value=split, where=where, hint=hint)
    files = [Path(file) for file in named_files(source, split=split)]
    for file in files:
        if file.is_dir():
            hint = f"The folder is there, but holds no file that ends in {', '.join(DATA_SUFFIXES)}."
            raise InputError("A source was not found.", value=str(file), where=where, hint=hint)
        if not file.exists():
            hint = f"Paths are relative to {Path.cwd()}."
            raise InputError("A source was not found.", value=str(file), where=where, hint=hint)
    return files


def read_rows(
    source: dict, *, split: str | Sequence[str] | None = None, where: str | None = None
) -> Iterator[SourceRow]:
    """Yield every row of a resolved data source in order; one that cannot be parsed as a RowError.

    Blank lines are skipped. InputError if the source is missing, damaged, or does not match its checksum.
    """
    if "path" in source:
        for file in local_files(source, split=cast(str | None, split), where=where):  # several: only of the Hub
            yield from file_rows(file, str(file))
    elif "url" in source:
        yield from file_rows(download_url(source, where=where), source["url"])
    else:
        yield from _hub_rows(source, split or source.get("split") or "train", where)


def download_url(source: dict, *, where: str | None = None) -> Path:
    """The file of a `url` source: kept beside the Hub's cache after the first time, because its content is pinned."""
    address = source["url"]
    file = own_folder() / "urls" / hashlib.sha256(address.encode()).hexdigest()
    if file.is_file() and _checksum(file) == (source.get("sha256") or _kept_checksum(file)):
        return file
    if is_offline():
        raise not_fetched(address, where)
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            # A whole read tells a download that was cut by its announced length, a read up to a limit does not.
            announced = answer.length or 0
            content = b"" if announced > MOST_BYTES else answer.read(None if announced else MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:  # the latter: a download that was cut
        hint = "Try again, or download it elsewhere and give its path instead: {path: FILE}."
        raise InputError(f"A source could not be fetched: {error}.", value=address, where=where, hint=hint) from None
    if max(announced, len(content)) > MOST_BYTES:
        raise InputError(f"A source has more than {MOST_BYTES >> 30} GiB.", value=address, where=where)
    expected, got = source.get("sha256"), hashlib.sha256(content).hexdigest()
    if expected and expected != got:
        hint = f"sha256 expected {expected}, got {got}: try again, then ask where the change comes from."
        raise InputError("A download is not what the source says.", value=address, where=where, hint=hint)
    with atomic_path(file) as temporary:
        temporary.write_bytes(content)
    write_json(file.with_suffix(".json"), {"url": address, "sha256": got})
    return file


def _checksum(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _kept_checksum(file: Path) -> str | None:
    try:
        return read_json(file.with_suffix(".json"))["sha256"]
    except (OSError, ValueError, KeyError):
        return None


def has_split(source: dict, split: str) -> bool:
    """Whether a source may have `split`: files that are given by split say so, other given files have none."""
    files = source.get("file") if "hub" in source else source.get("path")
    return split in files if isinstance(files, dict) else "hub" in source and files is None


def hub_files(source: dict, splits: str | Sequence[str], *, where: str | None = None) -> list[str]:
    """Files of a Hub source that hold the splits, in order; one that several splits share is named once."""
    listing = list_files(source["hub"], source["revision"], "dataset", where=where)
    names = [splits] if isinstance(splits, str) else splits
    return list(dict.fromkeys(file for split in names for file in split_files(listing, source, split, where=where)))


def _hub_rows(source: dict, splits: str | Sequence[str], where: str | None) -> Iterator[SourceRow]:
    warn_if_moving(source)
    listing = list_files(source["hub"], source["revision"], "dataset", where=where)
    for name in hub_files(source, splits, where=where):
        yield from file_rows(download(listing, name, where=where), f"{source['hub']}@{source['revision']}/{name}")

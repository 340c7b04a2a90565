"""Which files of a data repository hold a split of a configuration, told as the Hub's own viewer does.

First what the card says (README.md, key `configs`), then names: a folder of the configuration's name, files whose name
or folder says the split. Nothing else of the repository is ever downloaded, and a loading script is never run.
"""

import fnmatch
import re
from pathlib import PurePosixPath

import yaml

from plw.errors import InputError
from plw.study.hub import Listing, download

SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz")
# Other names that the Hub's viewer takes for a split.
SYNONYMS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
CARD = "README.md"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\b")


def split_files(listing: Listing, source: dict, split: str, *, where: str | None = None) -> list[str]:
    """Names of the files of `split`, in the order of the shards.

    source  its `file` names them outright (one, a list, or by split); else `config` chooses among configurations
    Raises InputError if there is no such file, configuration or split, or if a shard is missing.
    """
    named = source.get("file")
    if isinstance(named, dict):
        if split not in named:
            hint = f"`file` names the splits {', '.join(named)}."
            raise InputError("A split is missing in a source.", value=split, where=where, hint=hint)
        named = named[split]
    if named is not None:
        return _matching(listing, [named] if isinstance(named, str) else list(named), where)
    patterns = _card_patterns(listing, source.get("config"), split, where)
    files = _matching(listing, patterns, where) if patterns else _files_by_name(listing, source.get("config"), split)
    if not files:
        hint = f"Look at {listing.page}/tree/{listing.revision}; `file` names a file outright."
        what = f"{listing.repository} {source.get('config') or ''} {split}".replace("  ", " ")
        raise InputError("No file of the repository holds this split.", value=what, where=where, hint=hint)
    _check_shards(listing, files, where)
    return files


def _matching(listing: Listing, patterns: list[str], where: str | None) -> list[str]:
    """Files in the order of the patterns; one without a star must be there."""
    files: list[str] = []
    for pattern in patterns:
        pattern = pattern.removeprefix("./")
        found = [pattern] if pattern in listing.files else sorted(fnmatch.filter(listing.files, pattern))
        if not found:
            hint = f"Look at {listing.page}/tree/{listing.revision}, and mend the source's `file`."
            raise InputError(
                "The repository has no such file.", value=f"{listing.repository}/{pattern}", where=where, hint=hint
            )
        files += [name for name in found if name not in files]
    return files


def _card_patterns(listing: Listing, config: str | None, split: str, where: str | None) -> list[str]:
    """Patterns of the split in the card; none where the card names no files. A card's other splits are not for us."""
    if CARD not in listing.files:
        return []
    text = download(listing, CARD, where=where).read_text(encoding="utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", text, flags=re.DOTALL)
    try:
        card = yaml.safe_load(front.group(1)) if front else {}
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):  # a card may hold anything
        card = {}
    listed = card.get("configs") if isinstance(card, dict) else None
    entries = listed if isinstance(listed, list) else []
    configs = [entry for entry in entries if isinstance(entry, dict) and "data_files" in entry]
    if not configs:
        return []
    chosen = [entry for entry in configs if entry.get("config_name", "default") == (config or "default")]
    if config is None and not chosen:
        chosen = [entry for entry in configs if entry.get("default")] or (configs if len(configs) == 1 else [])
    if not chosen:
        known = ", ".join(str(entry.get("config_name", "default")) for entry in configs)
        hint = f"{listing.repository} has the configurations {known}."
        raise InputError("No such configuration of a data set.", value=config, where=where, hint=hint)
    return _patterns_of(chosen[0]["data_files"], split)


def _patterns_of(data_files, split: str) -> list[str]:
    """The card gives one pattern, a list of them (all of them the split `train`), or entries {split, path}."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    patterns: list[str] = []
    for entry in entries:
        path = entry.get("path") if isinstance(entry, dict) else entry
        if (entry.get("split", "train") if isinstance(entry, dict) else "train") == split:
            patterns += path if isinstance(path, list) else [str(path)]
    return patterns


def _files_by_name(listing: Listing, config: str | None, split: str) -> list[str]:
    data = sorted(name for name in listing.files if name.endswith(SUFFIXES) and not _hidden(name))
    if config is not None:
        data = [name for name in data if config in PurePosixPath(name).parts[:-1]] or data
    for suffixes in ((".parquet",), tuple(suffix for suffix in SUFFIXES if suffix != ".parquet")):
        files = [name for name in data if name.endswith(suffixes)]
        if not files:
            continue
        if found := [name for name in files if _says(name, SYNONYMS.get(split, (split,)))]:
            return found
        if split == "train" and not any(_says(name, words) for name in files for words in SYNONYMS.values()):
            return files  # a repository without splits
    return []


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _says(name: str, words: tuple[str, ...]) -> bool:
    """Whether the file's name, or a folder that it is in, says one of the words, apart from letters and digits."""
    return any(re.search(rf"(?:^|[^a-zA-Z0-9]){word}(?:$|[^a-zA-Z0-9])", name) for word in words)


def _check_shards(listing: Listing, files: list[str], where: str | None) -> None:
    for name in files:
        mark = SHARD.search(name)
        if mark and (found := sum(1 for file in files if f"-of-{mark[2]}" in file)) % int(mark[2]):
            hint = f"Look at {listing.page}/tree/{listing.revision}."
            raise InputError(
                f"The repository has {found} of {int(mark[2])} parts of a split.", value=name, where=where, hint=hint
            )

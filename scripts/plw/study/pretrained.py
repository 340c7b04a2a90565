"""Models and tokenizers by one key: where they are, and one clear message when they cannot be loaded.

Nothing that a repository ships is ever executed (`trust_remote_code` stays off). Knows nothing of what is loaded: the
caller brings transformers' class.
"""

import re
from pathlib import Path

from plw.errors import InputError
from plw.files import read_json
from plw.study.hub import (
    FETCH,
    Listing,
    cached_file,
    download,
    is_offline,
    kept_listing,
    not_fetched,
    own_folder,
    page_of,
)
from plw.study.sources import MOVING_REVISION, warn_if_moving

INDEX = "model.safetensors.index.json"
# Weights in the order in which they are preferred: the list of the parts, and the name of an undivided file.
WEIGHTS = ((INDEX, "model.safetensors"), ("pytorch_model.bin.index.json", "pytorch_model.bin"))
PICKLED = ".bin"
# Beside the weights: configuration and tokenizer, all of them at the top of the repository.
SMALL_SUFFIXES = (".json", ".model", ".jinja")
SMALL_NAMES = ("merges.txt", "vocab.txt")
CONVERSION = "conversion.json"  # in a folder with converted weights: what was made of what


def weight_files(listing: Listing, *, where: str | None = None) -> list[str]:
    """The files of a model's weights, each part once and its list first; pickled ones only where there are no others.

    Raises InputError if there are no weights, or parts are missing in the repository.
    """
    for index, single in WEIGHTS:
        if index in listing.files:
            content = read_json(download(listing, index, where=where))
            names = [index, *sorted(set(content["weight_map"].values()))]
            if absent := [name for name in names if name not in listing.files]:
                hint = f"Its {index} names it. Look at {listing.page}/tree/{listing.revision}."
                raise InputError("A part of the weights is missing.", value=absent[0], where=where, hint=hint)
            return names
        if single in listing.files:
            return [single]
    hint = f"{listing.page} holds neither {WEIGHTS[0][1]} nor {WEIGHTS[1][1]}, whole or in parts."
    raise InputError("The repository holds no weights.", value=listing.repository, where=where, hint=hint)


def small_files(listing: Listing) -> list[str]:
    """Configuration and tokenizer files of a model."""
    indices = tuple(index for index, _ in WEIGHTS)
    return [
        name
        for name in sorted(listing.files)
        if "/" not in name and (name.endswith(SMALL_SUFFIXES) or name in SMALL_NAMES) and name not in indices
    ]


def converted_folder(listing: Listing) -> Path:
    """Where the model folder lies that was made of a repository with pickled weights, once it is fetched."""
    return own_folder() / "converted" / f"{listing.repository.replace('/', '--')}--{listing.commit}"


def _converted(source: dict) -> Path | None:
    """The folder of a Hub model that was published with pickled weights only, once it is converted."""
    listing = kept_listing(source["hub"], source.get("revision") or MOVING_REVISION, "model")
    folder = None if listing is None else converted_folder(listing)
    return folder if folder is not None and (folder / CONVERSION).is_file() else None


def _check_fetched(source: dict, kind: str) -> None:
    """InputError if the Hub is off and a file of the model or tokenizer is not fetched."""
    listing = kept_listing(source["hub"], source.get("revision") or MOVING_REVISION, "model")
    if listing is None or not is_offline():
        return  # without a list, loading tells whether it is in the client's cache
    for name in small_files(listing) + (weight_files(listing) if kind == "model" else []):
        if cached_file(listing, name) is None:
            raise not_fetched(f"{listing.repository}@{listing.revision}/{name}")
        if name.endswith(PICKLED):
            raise not_fetched(f"{listing.repository}@{listing.revision}, its weights as safetensors")


def pretrained_location(source: dict, *, where: str | None = None) -> tuple[str, dict]:
    """What `from_pretrained` takes for a model or tokenizer: first argument and keyword arguments.

    A Hub model whose pickled weights were converted is the folder of what was made of them.
    """
    if "hub" in source:
        if folder := _converted(source):
            return str(folder), {}
        warn_if_moving(source)
        return source["hub"], {"revision": source.get("revision") or MOVING_REVISION}
    path = Path(source.get("path", ""))
    if "path" not in source or not path.exists():
        raise InputError(
            "A model or tokenizer is a local folder or a Hub id, and this is neither.",
            value=source,
            where=where,
            hint=f"Paths are relative to {Path.cwd()}.",
        )
    return str(path), {}


def load_pretrained(loader, source: dict, kind: str, **options):
    """Call `from_pretrained` for a source; turn its many failures into one clear message."""
    if "path" in source:
        place: dict = {}
        name = _folder(source["path"], kind)
    elif "hub" in source:
        name, place = pretrained_location(source)
        if name == source["hub"]:
            _check_fetched(source, kind)
    else:
        raise InputError(f"A {kind} source needs `path` or `hub`.", value=source)
    try:
        return loader.from_pretrained(name, trust_remote_code=False, **place, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot load the {kind}.", value=source, hint=_loading_hint(source, str(error))) from error


def _folder(path: str, kind: str) -> str:
    """Return `path` if it is a folder with a configuration; transformers would take a wrong path for a Hub id."""
    if not Path(path).is_dir():
        raise InputError(
            f"The {kind} folder does not exist.",
            value=str(path),
            hint="Check the source's `path`, or give a Hub id as `hub` with its `revision`.",
        )
    return str(path)


def _loading_hint(source: dict, message: str) -> str:
    """What to do about a failed load, from the text that transformers or the Hub gave."""
    short = message.strip().splitlines()[0] if message.strip() else "no further message"
    lowered = message.lower()
    if "path" in source:
        return f"The folder must hold config.json, *.safetensors and the tokenizer files. Details: {short}"
    if "gated" in lowered or re.search(r"\b40[13]\b", lowered):  # a status, not a part of an address
        page = page_of(source["hub"], "model")
        return f"Accept the licence at {page} and set HF_TOKEN, or use a local `path`. Details: {short}"
    if "offline" in lowered or "connect" in lowered or "couldn't reach" in lowered:
        return f"No network: fetch it where there is one ({FETCH}), or use a local `path`. Details: {short}"
    if "safetensors" in lowered:
        return f"Where there are only pickled weights, fetching converts them once: {FETCH}. Details: {short}"
    return f"Check name and revision on the Hub. Details: {short}"

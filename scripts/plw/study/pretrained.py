"""Models and tokenizers by one key: where they are, whether their files are what they are called, and one clear message
when they cannot be loaded.

Nothing that a repository ships is ever executed (`trust_remote_code` stays off). Knows nothing of what is loaded: the
caller brings transformers' class.
"""

import json
import re
from pathlib import Path

from plw.errors import InputError, InputErrors
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
TOKENIZER_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tekken.json")
MODEL_FILES = ("config.json", "generation_config.json")
ADAPTER = "adapter_config.json"  # PEFT's
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
SIGNS = (  # how files begin that are often found in the place of others
    (b"version https://git-lfs", "a pointer of Git LFS"),
    (b"<", "a web page"),
    (b"GGUF", "a GGUF file"),
    (b"PK\x03\x04", "a pickle or another zip archive"),
    (b"\x80", "a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
)
FETCH_AGAIN = "Fetch the file itself again, from where the folder came from (`git lfs pull` in a clone)."


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
    if "hub" not in source or name != source["hub"]:
        check_folder(Path(name), kind)
    try:
        return loader.from_pretrained(name, trust_remote_code=False, **place, **options)
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # what loading raises is no fixed set: safetensors and strict configurations have their own
        raise InputError(f"Cannot load the {kind}.", value=source, hint=_loading_hint(source, str(error))) from error


def check_folder(folder: Path, kind: str) -> None:
    """InputError if a file of a local model or tokenizer is missing or not what it is called. Loads nothing.

    kind  model: its configuration and weights; tokenizer: its JSON files
    """
    for name in MODEL_FILES if kind == "model" else TOKENIZER_FILES:
        if (folder / name).is_file():
            _read_object(folder / name)
    if kind == "model":
        stored_tensors(folder)
    elif not any(path.name in VOCABULARIES or path.suffix in (".model", ".tiktoken") for path in folder.iterdir()):
        hint = "Copy the tokenizer's files into it, from where the folder came from."
        raise InputError("The folder holds no tokenizer.", value=VOCABULARIES[0], where=str(folder), hint=hint)


def check_folders(sources: dict[str, dict]) -> None:
    """`check_folder` of local models, as long before they are loaded as their files are there.

    sources  {key of the study: {path}}; InputErrors that name all that is wrong, each with its key
    """
    errors = []
    for where, source in sources.items():
        try:
            for kind in ("model", "tokenizer"):
                check_folder(Path(source["path"]), kind)
        except InputError as error:
            place = f"{error.where}, which {where} names" if error.where else where
            errors.append(InputError(error.what, value=error.value, where=place, hint=error.hint))
    if errors:
        raise InputErrors(errors)


def stored_tensors(folder: Path) -> dict[str, dict]:
    """{name: {dtype, shape, data_offsets}} of a model folder, by the headers of its safetensors files alone.

    InputError if there are none, one is missing, cut or something else, or it is not clear which of them are meant.
    """
    if not (folder / "config.json").is_file():
        hint = (
            "A model folder needs its configuration beside the weights. Does the path lead one level too high or deep?"
        )
        raise InputError("The model folder has no config.json.", value=str(folder), hint=hint)
    if (folder / ADAPTER).is_file():
        hint = "Merge the adapter into its model and save that (PEFT: merge_and_unload, then save_pretrained)."
        raise InputError("The model folder holds an adapter.", value=ADAPTER, where=str(folder), hint=hint)
    index, single = (folder / name for name in WEIGHTS[0])
    names = [single.name] if single.is_file() else []
    if index.is_file():
        placed = _read_object(index).get("weight_map")
        if not isinstance(placed, dict) or not all(isinstance(file, str) for file in placed.values()):
            raise InputError("The list of the weights' files names none.", value="weight_map", where=str(index))
        parts = sorted(set(placed.values()))
        if names and names != parts:
            hint = f"Remove {single.name}, or the index and its parts: they may be different weights."
            raise InputError("There are two sets of weights.", value=[*names, *parts], where=str(folder), hint=hint)
        names = parts
    if not names:
        found = sorted(
            path.name for path in folder.iterdir() if path.suffix in (".safetensors", PICKLED, ".pt", ".gguf")
        )
        hint = f"Expected {single.name}, or {index.name} and its parts; save_pretrained of transformers writes them."
        raise InputError("The model folder holds no safetensors weights.", value=found, where=str(folder), hint=hint)
    tensors: dict[str, dict] = {}
    for name in names:
        if not (folder / name).is_file() or Path(name).name != name:
            hint = f"Its {index.name} names it. {FETCH_AGAIN}"
            raise InputError("A part of the weights is missing.", value=name, where=str(folder), hint=hint)
        tensors |= read_header(folder / name)
    return tensors


def read_header(file: Path) -> dict[str, dict]:
    """The header of a safetensors file: {name: {dtype, shape, data_offsets}}; InputError if the file is not whole."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        head = stream.read(64)
        length = int.from_bytes(head[:8], "little")
        stream.seek(8)
        text = stream.read(length) if length <= LONGEST_HEADER else b""
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        cut = "cut within its header" if 8 <= size < 8 + length <= 8 + LONGEST_HEADER else "no safetensors file"
        raise _no_such_file("The weights are no weights", file, _sign_of(head) or cut) from None
    if size != end:
        found = f"cut: {size} of {end} bytes" if size < end else f"longer than its header says: {size} of {end} bytes"
        raise _no_such_file("The weights are not whole", file, found)
    return header


def _read_object(file: Path) -> dict:
    """The JSON object in a file; InputError with the decoder's words if it is none."""
    with open(file, "rb") as stream:
        head = stream.read(64)
    if sign := _sign_of(head):
        raise _no_such_file(f"The file {file.name} is not what it is called", file, sign)
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The file {file.name} is no JSON.", value=str(error)[:200], where=str(file), hint=FETCH_AGAIN
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"The file {file.name} holds no JSON object.", value=type(found).__name__, where=str(file))
    return found


def _sign_of(head: bytes) -> str | None:
    """What a file is by its first bytes, if it is a known other thing; None if not."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "an empty file"
    return next((what for sign, what in SIGNS if start.startswith(sign)), None)


def _no_such_file(what: str, file: Path, found: str) -> InputError:
    return InputError(f"{what}: {file.name} is {found}.", where=str(file), hint=FETCH_AGAIN)


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

"""What tells two models apart, so that what was measured with one is never taken for the other's."""

import hashlib
from pathlib import Path

from plw.errors import InputError
from plw.study.hub import kept_listing


def model_fingerprint(source: dict) -> str:
    """What tells two models apart.

    The sha256 over the folder's weights, configuration and tokenizer, or Hub id@commit; of a branch that was not
    fetched, id@branch.
    """
    if "hub" in source:
        revision = source.get("revision", "main")
        listing = kept_listing(source["hub"], revision, "model")
        return f"{source['hub']}@{listing.commit if listing else revision}"
    digest = hashlib.sha256()
    folder = Path(source["path"])
    files = sorted(file for file in folder.glob("*") if file.suffix in (".safetensors", ".json", ".model"))
    if not any(file.suffix == ".safetensors" for file in files):
        raise InputError("The model folder holds no safetensors weights.", value=str(folder))
    for file in files:
        digest.update(file.name.encode() + b"\0")
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()

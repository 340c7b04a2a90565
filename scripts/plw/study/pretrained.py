"""Models and tokenizers by one key: where they are, and one clear message when they cannot be loaded.

Nothing that a repository ships is ever executed (`trust_remote_code` stays off). Knows nothing of what is loaded: the
caller brings transformers' class.
"""

from pathlib import Path

from plw.errors import InputError
from plw.study.sources import warn_if_moving


def pretrained_location(source: dict, *, where: str | None = None) -> tuple[str, dict]:
    """What `from_pretrained` takes for a model or tokenizer: first argument and keyword arguments."""
    if "hub" in source:
        warn_if_moving(source)
        return source["hub"], {"revision": source["revision"]}
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
        name, revision = _folder(source["path"], kind), None
    elif "hub" in source:
        name, revision = source["hub"], source.get("revision")
    else:
        raise InputError(f"A {kind} source needs `path` or `hub`.", value=source)
    try:
        return loader.from_pretrained(name, revision=revision or "main", trust_remote_code=False, **options)
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
    if "gated" in lowered or "401" in lowered or "403" in lowered:
        page = f"https://huggingface.co/{source['hub']}"
        return f"Accept the licence at {page} and set HF_TOKEN, or use a local `path`. Details: {short}"
    if "offline" in lowered or "connect" in lowered or "couldn't reach" in lowered:
        return f"No network: fetch it first, or use a local `path`. Details: {short}"
    return f"Check name and revision on the Hub. Details: {short}"

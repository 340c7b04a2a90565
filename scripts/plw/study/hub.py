"""The Hugging Face Hub: what a repository holds at a revision, its files in the client's own cache, and why not.

Files lie where huggingface_hub keeps them, with its locks and its whole-or-absent downloads. Beside them, below
HF_HOME/plw, lies what the client does not keep: a repository's list of files at a revision, with which every later job
can tell without the Hub whether all that it needs is there. The token is the client's own business (HF_TOKEN, or what
`hf auth login` stored) and is never read here.
"""

import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from plw.errors import InputError
from plw.files import read_json, write_json

COMMIT = re.compile(r"[0-9a-f]{40}")  # a full Git commit; shorter ones can become ambiguous
FETCH = "snakemake --cores 1 --force fetch --config study=STUDY"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LIST_SECONDS = 30.0  # for the answer with a repository's files


class Unreachable(InputError):
    """No answer at all: what is asked next will not be answered either."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its size in bytes, its Git blob id, and its sha256 where Git LFS keeps it."""

    size: int
    blob: str
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a repository (`kind` model | dataset) at a revision, which may be a branch, and its commit."""

    repository: str
    kind: str
    revision: str
    commit: str
    files: dict[str, HubFile]

    @property
    def page(self) -> str:
        """Where a person looks at the repository, and accepts its licence."""
        return page_of(self.repository, self.kind)


def page_of(repository: str, kind: str) -> str:
    """The web page of a repository."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repository}"


def own_folder() -> Path:
    """Where this project keeps what belongs beside the Hub client's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "plw"


def is_offline() -> bool:
    """Whether the Hub is switched off: HF_HUB_OFFLINE, which the workflow sets once a study's sources are fetched."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def switched_off() -> Iterator[None]:
    """The Hub switched off, as for a job after the fetch: what works here needs no network."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def not_fetched(what: str, where: str | None = None) -> InputError:
    """What a job says that may not use the network and lacks something."""
    hint = f"Fetch it where there is a network, then run this again: `{FETCH}`"
    return InputError("The Hub is switched off and this is not fetched.", value=what, where=where, hint=hint)


def list_files(
    repository: str, revision: str, kind: str, *, where: str | None = None, refresh: bool = False
) -> Listing:
    """What the repository holds at `revision`: as kept for a commit, else asked of the Hub and kept.

    kind     model | dataset
    where    the key path that names the source, for messages
    refresh  ask again although it is kept
    Raises InputError that tells apart: switched off, no network, no repository, no revision, no access.
    """
    kept = kept_listing(repository, revision, kind)
    if kept and (is_offline() or (COMMIT.fullmatch(revision) and not refresh)):
        return kept
    if is_offline():
        raise not_fetched(f"{repository}@{revision}", where)
    from huggingface_hub import HfApi

    try:
        found = HfApi().repo_info(repository, revision=revision, repo_type=kind, files_metadata=True,
                                  timeout=LIST_SECONDS)  # fmt: skip
    except Exception as error:
        raise explain(error, repository, revision, kind, where=where) from None
    files = {
        entry.rfilename: HubFile(int(entry.size or 0), str(entry.blob_id), entry.lfs.sha256 if entry.lfs else None)
        for entry in getattr(found, "siblings", None) or []
    }
    listing = Listing(repository, kind, revision, str(found.sha), files)
    write_json(_listing_file(repository, revision, kind), asdict(listing))
    return listing


def kept_listing(repository: str, revision: str, kind: str) -> Listing | None:
    """The list of files that was kept when it was last asked for; None if there is none, or it is damaged."""
    try:
        kept = read_json(_listing_file(repository, revision, kind))
        return Listing(**{**kept, "files": {name: HubFile(**file) for name, file in kept["files"].items()}})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _listing_file(repository: str, revision: str, kind: str) -> Path:
    name = f"{kind}s--{repository}--{revision}".replace("/", "--")
    return own_folder() / "listings" / f"{name}.json"


def cached_file(listing: Listing, name: str) -> Path | None:
    """The file in the client's cache if it is there in its full size; looks at names and sizes only."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(listing.repository, name, revision=listing.commit, repo_type=listing.kind)
    if not isinstance(found, str) or Path(found).stat().st_size != listing.files[name].size:
        return None
    return Path(found)


def download(listing: Listing, name: str, *, where: str | None = None) -> Path:
    """The file `name` of the repository, from the cache or else from the Hub. InputError that says why not."""
    if name not in listing.files:
        hint = f"Look at {listing.page}/tree/{listing.revision}, and mend the source's `file`."
        raise InputError(
            "The repository has no such file.", value=f"{listing.repository}/{name}", where=where, hint=hint
        )
    found = cached_file(listing, name)
    if found and (COMMIT.fullmatch(listing.revision) or is_offline()):
        return found  # a branch is asked for again, so that the client notes where it points to
    if is_offline():
        raise not_fetched(f"{listing.repository}@{listing.revision}/{name}", where)
    path = _ask(listing, name, where, again=False)
    if path.stat().st_size != listing.files[name].size:  # a file of another size under this name: damaged on disk
        path = _ask(listing, name, where, again=True)
    if listing.commit not in path.parts:
        hint = "Start the fetch again, and give a full commit as `revision` so that this cannot happen."
        raise InputError("The branch moved while it was fetched.", value=listing.repository, where=where, hint=hint)
    return path


def _ask(listing: Listing, name: str, where: str | None, *, again: bool) -> Path:
    from huggingface_hub import hf_hub_download

    try:  # by the revision as it was given, so that the client also keeps where a branch pointed to
        return Path(
            hf_hub_download(
                listing.repository,
                name,
                repo_type=listing.kind,
                revision=listing.revision,
                force_download=again,
            )
        )
    except Exception as error:
        raise explain(error, listing.repository, listing.revision, listing.kind, file=name, where=where) from None


def download_checked(listing: Listing, name: str, *, where: str | None = None) -> tuple[Path, str]:
    """`download`, then every byte against what the repository says; one more try for a damaged file.

    Returns the path and the sha256. Raises InputError if the file is damaged again; it is then removed.
    """
    for attempt in (1, 2):
        path = download(listing, name, where=where)
        digest = _sha256(path)
        if _is_whole(path, listing.files[name], digest):
            return path, digest
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if attempt == 2 or is_offline():
            break
    hint = "It was removed. Try again; if it stays so, something between here and the Hub changes files."
    raise InputError(
        "A file is not what the repository says (its checksum differs).",
        value=f"{listing.repository}@{listing.commit}/{name}",
        where=where,
        hint=hint,
    )


def _is_whole(path: Path, file: HubFile, sha256: str) -> bool:
    if file.sha256:
        return sha256 == file.sha256
    digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)  # Git's id of a file
    digest.update(path.read_bytes())
    return digest.hexdigest() == file.blob


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_access(listing: Listing, name: str, *, where: str | None = None) -> None:
    """Ask for the head of a file only: whether a gated repository would be served, before hours of other downloads."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(listing.repository, name, repo_type=listing.kind, revision=listing.revision))
    except Exception as error:
        raise explain(error, listing.repository, listing.revision, listing.kind, file=name, where=where) from None


def explain(
    error: BaseException,
    repository: str,
    revision: str,
    kind: str,
    *,
    file: str | None = None,
    where: str | None = None,
) -> InputError:
    """The one message for each way in which the Hub says no, with the next step."""
    from huggingface_hub import errors

    what = f"{repository}@{revision}" + (f"/{file}" if file else "")
    page = page_of(repository, kind)
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # the client's "cannot find it in the cache" hides what the Hub answered

    def say(text: str, hint: str) -> InputError:
        return InputError(text, value=what, where=where, hint=hint)

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    refused = (response.headers.get("X-Error-Message") if response is not None else None) or ""
    tokens = "a token (https://huggingface.co/settings/tokens) as HF_TOKEN in the environment, or `hf auth login`"
    if status == 401 and "invalid credentials" in refused.lower():
        return say(
            "The Hub does not know this token.", f"It is wrong or has expired: make a new one, then give {tokens}."
        )
    if isinstance(error, errors.GatedRepoError) and status == 401:
        return say("The licence must be accepted and no token is set.", f"Accept it at {page}, then give {tokens}.")
    if isinstance(error, errors.GatedRepoError):
        return say(
            "The licence is not accepted by the owner of this token.",
            f"Accept it at {page} (some owners approve by hand, which takes hours), then try again.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return say("The repository has no such revision.", f"Look at {page}/commits/main, and mend `revision`.")
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return say("The repository has no such file.", f"Look at {page}/tree/{revision}, and mend the source's `file`.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return say(
            "There is no such repository, or it is private or gated.",
            f"Look at {page}, and mend `hub`; if it is there, accept its licence and give {tokens}.",
        )
    if status == 403:
        return say(
            "The Hub forbids this with this token.",
            "A fine-grained token needs the permission to read public gated repositories: change it, or make one of"
            " the kind `read`.",
        )
    if status is not None:
        return say(f"The Hub answered {status}.", "It is busy or broken: wait, then try again; what is here is kept.")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        from huggingface_hub import constants

        return say(
            "There is no room left for this file.",
            f"Free the disk of {constants.HF_HUB_CACHE}, or set HF_HOME to a larger one; what is whole is kept.",
        )
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return say("The download was cut.", "Nothing of it is kept; try again, what is whole is not fetched twice.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return not_fetched(what, where)
    names = {base.__name__ for base in type(error).__mro__}
    if file and names & {"RemoteProtocolError", "ReadError", "ReadTimeout"}:  # it answered, and then no more
        return say(
            f"The download was cut ({type(error).__name__}).",
            "Try again: what is whole is not fetched twice. If it stays so, something between here and the Hub ends"
            " long connections.",
        )
    if names & {"TransportError", "ConnectionError", "TimeoutError"}:
        from huggingface_hub import constants

        return Unreachable(
            f"The Hub cannot be reached ({type(error).__name__}).",
            value=what,
            where=where,
            hint=f"Is there a way to {constants.ENDPOINT} from here (HTTPS_PROXY, HF_ENDPOINT)? Fetch on a machine with"
            " one and take its HF_HOME along.",
        )
    return say(f"This cannot be fetched: {type(error).__name__}.", (str(error).strip() or page).splitlines()[0])

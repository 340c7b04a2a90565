"""`plw publish`: a run's model, or an inverted data set, as a repository of the Hub; nothing is sent unless asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plw.errors import InputError, nearest_hint
from plw.files import write_text
from plw.sharing.cards import data_card, model_card
from plw.sharing.croissant import croissants
from plw.sharing.finished import FinishedStudy
from plw.study.runs import Run


@dataclass(frozen=True)
class Publication:
    """A repository to be: texts that are written for it, and files that are there already, each by its path in it."""

    kind: str  # model or dataset
    texts: Mapping[str, str]
    files: Mapping[str, Path]

    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {name: len(text.encode()) for name, text in self.texts.items()} | {
            name: path.stat().st_size for name, path in self.files.items()
        }


def prepare(found: FinishedStudy, what: str, registry: Mapping[str, dict]) -> Publication:
    """What would be published of a run, or of a data set that the study inverts.

    what  a run's id, or the name of a data set
    Raises InputError for a name that is neither, and for a run whose weights were not kept.
    """
    runs = {run.run: run for run in found.runs}
    inverted = [name for name in found.datasets if "inversion" in found.study["datasets"][name]]
    if found.given:
        hint = "There are neither models nor data of its own."
        raise InputError("The scores of this study were given.", value=str(found.folder), hint=hint)
    if what in runs:
        return _model(found, runs[what], registry)
    if what in inverted:
        return _dataset(found, what, registry)
    known = f"Runs stand in {found.folder}/runs.csv; inverted data sets: {', '.join(inverted) or 'none'}."
    hint = nearest_hint(what, [*runs, *inverted]) or known
    raise InputError("This study has no such run, and inverts no such data set.", value=what, where="WHAT", hint=hint)


def _model(found: FinishedStudy, run: Run, registry: Mapping[str, dict]) -> Publication:
    folder = found.folder / "runs" / run.run
    if not (folder / "run.json").is_file():
        raise InputError("This run is not finished.", value=run.run, where=str(folder))
    files = {path.relative_to(folder / "model").as_posix(): path for path in (folder / "model").rglob("*")}
    ours = (".", "README.md")  # marks of the workflow; the card is written anew
    files = {name: path for name, path in sorted(files.items()) if path.is_file() and not name.startswith(ours)}
    if not any(name.endswith(".safetensors") for name in files):
        hint = "keep_models: true in the study file keeps them; then train the run again."
        raise InputError("The weights of this run were not kept.", value=str(folder / "model"), hint=hint)
    return Publication("model", model_card(found, run, registry), files)


def _dataset(found: FinishedStudy, dataset: str, registry: Mapping[str, dict]) -> Publication:
    metadata = croissants(found, registry)[dataset]
    (file,) = metadata["distribution"]
    rows = Path(file["contentUrl"])
    file["contentUrl"] = rows.name  # where it lies in the repository
    text = json.dumps(metadata, ensure_ascii=False, indent=2) + "\n"
    texts = {"README.md": data_card(found, dataset, registry), "croissant.json": text}
    return Publication("dataset", texts, {rows.name: found.folder / rows})


def write_cards(publication: Publication, folder: Path) -> None:
    """The texts alone, to be read before anything is sent."""
    for name, text in publication.texts.items():
        write_text(folder / name, text)


def upload(publication: Publication, repository: str, *, public: bool) -> str:
    """Send it in one commit; returns the commit's address. The token is the client's own (HF_TOKEN, hf auth login).

    repository  owner/name; made private where it is not there, unless `public`
    Raises InputError with the Hub's words where it refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    operations = [CommitOperationAdd(name, text.encode()) for name, text in publication.texts.items()]
    operations += [CommitOperationAdd(name, str(path)) for name, path in publication.files.items()]
    try:
        api.create_repo(repository, repo_type=publication.kind, private=not public, exist_ok=True)
        done = api.create_commit(repository, operations, commit_message="Published by plw", repo_type=publication.kind)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        hint = "A token with the right to write is needed: export HF_TOKEN=…, or hf auth login."
        words = getattr(error, "server_message", None) or str(error).splitlines()[0]
        raise InputError("The Hub did not take it.", value=words, where=repository, hint=hint) from None
    return str(done.commit_url)

"""A finished study as others are given it: which runs it has, and what of it is not there."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plw.errors import InputError, nearest_hint
from plw.study.configuration import load_configuration, read_yaml
from plw.study.design import made_artifacts, regressed_datasets, smoothed_datasets
from plw.study.runs import Run, datasets_of, list_runs

OF_RUNS = ("loss.csv", "run.json", "evaluation.json")
MOST_NAMED = 5  # files that a message names


@dataclass(frozen=True)
class FinishedStudy:
    """A folder of results and the study that they are of.

    folder  results/STUDY
    study   the resolved study
    runs    its runs, or those of `seeds`
    seeds   those that the runs are limited to; None: all of the study's
    given   its scores came from an analyst's table: there are no runs and no data of its own
    """

    folder: Path
    study: dict
    runs: list[Run]
    seeds: tuple[int, ...] | None = None
    given: bool = False

    @property
    def datasets(self) -> list[str]:
        """The data sets of the runs and those that they are derived from; none where scores are given."""
        return [] if self.given else datasets_of(self.runs, self.study)


def find_study(name: str, root: Path, seeds: Sequence[int] | None = None) -> FinishedStudy:
    """The results of a study and what it is.

    name   of a study in config/studies; or the path of a study file; or a folder of results (results/STUDY)
    root   the project's folder
    seeds  the runs' seeds, where the others are not finished
    Raises InputError where there are no results, and where the study has no run of these seeds.
    """
    folder, study = Path(name), None
    if name.endswith((".yaml", ".yml")) or not folder.is_dir():
        known = sorted(place.name for place in (root / "results").glob("*/"))
        if name.endswith((".yaml", ".yml")) or name not in known:
            study = _configured(name, root, known)
        folder = root / "results" / (study["name"] if study else name)
    if not folder.is_dir():
        hint = f"Make it: snakemake --cores all --config study={name}"
        raise InputError("This study has no results.", value=str(folder), where="STUDY", hint=hint)
    if (folder / "study.yaml").is_file():
        study = read_yaml(folder / "study.yaml")
        if (folder / "records.json").is_file() or (folder / "SHA256SUMS").is_file():
            hint = "An export holds neither weights nor data; give the study's own folder, results/NAME."
            raise InputError(
                "This is an export, no folder of a study's results.", value=str(folder), where="STUDY", hint=hint
            )
    elif study is None:
        study = _configured(folder.name, root, [])
    study = without_own_folders(study)
    runs = list_runs(study)
    wanted = [run for run in runs if seeds is None or run.seed in seeds]
    if not wanted:
        hint = f"Its seeds: {', '.join(map(str, sorted({run.seed for run in runs})))}."
        raise InputError("There are no such runs.", value=list(seeds or []), where="--seeds", hint=hint)
    given = not (folder / "runs").is_dir() and (folder / "logs" / "take_scores.log").is_file()
    return FinishedStudy(folder, study, wanted, None if seeds is None else tuple(seeds), given)


def without_own_folders(study: dict) -> dict:
    """The study with `samples` in place of the folder that all its absolute paths have in common.

    Where somebody keeps files is nobody else's business, and no other machine has them there.
    """
    found = sorted({text for text in _texts(study) if _is_absolute(text)})
    if not found:
        return study
    folder = os.path.commonpath([os.path.dirname(path) for path in found])

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: told(item) for key, item in value.items()}
        if isinstance(value, list):
            return [told(item) for item in value]
        absolute = isinstance(value, str) and _is_absolute(value)
        return os.path.join("samples", os.path.relpath(value, folder)) if absolute else value

    return told(study)


def _is_absolute(text: str) -> bool:
    """Whether a text is a path with a folder from the root on; a text that a benchmark ends at may be `/` alone."""
    return os.path.isabs(text) and os.path.dirname(text) != os.sep


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _configured(name: str, root: Path, known: Sequence[str]) -> dict:
    """A study by its name or file; its samples are not read, so their folder need not be known."""
    try:
        return load_configuration({"study": name, "samples": "samples"}, root=root)
    except InputError as error:
        if (root / "results").is_dir() and error.what == "There is no such study file.":
            hint = nearest_hint(name, known) or f"Studies with results: {', '.join(known) or 'none'}. {error.hint}"
            raise InputError("There is no such study.", value=name, where="STUDY", hint=hint) from None
        raise


def check_finished(found: FinishedStudy) -> None:
    """Raise InputError that names what is missing of a study: runs by seed, then all other files."""
    runs = found.folder / "runs"
    lacking = [run for run in found.runs if any(not (runs / run.run / name).is_file() for name in OF_RUNS)]
    if lacking and not found.given:
        whole = sorted({run.seed for run in found.runs} - {run.seed for run in lacking})
        hint = f"Finished seeds: {', '.join(map(str, whole))}; name them with --seeds." if whole else "Finish it first."
        what = f"{len(lacking)} of {len(found.runs)} runs are not finished."
        raise InputError(what, value=[run.run for run in lacking[:MOST_NAMED]], where=str(found.folder), hint=hint)
    absent = [name for name in needed_files(found) if not (found.folder / name).is_file()]
    if absent:
        raise InputError(
            f"The study is not finished: {len(absent)} files are missing.",
            value=absent[:MOST_NAMED],
            where=str(found.folder),
            hint="Make them: snakemake --cores all --config study=…, with finished_only=true while runs are left.",
        )


def needed_files(found: FinishedStudy) -> list[str]:
    """What an export holds of a study whatever else it has, by place below its folder, the runs' own files apart."""
    needed = ["scores.csv"]
    if not found.given:
        needed += ["mechanism.csv"] if "mechanism" in found.study else []
        needed += [f"data/{name}/{file}" for name in found.datasets for file in ("statistics.json", "instances.jsonl")]
    return needed + (whole_study_files(found) if found.seeds is None else [])


def whole_study_files(found: FinishedStudy) -> list[str]:
    """What was computed from all runs together, and so belongs to no part of them: statistics, claims, tables."""
    regressed = regressed_datasets(found.study)
    files = ["runs.csv", "study.yaml", "missing.json", "claims.json", "claims.md"]
    files += [f"regression/{name}{kind}.json" for name in regressed for kind in ("", ".checks")]
    files += ["regression/gam.json"] if smoothed_datasets(found.study) else []
    artifacts = made_artifacts(found.study, from_scores=found.given)
    tables = [name for name in artifacts if name.startswith("table")]
    return files + [f"tables/{name}.{kind}" for name in tables for kind in ("csv", "md", "tex")]

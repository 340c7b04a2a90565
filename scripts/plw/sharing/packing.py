"""The small results of a study's runs: scores, measures, loss curves, records, counts of data. Numbers alone.

No row of a data set, no text of a benchmark and no text of a model. The folder is laid out as results/STUDY is, so that
the workflow reads it in its place (`--config results=FOLDER`).
"""

import gzip
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from plw.data.reading import without_texts
from plw.errors import InputError
from plw.files import atomic_path, read_json, write_json, write_text
from plw.sharing.finished import FinishedStudy
from plw.study.chain import merge
from plw.study.configuration import read_yaml
from plw.study.runs import Run, runs_csv

TABLES = ("scores.csv", "mechanism.csv", "rsd_windows.csv")  # with the column `run`; other runs' rows are left out
ITEMS, CURVES, RECORDS, HASHES = "items.parquet", "loss_curves.csv.gz", "records.json", "data/hashes.json"


def study_file(study: dict, root: Path, seeds: Sequence[int] | None = None) -> str:
    """The study file of a packed folder, in YAML: the whole resolved study, for programs that read it as it is.

    As a study file it rests on config/studies/paper.yaml with config/benchmarks.yaml under it, of `root`; what these
    have and the study has not is null there.
    seeds  those that the study is limited to; None: all
    """
    config = root / "config"
    paper = {key: value for key, value in read_yaml(config / "studies/paper.yaml").items() if key != "base"}
    wanted = study if seeds is None else _limited(study, seeds)
    whole = _over(merge({"benchmarks": read_yaml(config / "benchmarks.yaml")}, paper), wanted)
    return yaml.safe_dump({"name": study["name"], **whole}, sort_keys=False, allow_unicode=True, width=120)


def _limited(study: dict, seeds: Sequence[int]) -> dict:
    """The study with these seeds alone, its experiments too; InputError without one that all of its runs rest on."""
    if not set(study["seeds"]) & set(seeds):
        hint = f"Add one of the seeds that all data sets have: {', '.join(map(str, study['seeds']))}."
        raise InputError("Some data sets have none of these seeds.", value=list(seeds), where="--seeds", hint=hint)

    def kept(value: list | dict) -> list | dict:
        if isinstance(value, dict):
            return {name: kept(each) for name, each in value.items()}
        return [seed for seed in value if seed in seeds]

    experiments = {
        name: {**experiment, "seeds": kept(experiment["seeds"])} if "seeds" in experiment else experiment
        for name, experiment in study["experiments"].items()
    }
    return {**study, "seeds": kept(study["seeds"]), "experiments": experiments}


def _over(base: dict, wanted: dict) -> dict:
    """What `merge` lays over `base` to have `wanted`: all of it, and null for what `base` has besides."""
    whole: dict = {key: None for key in base if key not in wanted}
    for key, value in wanted.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            whole[key] = _over(below, value)
        elif value is not None:  # null would remove it; where it is meant (benchmarks.yaml), `base` has it
            whole[key] = value
    return whole


def shared_and_own(records: dict[str, dict]) -> dict:
    """{shared, runs}: what all records say alike, and the rest by run; mappings are split key by key."""
    values = list(records.values())

    def split(parts: list[dict]) -> tuple[dict, list[dict]]:
        common: dict = {}
        rest: list[dict] = [{} for _ in parts]
        for key in dict.fromkeys(key for part in parts for key in part):
            found = [part.get(key) for part in parts]
            if all(key in part for part in parts) and all(isinstance(value, dict) for value in found):
                below, others = split([part[key] for part in parts])
                common |= {key: below} if below else {}
                for own, other in zip(rest, others, strict=True):
                    own.update({key: other} if other else {})
            elif all(key in part and part[key] == found[0] for part in parts):
                common[key] = found[0]
            else:
                for own, part in zip(rest, parts, strict=True):
                    own.update({key: part[key]} if key in part else {})
        return common, rest

    common, rest = split(values)
    return {"shared": common, "runs": dict(zip(records, rest, strict=True))}


def pack(found: FinishedStudy, folder: Path, *, root: Path) -> None:
    """Write the small results of the runs of a finished study into `folder`, which is there.

    root  the project's folder
    Raises InputError for tables that are not there, or that are older than the runs.
    """
    results, names = found.folder, [run.run for run in found.runs]
    for name in TABLES:
        if (results / name).exists() or name == TABLES[0]:
            # Given scores may leave runs out; missing.json says which.
            write_text(folder / name, _rows_of(results / name, names, whole=not found.given).to_csv(index=False))
    if (results / ITEMS).exists():
        items = pd.read_parquet(results / ITEMS)
        items = items[items["run"].astype(str).isin(names)].astype({"run": str, "benchmark": str})
        with atomic_path(folder / ITEMS) as temporary:
            items.astype({"run": "category", "benchmark": "category"}).to_parquet(temporary, index=False)
    write_text(folder / "runs.csv", runs_csv(found.runs))
    write_text(folder / "study.yaml", study_file(found.study, root, found.seeds))
    if found.given:
        return
    _write_curves(folder / CURVES, {name: results / "runs" / name / "loss.csv" for name in names})
    write_json(folder / RECORDS, shared_and_own({name: _record(found, name) for name in names}))
    for dataset in found.datasets:
        _write_data(results / "data" / dataset, folder / "data" / dataset)
    write_json(folder / HASHES, {name: data_hash(found, name) for name in found.datasets})


def _record(found: FinishedStudy, run: str) -> dict:
    """`run.json`, its model as the study names it: without the folder where somebody keeps it."""
    record = read_json(found.folder / "runs" / run / "run.json")
    if os.path.isabs(str(record.get("source", {}).get("path", ""))):
        record["source"] = found.study["ptlms"][record["ptlm"]]["source"]
    return record


def _write_data(source: Path, target: Path) -> None:
    """The counts of a data set and of what its rows were, without their texts."""
    write_text(target / "statistics.json", (source / "statistics.json").read_text(encoding="utf-8"))
    if (source / "rows.json").exists():
        write_json(target / "rows.json", without_texts(read_json(source / "rows.json")))


def data_hash(found: FinishedStudy, dataset: str) -> dict:
    """The sum of a data set as it was trained on: {file, sha256, bytes, rows, from, source}; no row of it."""
    path = found.folder / "data" / dataset / "instances.jsonl"
    digest, size, rows = hashlib.sha256(), 0, 0
    with open(path, "rb") as stream:
        for line in stream:
            digest.update(line)
            size, rows = size + len(line), rows + bool(line.strip())
    entry = found.study["datasets"][dataset]
    origin = {key: entry[key] for key in ("from", "source", "inversion", "subset") if key in entry}
    return {"file": path.name, "sha256": digest.hexdigest(), "bytes": size, "rows": rows, **origin}


def _rows_of(path: Path, runs: Sequence[str], *, whole: bool) -> pd.DataFrame:
    """The rows of these runs, as text, so that no number is rounded; with `whole` each of them has some."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        hint = "Make it: snakemake … scores, or figure_2."
        raise InputError("A table is not there.", value=str(error), where=str(path), hint=hint) from None
    frame = frame[frame["run"].isin(runs)]
    absent = [run for run in runs if run not in set(frame["run"])]
    if absent and whole:
        hint = "It is older than the runs: make it again."
        raise InputError("A table lacks runs.", value=absent[:3], where=str(path), hint=hint)
    return frame


def _write_curves(path: Path, logs: dict[str, Path]) -> None:
    frames = [pd.read_csv(log, dtype=str, keep_default_na=False).assign(run=run) for run, log in logs.items()]
    table = pd.concat(frames, ignore_index=True)
    table = table[["run", *(name for name in table.columns if name != "run")]]
    with atomic_path(path) as temporary:  # no time of writing inside: the same curves are the same bytes
        temporary.write_bytes(gzip.compress(table.to_csv(index=False).encode(), mtime=0))


def check_run_table(folder: Path, runs: Sequence[Run]) -> None:
    """Raise InputError if the runs that the packed study plans are not those that are packed."""
    packed = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)["run"].tolist()
    planned = [run.run for run in runs]
    if sorted(packed) != sorted(planned):
        differ = sorted(set(packed) ^ set(planned))
        raise InputError("The packed study plans other runs than are packed.", value=differ[:3], where=str(folder))

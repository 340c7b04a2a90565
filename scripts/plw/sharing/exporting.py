"""`plw export`: one folder of a finished study that another lab can check without us.

Written whole or not at all. What is in it readme.py lists; the small results (packing.py) are laid out as results/STUDY
is, so that the workflow makes figures, tables and claims from the folder.
"""

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from plw.errors import InputError
from plw.files import atomic_folder, read_json, write_json, write_text
from plw.sharing.crate import crate_metadata
from plw.sharing.croissant import croissants
from plw.sharing.evaluations import SCHEMA, evaluation_records
from plw.sharing.finished import FinishedStudy, check_finished, whole_study_files
from plw.sharing.packing import check_run_table, pack
from plw.sharing.readme import readme
from plw.study.configuration import load_configuration, read_yaml
from plw.study.runs import list_runs

SUMS = "SHA256SUMS"


def export(found: FinishedStudy, folder: Path, *, root: Path) -> None:
    """Write the export of a finished study to `folder`, which must not exist yet.

    root  the project's folder
    Raises InputError for a folder that is there, and for a study that lacks something, which it names.
    """
    if folder.exists():
        raise InputError("The folder is there already.", value=str(folder), where="-o", hint="Name another.")
    check_finished(found)
    records = (
        {} if found.given else {run.run: read_json(found.folder / "runs" / run.run / "run.json") for run in found.runs}
    )
    registry = read_yaml(root / "config" / "sources.yaml")
    with atomic_folder(folder) as inside:
        pack(found, inside, root=root)
        if found.seeds is None:
            for name in whole_study_files(found):
                if name not in ("runs.csv", "study.yaml"):  # packed in a form of their own
                    (inside / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(found.folder / name, inside / name)
        check_run_table(inside, list_runs(load_configuration({"results": str(inside)}, root=root)))
        made = environment(records, root)
        write_json(inside / "environment.json", made)
        for name, record in evaluation_records(found, records).items():
            write_json(inside / "every_eval_ever" / f"{name}.json", record)
        for name, metadata in croissants(found, registry).items():
            write_json(inside / "croissant" / f"{name}.json", metadata)
        shutil.copy(root / "Snakefile", inside)
        write_text(inside / "README.md", readme(found, records, inside, schema=SCHEMA))
        commit = made["exported_by"]["commit"] or "unknown"
        write_json(inside / "ro-crate-metadata.json", crate_metadata(found, records, inside, commit=commit))
        write_text(inside / SUMS, sums(inside))


def sums(folder: Path) -> str:
    """`sha256sum`'s lines of every file below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    )


def environment(records: Mapping[str, dict], root: Path) -> dict:
    """{runs: each environment that the records name, with the number of its runs; exported_by: this checkout}."""
    kinds = Counter(
        json.dumps({key: record.get(key) for key in ("git", "versions", "device")}, sort_keys=True)
        for record in records.values()
    )
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = done.stdout.strip() if done.returncode == 0 else None
    return {
        "runs": [{**json.loads(kind), "runs": number} for kind, number in kinds.items()],
        "exported_by": {"plw": version("plw"), "commit": commit},
    }

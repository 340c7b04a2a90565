"""All that the runs of a study need, in one folder for a machine that has a GPU, this project, and nothing else.

The folder holds `study.json` (what is to be done, and the sha256 of every file), the instances, the ptlms (a GGUF file
as it is: it is a fifth of the expanded weights), the benchmarks' requests as token ids, and the package that reads GGUF
files.
`plw.mechanism.borrowed` works through it.
"""

import gzip
import importlib.metadata
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.evaluation.elsewhere import recorded_requests
from plw.files import write_json
from plw.mechanism.borrowed import STUDY_FILE, sha256_of
from plw.models.loading import load_model
from plw.study.layout import of_datasets
from plw.study.parameters import (
    evaluation_settings,
    measured_entries,
    memorisation_settings,
    training_row,
    training_settings,
)
from plw.study.runs import Run, benchmarks_of
from plw.training.record import git_state

GGUF_PACKAGE = "gguf"  # pure Python; transformers reads GGUF files through it


def pack_study(
    study: dict, runs: Sequence[Run], *, out: Path, root: Path, gguf: Mapping[str, Path], harness_folder: Path
) -> dict:
    """Write the folder `out` and return the content of study.json.

    root            the folder in which the study's paths hold, with its data sets prepared and its ptlms there
    gguf            path of a ptlm as the study names it -> the GGUF file that it was expanded from
    harness_folder  definitions of the harness's tasks
    Runs are packed seed by seed, so that time that runs out leaves whole seeds.
    Raises InputError for what another machine cannot do without a network or the harness.
    """
    shutil.rmtree(out, ignore_errors=True)
    evaluation = json.loads(evaluation_settings(study))
    if study["training"]["processes"] != 1 or study["training"].get("zero_stage", "none") != "none":
        hint = "Set training.processes: 1 and zero_stage: none."
        raise InputError("A packed study trains in one process without DeepSpeed.", value=study["name"], hint=hint)
    models = {
        path: _pack_model(path, out / "models" / name, root=root, gguf=gguf.get(path))
        for name in dict.fromkeys(run.ptlm for run in runs)
        for path in [_local_path(study, name)]
    }
    datasets = {}
    for name in dict.fromkeys(run.dataset for run in runs):
        (path,) = of_datasets(study, [name], "instances.jsonl")
        datasets[name] = {"file": f"data/{name}.jsonl", "path": path}
        _copy(root / path, out / datasets[name]["file"])
    packed = {
        "study": study["name"],
        "packed_at": git_state(Path(__file__).parent),
        "training": json.loads(training_settings(study)),
        "evaluation": evaluation,
        "models": models,
        "datasets": datasets,
        "benchmarks": _pack_requests(study, runs, evaluation, out=out, root=root, harness_folder=harness_folder),
        "runs": [_packed_run(study, run) for run in sorted(runs, key=lambda run: run.seed)],
    }
    files = sorted(path for path in out.rglob("*") if path.is_file())
    packed["files"] = {str(path.relative_to(out)): sha256_of(path) for path in files}
    write_json(out / STUDY_FILE, packed)
    return packed


def _packed_run(study: dict, run: Run) -> dict:
    mechanism = study.get("mechanism", {})
    memorised = json.loads(memorisation_settings(study, run)) if mechanism else None
    return {
        "row": json.loads(training_row(run)),
        "ptlm": study["ptlms"][run.ptlm]["source"],
        "mechanism": {"weight_distance": mechanism.get("weight_distance", bool(mechanism)), "memorisation": memorised},
        "benchmarks": benchmarks_of(run, study),
    }


def _local_path(study: dict, ptlm: str) -> str:
    source = study["ptlms"][ptlm]["source"]
    if "path" not in source:
        hint = "Name a folder: `path`."
        raise InputError("Only a local model can be packed.", value=source, where=f"ptlms.{ptlm}.source", hint=hint)
    return source["path"]


def _pack_model(path: str, place: Path, *, root: Path, gguf: Path | None) -> dict:
    """Copy a model folder, or the GGUF file that it came from with the package that reads it."""
    out = place.parents[1]
    if gguf is None:
        shutil.copytree(root / path, place)
        return {"folder": str(place.relative_to(out))}
    _copy(gguf, place.with_suffix(".gguf"))
    for file in importlib.metadata.files(GGUF_PACKAGE) or []:
        if not file.is_absolute() and ".." not in file.parts and "__pycache__" not in file.parts:
            _copy(Path(str(file.locate())), out / "packages" / file)
    return {"gguf": str(place.with_suffix(".gguf").relative_to(out))}


def _pack_requests(
    study: dict, runs: Sequence[Run], evaluation: dict, *, out: Path, root: Path, harness_folder: Path
) -> dict:
    """Each benchmark's requests as gzipped JSON; returns {name: {file, digest, truncated, requests}}."""
    names = [name for name in study["evaluation"]["benchmarks"] if any(name in benchmarks_of(r, study) for r in runs)]
    vocabularies = {_local_path(study, run.ptlm) for run in runs}
    if len(vocabularies) > 1:
        hint = "Pack one ptlm at a time, each as a study of its own."
        raise InputError("Requests are token ids of one ptlm.", value=sorted(vocabularies), hint=hint)
    source = {"path": str(root / vocabularies.pop())}
    model, tokenizer = load_model(source), load_tokenizer(source)
    prepare_tokenizer(tokenizer)  # as fine-tuned models are saved
    found = {}
    for entry in measured_entries(study, names):
        asked = recorded_requests(entry, model, tokenizer, folder=harness_folder, evaluation=evaluation)
        place = out / "requests" / f"{entry['name']}.json.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps([asked["tokens"], asked["continuations"]], separators=(",", ":")).encode()
        place.write_bytes(gzip.compress(content, mtime=0))
        found[entry["name"]] = {
            "file": str(place.relative_to(out)),
            "digest": asked["digest"],
            "truncated": asked["truncated"],
            "requests": len(asked["tokens"]),
        }
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)

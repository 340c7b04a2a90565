"""All benchmark rows of a study read once, in the form that scoring reads them, before anything trains."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plw.errors import InputError, InputErrors
from plw.study.design import is_task_file
from plw.study.sources import named_files, resolve_source


def fingerprint(entry: dict, evaluation: Mapping) -> str:
    """What the rows of a benchmark are read from: its entry, the settings that concern rows, and its local files.

    A file counts by its size and its time of change; one that is not there by its name alone.
    """
    preamble = evaluation.get("truthfulqa_preamble")
    files = named_files(entry["source"]) if isinstance(entry["source"], dict) else []
    files += [entry["task"]] if is_task_file(entry.get("task")) else []
    states = []
    for file in [*files, *([preamble] if preamble else [])]:
        found = Path(file).stat() if Path(file).exists() else None
        states.append([file, found and found.st_size, found and found.st_mtime_ns])
    settings = [evaluation.get(key) for key in ("translation_prompt", "truthfulqa_preamble", "fewshot_seed")]
    told = json.dumps([entry, settings, states], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def check_benchmark(entry: dict, *, folder: Path, evaluation: Mapping, judge: Mapping | None) -> dict:
    """Rows to score, in the form that the benchmark's prompts and metrics read, with their few-shot examples.

    entry   registry entry with its name and resolved source;  judge: its entry under `judges`, where it is judged
    folder  where the harness's definitions are (config/harness)
    Returns {"rows": number of rows that are scored}. Raises InputError with file and row.
    """
    if entry["framework"] == "harness":
        from plw.evaluation.harness_tasks import load_task  # the harness takes seconds to load

        return {"rows": len(load_task(entry, folder=folder, evaluation=dict(evaluation)).eval_docs)}
    from plw.evaluation.judgements import read_outputs
    from plw.evaluation.rows import normalize_rows, scored_rows

    where = f"benchmark {entry['name']!r}"
    rows = normalize_rows(scored_rows(entry["source"], entry["split"], where=where), entry["framework"])
    if not rows:
        raise InputError("The benchmark has no rows to score.", value=entry["source"], where=where)
    if "reference" not in (judge or {}):
        read_outputs(entry["source"], entry["framework"])
    return {"rows": len(rows)}


def check_benchmarks(
    entries: Sequence[dict],
    *,
    folder: Path,
    evaluation: Mapping,
    judges: Mapping[str, Mapping],
    known: Mapping[str, Mapping] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, dict]:
    """{benchmark: {rows, fingerprint}}; what `known` holds with the same fingerprint is not read again.

    Raises InputErrors: the first fault of each benchmark.
    """
    found: dict[str, dict] = {}
    errors: list[InputError] = []
    for entry in entries:
        name, same = entry["name"], fingerprint(entry, evaluation)
        if known and known.get(name, {}).get("fingerprint") == same:
            found[name] = dict(known[name])
            continue
        say(f"{name}: reading")
        try:
            resolved = entry | {"source": resolve_source(entry["source"], where=f"benchmark {name!r}")}
            rows = check_benchmark(resolved, folder=folder, evaluation=evaluation, judge=judges.get(name))
            found[name] = {**rows, "fingerprint": same}
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputErrors(errors)
    return found

"""Everything that one model is measured on, with what was measured before kept.

A result is kept when the weights, the benchmark's specification and its data are the same as when it was
made; each benchmark has its own file, so that a benchmark that is added later runs alone.
"""

import hashlib
import importlib.metadata
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from plw.errors import InputError
from plw.evaluation.harness import harness_version, run_benchmark
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.harness_tasks import definition_of
from plw.evaluation.request_cache import RequestCache
from plw.evaluation.rows import normalize_rows, scored_rows
from plw.evaluation.shared_contexts import SOFTMAX_DTYPE
from plw.files import read_json, write_json
from plw.models.fingerprint import model_fingerprint
from plw.models.generation import candidate_prompts, generate_texts
from plw.models.loading import choose_device, load_with_tokenizer, merged
from plw.study.records.code import VERSIONS, code_record
from plw.study.sources import local_files

RESULT_VERSION = 1  # raise it when a change of this code changes results: what was kept is then made anew
PRESENTATION_KEYS = (
    "label",
    "group",
    "type",
    "version",
    "stands_for",
    "metric",
    "cost",
)  # these never change a result
DEFAULTS = {
    "batch_size": 16,
    "dtype": "float32",
    "add_bos": False,  # open: the paper's harness commits put none before requests
    "fewshot_seed": 1234,
    "translation_prompt": "prefix",
    "truthfulqa_preamble": None,
    "shared_contexts": False,
    "device": "auto",
}
OUTPUT_FRAMEWORKS = ("alpaca_eval", "pandalm")


def evaluate_model(
    source: dict,
    benchmarks: list[dict],
    evaluation: dict,
    *,
    run_dir: Path,
    harness_folder: Path,
    requests: Path | None = None,
) -> dict:
    """Measure the model of `source` on registry entries (each with its `name`); return the results' index.

    evaluation      keys of DEFAULTS; others are refused
    run_dir         results go to run_dir/benchmarks/NAME.json (harness) and NAME.outputs.json (texts for the
                    judges)
    harness_folder  definitions of the harness's tasks
    requests        folder of what lm-eval asks, for all models of a tokenizer; by default each asks anew
    """
    evaluation = _with_defaults(evaluation)
    return measure_missing(
        model_fingerprint(source),
        benchmarks,
        evaluation,
        run_dir=run_dir,
        harness_folder=harness_folder,
        load=lambda: _loader(source, evaluation, harness_folder, requests),
    )


def measure_missing(
    fingerprint: str,
    benchmarks: list[dict],
    evaluation: dict,
    *,
    run_dir: Path,
    harness_folder: Path,
    load: Callable[[], Callable[[dict, str], dict]],
) -> dict:
    """The results' index, as of `evaluate_model`, for a model that `load` knows how to measure.

    fingerprint  of that model (`model_fingerprint`)
    load         called once, if anything is missing; returns the function that measures one registry entry, of this
                 specification
    """
    evaluation = _with_defaults(evaluation)
    results: dict[str, dict] = {}
    missing = []
    for entry in benchmarks:
        specification = specification_hash(entry, evaluation, harness_folder)
        kept = _kept_result(_result_file(run_dir, entry), specification, fingerprint)
        if kept is None:
            missing.append((entry, specification))
        else:
            results[entry["name"]] = kept
    code = code_record("evaluate_model", VERSIONS["evaluate_model"])
    measure = load() if missing else None
    for entry, specification in missing:
        started = time.perf_counter()
        assert measure is not None  # something is missing
        answer = measure(entry, specification)
        result = {
            "benchmark": entry["name"],
            "specification": specification,
            "model": fingerprint,
            "code": code,
            **answer,
        }
        result["seconds"] = round(time.perf_counter() - started, 3)
        write_json(_result_file(run_dir, entry), result)
        results[entry["name"]] = result
    # What was kept may be of other code: then that is what the whole is of.
    made_by = [result.get("code") for result in results.values()]
    return {
        "model": fingerprint,
        "code": next((other for other in made_by if other != code), code),
        "versions": {
            name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch", "sacrebleu")
        },
        "benchmarks": {entry["name"]: _index_entry(entry, results[entry["name"]], run_dir) for entry in benchmarks},
    }


def specification_hash(entry: dict, evaluation: dict, harness_folder: Path) -> str:
    """Hash of all that a result depends on beside the model.

    Settings, the task's definition, the data themselves.
    """
    parts: dict = {"version": RESULT_VERSION}
    parts["entry"] = {key: value for key, value in entry.items() if key not in PRESENTATION_KEYS and value is not None}
    used = dict(evaluation)
    files = _data_files(entry["source"])
    if entry["framework"] == "harness":
        parts["harness"] = harness_version()
        if used["dtype"] != "float32":
            parts["softmax"] = str(SOFTMAX_DTYPE)  # once it was the model's own; for float32 nothing changed
        files += [definition_of(entry, harness_folder), harness_folder / "wmt_common_yaml"]
        files += [Path(used["truthfulqa_preamble"])] if used["truthfulqa_preamble"] else []
    else:
        used = {key: used[key] for key in ("batch_size", "dtype")}
    parts["evaluation"] = {key: value for key, value in used.items() if key != "device"}
    parts["files"] = [hashlib.sha256(_without_rooms(file)).hexdigest() for file in files if file.is_file()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _without_rooms(file: Path) -> bytes:
    """The file's bytes; in a task's definition, in which room this project keeps a function decides no result."""
    content = file.read_bytes()
    return re.sub(rb"(!function plw\.)evaluation\.", rb"\1", content) if file.suffix in ("", ".yaml") else content


def _with_defaults(evaluation: dict) -> dict:
    unknown = sorted(set(evaluation) - set(DEFAULTS))
    if unknown:
        hint = f"Known: {', '.join(DEFAULTS)}."
        raise InputError("Unknown evaluation setting.", value=unknown[0], where="--evaluation", hint=hint)
    return DEFAULTS | evaluation


def _data_files(source: dict) -> list[Path]:
    """Local files of a source, over all its splits; none for what is pinned by a revision or an address."""
    if "path" not in source:
        return []
    splits = list(source["path"]) if isinstance(source["path"], dict) else [None]
    return [file for split in splits for file in local_files(source, split=split)]


def _result_file(run_dir: Path, entry: dict) -> Path:
    suffix = ".outputs.json" if entry["framework"] in OUTPUT_FRAMEWORKS else ".json"
    return run_dir / "benchmarks" / f"{entry['name']}{suffix}"


def _kept_result(file: Path, specification: str, fingerprint: str) -> dict | None:
    """The result in `file` if it belongs to this specification and model; a damaged file counts as absent."""
    try:
        result = read_json(file)
    except (OSError, ValueError):
        return None
    if not isinstance(result, dict):
        return None
    same = result.get("specification") == specification and result.get("model") == fingerprint
    return result if same else None


def _loader(source: dict, evaluation: dict, harness_folder: Path, requests: Path | None) -> Callable[[dict, str], dict]:
    """Load the model once; return the function that measures one benchmark with it."""
    device = choose_device(evaluation["device"])
    model, tokenizer = load_with_tokenizer(source, dtype=evaluation["dtype"], device=device)
    overridden = merged(tokenizer.overridden, model.overridden)
    batch_size = evaluation["batch_size"]
    harness = HarnessModel(
        model,
        tokenizer,
        batch_size=batch_size,
        add_bos=evaluation["add_bos"],
        shared_contexts=evaluation["shared_contexts"],
    )

    cache = None
    if requests is not None and hasattr(tokenizer, "backend_tokenizer"):
        cache = RequestCache(requests, tokenizer, add_bos=evaluation["add_bos"])

    def measure(entry: dict, specification: str) -> dict:
        if entry["framework"] in OUTPUT_FRAMEWORKS:
            found = generate_outputs(model, tokenizer, entry, batch_size=batch_size)
        else:
            kept = cache.of(entry["name"], specification) if cache else None
            found = run_benchmark(entry, harness, folder=harness_folder, evaluation=evaluation, kept=kept)
        return found | ({"overridden": overridden} if overridden else {})

    return measure


def generate_outputs(model, tokenizer, entry: dict, *, batch_size: int) -> dict:
    """Answers to a judged benchmark's instructions: {generation, outputs: [row + output, tokens, finished]}.

    Reads of the entry: source, split, limit, max_new_tokens, num_beams, repetition_penalty, template.
    """
    where = f"benchmark {entry['name']!r}"
    rows = normalize_rows(scored_rows(entry["source"], entry["split"], where=where), entry["framework"])[
        : entry.get("limit")
    ]
    settings = {
        "max_new_tokens": _required(entry, "max_new_tokens"),
        "num_beams": entry.get("num_beams", 1),
        "repetition_penalty": entry.get("repetition_penalty", 1.0),
    }
    texts = generate_texts(
        model,
        tokenizer,
        candidate_prompts(rows, entry.get("template", "alpaca")),
        batch_size=batch_size,
        **settings,
    )
    outputs = [
        {key: value for key, value in row.items() if key in ("dataset", "instruction", "input")}
        | {"output": text.text.strip()}
        | {key: value for key, value in asdict(text).items() if key != "text"}
        for row, text in zip(rows, texts, strict=True)
    ]
    count = max(len(outputs), 1)
    summary = {
        "n": len(outputs),
        "mean_tokens": sum(text.tokens for text in texts) / count,
        "mean_characters": sum(len(output["output"]) for output in outputs) / count,
        "unfinished": sum(not text.finished for text in texts),
    }
    return {"generation": settings, "summary": summary, "outputs": outputs}


def _required(entry: dict, key: str):
    if entry.get(key) is None:
        raise InputError("A judged benchmark lacks a setting.", value=key, where=f"benchmark {entry['name']!r}")
    return entry[key]


def _index_entry(entry: dict, result: dict, run_dir: Path) -> dict:
    """One benchmark's line in evaluation.json; texts for a judge have no metrics yet."""
    shared = {
        "framework": entry["framework"],
        "file": str(_result_file(run_dir, entry).relative_to(run_dir)),
        "specification": result["specification"],
        "seconds": result["seconds"],
    }
    if entry["framework"] in OUTPUT_FRAMEWORKS:
        return shared | {"metrics": {}, "summary": result["summary"]}
    kept = (
        "task",
        "task_version",
        "harness_version",
        "n",
        "shots",
        "prompt_hash",
        "truncated_requests",
        "metrics",
    )
    return shared | {"primary": entry["metric"]} | {key: result[key] for key in kept}

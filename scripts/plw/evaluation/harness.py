"""One benchmark of the LM Evaluation Harness through its Python API, its result in the project's form."""

import hashlib
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

import lm_eval.utils
from lm_eval.evaluator import evaluate

from plw.errors import InputError
from plw.evaluation.harness_metrics import PERCENT_METRICS, bleu_stderr, mean_stderr
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.harness_tasks import load_task
from plw.evaluation.request_cache import KeptRequests, Requests

CORPUS_METRICS = ("bleu", "chrf", "ter")  # computed over all sentences together; an item has no such score


class CountingModel(Protocol):
    """A model of lm-eval that counts the requests that did not fit into its context."""

    truncated: int

    def begin(self, requests: Requests | None) -> None:
        """A benchmark begins; its requests, where they are known."""


def run_benchmark(
    entry: dict, model: CountingModel, *, folder: Path, evaluation: dict, kept: KeptRequests | None = None
) -> dict:
    """Score `model` on the benchmark of a registry entry; see `format_result` for what is returned.

    kept  where its requests are read, or written for the next model; lm-eval makes them anew without
    lm-eval takes the first `limit` rows, in file order. Standard errors are ours (lm-eval's bootstrap starts
    processes).
    """
    with compiled_templates():
        task = load_task(entry, folder=folder, evaluation=evaluation)
        requests = kept.read() if kept else None
        model.begin(requests)
        if requests is not None:
            requests.put_into(task)
        truncated = model.truncated
        answer = evaluate(
            lm=model,
            task_dict={"tasks": {task.task_name: task}},
            limit=entry.get("limit"),
            bootstrap_iters=0,
            log_samples=True,
        )
    if kept and requests is None and isinstance(model, HarnessModel):
        kept.write(Requests.of_task(task, model.pairs, model.encoded))
    result = format_result(answer, task.task_name, output_type=task.OUTPUT_TYPE, metric=entry["metric"])
    return result | {"shots": task.config.num_fewshot, "truncated_requests": model.truncated - truncated}


@contextmanager
def compiled_templates() -> Iterator[None]:
    """Compile each of lm-eval's prompt templates once, and render it once per document.

    lm-eval compiles it anew for each document, and renders each shot anew for each question: more than half of the
    time of 25-shot ARC with a small model. A rendered text depends on nothing else, so the prompts are the same.
    """
    original = lm_eval.utils.apply_template
    compile_once = cache(lm_eval.utils.env.from_string)
    rendered: dict[tuple[str, int], tuple[dict, str]] = {}  # keeps the document, so that its id is not used again

    def apply_template(template: str, doc: dict) -> str:
        key = (template, id(doc))
        if key not in rendered:
            rendered[key] = (doc, compile_once(template).render(**doc))
        return rendered[key][1]

    lm_eval.utils.apply_template = apply_template
    try:
        yield
    finally:
        lm_eval.utils.apply_template = original


@cache
def harness_version() -> str:
    """Version of the installed lm-eval."""
    return importlib.metadata.version("lm_eval")


def format_result(answer: dict, task: str, *, output_type: str, metric: str) -> dict:
    """Bring lm-eval's answer to {task, task_version, harness_version, n, prompt_hash, metrics, items}.

    metrics  {name: {score, stderr, n, higher_is_better}}; `score` is lm-eval's number, divided by 100 where
             that is a percentage (PERCENT_METRICS). TER may exceed 1
    items    one per row: `id`, the item's own metrics in the same unit, and for generated text `output`,
             `target`
    """
    samples = sorted(answer["samples"][task], key=lambda sample: sample["doc_id"])
    higher = answer["higher_is_better"][task]
    metrics = {}
    for key, value in answer["results"][task].items():
        name, _, filtered = key.partition(",")
        if filtered and not name.endswith("_stderr"):
            metrics[name] = {
                "score": _scaled(name, float(value)),
                "stderr": _stderr(name, samples),
                "n": len(samples),
                "higher_is_better": higher.get(name, True),
            }
    if metric not in metrics:
        raise InputError(
            "The task does not compute the benchmark's primary metric.",
            value=metric,
            hint=f"It gives {', '.join(metrics)}.",
        )
    return {
        "task": task,
        "task_version": answer["versions"][task],
        "harness_version": harness_version(),
        "n": len(samples),
        "prompt_hash": _prompt_hash(samples),
        "metrics": metrics,
        "items": [_item(sample, output_type) for sample in samples],
    }


def _scaled(name: str, value: float) -> float:
    score = value / _unit(name)
    return min(score, 1.0) if name == "bleu" else score  # sacreBLEU gives 100.00000000000004 to a perfect corpus


def _unit(name: str) -> int:
    return 100 if name in PERCENT_METRICS else 1


def _stderr(name: str, samples: list[dict]) -> float | None:
    if name == "bleu":
        references, predictions = zip(*(sample["bleu"] for sample in samples), strict=True)
        error = bleu_stderr(references, predictions)
    elif name in CORPUS_METRICS:
        return None  # no cheap estimate
    else:
        error = mean_stderr([sample[name] for sample in samples])
    return None if error is None else error / _unit(name)


def _item(sample: dict, output_type: str) -> dict:
    item = {"id": sample["doc_id"]}
    item |= {name: float(sample[name]) / _unit(name) for name in sample["metrics"] if name not in CORPUS_METRICS}
    if output_type == "generate_until":
        item |= {"output": sample["filtered_resps"][0], "target": sample["target"]}
    else:
        item["log_likelihoods"] = [round(float(response[0]), 6) for response in sample["filtered_resps"]]
    return item


def _prompt_hash(samples: list[dict]) -> str:
    """One hash over every request's text: equal hashes mean that two results answer the same questions."""
    digest = hashlib.sha256()
    for sample in samples:
        for arguments in sample["arguments"]:
            for part in arguments:
                digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()

"""What lm-eval asks a model for a benchmark, in words and token ids: made once, then read for every model of a sweep.

Prompts, shots and token ids depend on the benchmark, its rows, lm-eval and the tokenizer, and on no weight; with small
models they take longer than the answers. lm-eval makes them for the first model; for the others they are put into its
task again, so that what is scored, and how, stays lm-eval's own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from plw.data.tokenizers import tokenizer_digest
from plw.files import read_json, write_json

FORM = 1  # of the files; raise it when what they hold changes
KEPT_TYPES = ("loglikelihood", "generate_until")

Texts = tuple[str, str]  # context, continuation
Pair = tuple[list[int], list[int]]  # their token ids


@dataclass
class Requests:
    """The requests of one benchmark.

    instances  [row, number within the row, request type, arguments] of each, in lm-eval's order
    pairs      token ids of what is asked for a log-likelihood, by its texts
    prompts    token ids of what is continued, by its text
    """

    instances: list[tuple[int, int, str, tuple]]
    pairs: dict[Texts, Pair]
    prompts: dict[str, list[int]]

    @classmethod
    def of_task(cls, task: ConfigurableTask, pairs: dict[Texts, Pair], prompts: dict[str, list[int]]) -> "Requests":
        """What a task has asked, with the token ids that the model made of it."""
        instances = [(one.doc_id, one.idx, one.request_type, one.args) for one in task.instances]
        continued = [args[0] for _, _, kind, args in instances if kind == "generate_until"]
        return cls(instances, pairs, {text: prompts[text] for text in continued if text in prompts})

    @property
    def complete(self) -> bool:
        """Whether these are all of a kind that is kept, and every token id is there."""
        return all(
            args in self.pairs if kind == "loglikelihood" else kind in KEPT_TYPES and args[0] in self.prompts
            for _, _, kind, args in self.instances
        )

    def put_into(self, task: ConfigurableTask) -> None:
        """Let lm-eval find these in the task where it would build its own."""
        rows = task.eval_docs
        name, repeats = task.config.task, task.config.repeats
        documents = {row: rows[row] for row in dict.fromkeys(row for row, *_ in self.instances)}
        made = [
            Instance(request_type=kind, doc=documents[row], arguments=args, idx=idx, metadata=(name, row, repeats))
            for row, idx, kind, args in self.instances
        ]

        def build_all_requests(**_) -> None:
            task._instances = made

        task.build_all_requests = build_all_requests


@dataclass(frozen=True)
class KeptRequests:
    """The file of one benchmark's requests."""

    file: Path

    def read(self) -> Requests | None:
        """The requests; None where the file is not there, or damaged."""
        try:
            content = read_json(self.file)
            if content["sum"] != _sum(content["requests"]):
                return None
            return _unpacked(content["requests"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, requests: Requests) -> None:
        """Keep the requests, whole or not at all; several processes may write the same."""
        if requests.complete:
            packed = _packed(requests)
            write_json(self.file, {"sum": _sum(packed), "requests": packed})


class RequestCache:
    """Requests in a folder, one file for each benchmark in each form.

    folder     where they lie
    tokenizer  of the model that is asked;  add_bos: whether a beginning-of-sequence stands before requests
    """

    def __init__(self, folder: Path, tokenizer, *, add_bos: bool):
        self.folder, self._asker = folder, f"{tokenizer_digest(tokenizer)}\0{add_bos}"

    def of(self, name: str, specification: str) -> KeptRequests:
        """Those of a benchmark.

        specification  hash of all that a result depends on beside the model (`measuring.specification_hash`): rows,
                       settings, definition, version of lm-eval
        """
        key = hashlib.sha256(f"{FORM}\0{specification}\0{self._asker}".encode()).hexdigest()
        return KeptRequests(self.folder / f"{name}.{key[:32]}.json")


def _sum(packed: dict) -> str:
    return hashlib.sha256(json.dumps(packed, sort_keys=True).encode()).hexdigest()


def _packed(requests: Requests) -> dict:
    """As JSON: each text and each context's ids once, as all choices of a question share them."""
    texts, contexts = _Numbered(), _Numbered()
    instances = [
        [row, idx, kind, [texts.number(part) if isinstance(part, str) else part for part in args]]
        for row, idx, kind, args in requests.instances
    ]
    pairs = [
        [texts.number(context), texts.number(continuation), contexts.number(tuple(before)), list(rest)]
        for (context, continuation), (before, rest) in requests.pairs.items()
    ]
    prompts = [[texts.number(text), list(ids)] for text, ids in requests.prompts.items()]
    return {
        "texts": texts.values,
        "contexts": [list(ids) for ids in contexts.values],
        "instances": instances,
        "pairs": pairs,
        "prompts": prompts,
    }


def _unpacked(packed: dict) -> Requests:
    texts, contexts = packed["texts"], packed["contexts"]
    return Requests(
        [
            (row, idx, kind, tuple(texts[part] if isinstance(part, int) else part for part in args))
            for row, idx, kind, args in packed["instances"]
        ],
        {(texts[context], texts[rest]): (contexts[ids], after) for context, rest, ids, after in packed["pairs"]},
        {texts[text]: ids for text, ids in packed["prompts"]},
    )


class _Numbered:
    """Numbers values in the order in which they come, each once."""

    def __init__(self) -> None:
        self._numbers: dict = {}

    def number(self, value) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> Sequence:
        return list(self._numbers)

"""Multiple choice that is answered on a machine without the LM Evaluation Harness.

Here lm-eval makes a task's requests, which are written down as token ids (`recorded_requests`); there
`shared_contexts.SharedContexts` finds their log-likelihoods; here lm-eval scores them (`RecordedAnswers`), as if the
model had answered it. So prompts, shots and metrics are lm-eval's own, and the digits are those of `HarnessModel` with
`shared_contexts` on.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lm_eval.api.model import LM

from plw.errors import InputError
from plw.evaluation.harness import run_benchmark
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.request_cache import Requests
from plw.evaluation.shared_contexts import cut_tokens


class _Recorder(HarnessModel):
    """Writes down what it is asked and answers nothing."""

    asked: list[tuple[tuple[str, str], list[int], int]]

    def loglikelihood(self, requests, disable_tqdm: bool = False):
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, override_bs: int | None = None):
        self.truncated += sum(len(context) + len(rest) > self.max_length + 1 for _, context, rest in requests)
        self.asked = [(texts, cut_tokens(before, rest, self.max_length), len(rest)) for texts, before, rest in requests]
        return [(0.0, False)] * len(requests)

    def generate_until(self, requests, disable_tqdm: bool = False):
        raise InputError("Only multiple choice can be answered on another machine.", value=requests[0].args[0][-80:])


class RecordedAnswers(LM):
    """A model of lm-eval whose log-likelihoods were found elsewhere, in the order of its requests.

    asked    from `recorded_requests`;  answers  (log-likelihood, greedy) of each
    """

    def __init__(self, asked: dict, answers: Sequence[Sequence]):
        super().__init__()
        self._asked, self._answers, self.truncated = asked, answers, 0

    def begin(self, requests: Requests | None) -> None:
        """Nothing is put into token ids here."""

    def loglikelihood(self, requests, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        if digest_of([request.args for request in requests]) != self._asked["digest"]:
            raise InputError(
                "The requests are no longer those that were answered on the other machine.",
                hint="Use the study, rows and version of lm-eval of that time, or pack and run again.",
            )
        if len(self._answers) != len(requests):
            raise InputError("Answers are missing.", value=f"{len(self._answers)} of {len(requests)}")
        self.truncated += self._asked["truncated"]
        return [(float(score), bool(greedy)) for score, greedy in self._answers]

    def loglikelihood_rolling(self, requests, disable_tqdm: bool = False):
        raise NotImplementedError("no task of this project asks for whole texts")

    def generate_until(self, requests, disable_tqdm: bool = False):
        raise NotImplementedError("packed benchmarks are multiple choice")


def digest_of(texts: Sequence[Sequence[str]]) -> str:
    """Hash of requests (context, continuation) in their order."""
    digest = hashlib.sha256()
    for context, continuation in texts:
        digest.update(context.encode() + b"\0" + continuation.encode() + b"\1")
    return digest.hexdigest()


def recorded_requests(entry: dict, model, tokenizer, *, folder: Path, evaluation: dict) -> dict:
    """What lm-eval asks a model of this tokenizer and context length for a benchmark of multiple choice.

    entry  registry entry with its name;  folder  definitions of the tasks;  evaluation  the study's settings
    Returns {digest, truncated, tokens: [ids of context and continuation], continuations: [how many are the latter]}.
    """
    if not evaluation.get("shared_contexts"):
        hint = "Set evaluation.shared_contexts: true."
        raise InputError("Another machine answers with shared contexts only.", value=entry["name"], hint=hint)
    recorder = _Recorder(model, tokenizer, batch_size=1, add_bos=evaluation.get("add_bos", False))
    run_benchmark(entry, recorder, folder=folder, evaluation=evaluation)
    return {
        "digest": digest_of([texts for texts, _, _ in recorder.asked]),
        "truncated": recorder.truncated,
        "tokens": [tokens for _, tokens, _ in recorder.asked],
        "continuations": [count for _, _, count in recorder.asked],
    }

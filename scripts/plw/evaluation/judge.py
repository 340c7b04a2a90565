"""The judge's answers to prompts: loaded once, only when something is missing, and kept by content.

Answers are appended to a file as they come, so an interrupted call resumes with what is missing, and a new
run asks only for its own pairs.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from plw.errors import InputError
from plw.evaluation.trial import TRIAL_PROMPTS, refuse_unreadable_trial
from plw.models.fingerprint import model_fingerprint
from plw.models.generation import encode_prompts, fits_context, generate_texts, without_bos
from plw.models.loading import choose_device, load_with_tokenizer, overridden_settings

# Ours under the package's names. Of its own, the first needs peft, asks for 8-bit weights in a way that transformers 5
# refuses, and loads the model again for each call; the second wants vLLM in the same environment, whose torch and
# transformers are others; the third strips prompts and answers "" where a server fails.
OWN_BACKEND = "huggingface_local_completions"
VLLM_BACKEND = "vllm_local_completions"
SERVER_BACKEND = "openai_completions"
BACKENDS = (OWN_BACKEND, VLLM_BACKEND, SERVER_BACKEND)
CHUNK_PROMPTS = 256  # prompts between two writes of the answer file
TOO_LONG = ""  # answer to a prompt that leaves no room in the judge's context: nothing, so it is not parsed


class Judge:
    """Answers prompts with one judge's settings.

    judge   source, backend (one of BACKENDS), max_new_tokens, dtype, repetition_penalty; in process (OWN_BACKEND)
            batch_size, device, num_beams; by vLLM python (the interpreter that has it) and model_kwargs; by a running
            server its address, server; by both completions_kwargs
    folder  where answers are kept (answers.jsonl), and what a vLLM says (vllm.log); one process at a time

    A context: at its end a server that was started is ended.
    """

    def __init__(self, judge: dict, folder: Path):
        self.judge = judge
        self.backend = judge.get("backend", OWN_BACKEND)
        if self.backend not in BACKENDS:
            hint = f"Use one of {', '.join(BACKENDS)}."
            raise InputError("Unknown judge backend.", value=self.backend, where="judge.backend", hint=hint)
        if judge.get("temperature", 0) != 0:
            raise InputError("Judges answer without sampling.", value=judge["temperature"], where="judge.temperature")
        self.model = model_fingerprint(judge["source"])
        self.asked = 0
        self._settings = json.dumps(
            [self.model, self.backend, {key: judge.get(key) for key in ANSWER_SETTINGS}], sort_keys=True
        )
        self.file = Path(folder) / "answers.jsonl"
        self._answers = _read_answers(self.file)
        self._complete: Callable[[Sequence[str]], list[str]] | None = None
        self._at_end = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._at_end.close()

    def fingerprint(self, prompt: str) -> str:
        """What tells two judges apart: model, settings and the template of its prompt."""
        return self._key(prompt)

    def overridden(self) -> dict[str, dict]:
        """What the judge's folder would have decided, and what was decided: {file: {key: [its value, ours]}}."""
        return overridden_settings(self.judge["source"])

    def answers(self, prompts: Sequence[str], *, readable: Callable[[str], bool]) -> list[str]:
        """The judge's raw text for every prompt, in order.

        readable  whether an answer holds a verdict. Where something is to be asked, the first TRIAL_PROMPTS prompts
                  come first; InputError if too few of their answers are readable (`min_parsed` of the judge)
        """
        wanted = {self._key(prompt): prompt for prompt in prompts}
        if not wanted.keys() <= self._answers.keys():
            trial = dict(list(wanted.items())[:TRIAL_PROMPTS])
            self._ask(trial)
            refuse_unreadable_trial(
                list(trial.values()),
                [self._answers[key] for key in trial],
                readable=readable,
                min_parsed=self.judge.get("min_parsed", 0.0),
                file=self.file,
            )
            self._ask(dict(sorted(wanted.items(), key=lambda pair: pair[1])))  # what begins alike is read together
        return [self._answers[self._key(prompt)] for prompt in prompts]

    def _ask(self, wanted: dict[str, str]) -> None:
        """Ask the prompts, by their keys, that have no answer yet."""
        waiting = [(key, prompt) for key, prompt in wanted.items() if key not in self._answers]
        for start in range(0, len(waiting), CHUNK_PROMPTS):
            chunk = waiting[start : start + CHUNK_PROMPTS]
            if self._complete is None:
                self._complete = self._load()
            texts = self._complete([prompt for _, prompt in chunk])
            self._keep({key: text for (key, _), text in zip(chunk, texts, strict=True)})

    def _load(self) -> Callable[[Sequence[str]], list[str]]:
        if self.backend == OWN_BACKEND:
            return _load_own(self.judge)
        from plw.evaluation.judge_server import ServedJudge, VllmServer  # its client takes as long to import as torch

        if self.backend == SERVER_BACKEND:
            if not self.judge.get("server"):
                hint = "Name the server's address, as http://node17:8000/v1."
                raise InputError(
                    "The judge's backend asks a server, and none is named.", where="judge.server", hint=hint
                )
            key = os.environ.get("OPENAI_API_KEY") or "none"  # a client sends one even where none is asked for
            return ServedJudge(self.judge, address=self.judge["server"], key=key)
        server = VllmServer(self.judge, self.file.parent / "vllm.log")
        self._at_end.callback(server.close)
        return server.wait()

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(f"{self._settings}\0{prompt}".encode()).hexdigest()

    def _keep(self, answers: dict[str, str]) -> None:
        self._answers |= answers
        self.asked += len(answers)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps({"key": key, "text": text}) + "\n" for key, text in answers.items())
        with open(self.file, "a", encoding="utf-8") as stream:
            if self.file.stat().st_size and not _ends_with_newline(self.file):
                stream.write("\n")  # the last write was torn
            stream.write(lines)
            stream.flush()
            os.fsync(stream.fileno())


ANSWER_SETTINGS = (
    "max_new_tokens",
    "dtype",
    "num_beams",
    "repetition_penalty",
    "model_kwargs",
    "completions_kwargs",
)  # what changes an answer beside model and prompt


def _read_answers(file: Path) -> dict[str, str]:
    """Answers kept so far; a line that was torn by an interruption is skipped and asked again."""
    answers = {}
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                answers[row["key"]] = row["text"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
    return answers


def _ends_with_newline(file: Path) -> bool:
    with open(file, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _load_own(judge: dict) -> Callable[[Sequence[str]], list[str]]:
    """Greedy or beam decoding with transformers, many prompts per forward pass."""
    device = choose_device(judge.get("device", "auto"))
    model, tokenizer = load_with_tokenizer(judge["source"], dtype=judge.get("dtype", "float32"), device=device)
    settings = {
        "max_new_tokens": judge["max_new_tokens"],
        "batch_size": judge.get("batch_size", 32),
        "num_beams": judge.get("num_beams", 1),
        "repetition_penalty": judge.get("repetition_penalty", 1.0),
    }

    def complete(prompts: Sequence[str]) -> list[str]:
        encoded = encode_prompts(tokenizer, without_bos(tokenizer, prompts))
        fitting = fits_context(model, tokenizer, encoded, max_new_tokens=settings["max_new_tokens"])
        short = [ids for ids, fits in zip(encoded, fitting, strict=True) if fits]
        texts = iter(generate_texts(model, tokenizer, short, **settings))
        return [next(texts).text if fits else TOO_LONG for fits in fitting]

    return complete

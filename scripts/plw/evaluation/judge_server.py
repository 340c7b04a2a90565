"""A judge behind an OpenAI-compatible address: a server that runs somewhere, or a vLLM that is started for the judging.

vLLM pins a torch and a transformers of its own, so it lives in its own environment (envs/judges.lock.txt) and is only
ever spoken to. Token ids go there and come back: the tokenizer is ours, so that no two versions of it can differ.
"""

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import openai

from plw.data.tokenizers import load_tokenizer, require_end
from plw.errors import InputError
from plw.models.generation import decode_continuation, without_bos
from plw.study.pretrained import pretrained_location

LOOK_SECONDS = 1.0  # between two looks at a server that starts
WAIT_MINUTES = 60.0  # a guess, twice as long as 94 GB of Mixtral take from a disk that gives 50 MB/s
TRIES = 3  # of a request that the server refused or the network lost; one that took too long is not asked again
TRY_SECONDS = 2.0  # before the second try, twice as long before the third
STOP_SECONDS = 30.0  # a server that has not ended by then is killed
LOG_LINES = 15  # of a dead server's log, in the message
PDEATHSIG = 1  # prctl(2)
SERVED_SETTINGS = {"num_beams": 1}  # beam search differs between servers and transformers


class ServedJudge:
    """Asks a judge at an OpenAI-compatible address.

    judge    source, max_new_tokens, repetition_penalty, completions_kwargs (further fields of the request),
             wait_minutes (longest wait for an answer)
    address  as OpenAI's clients take it, with /v1 at its end
    key      sent as bearer token
    direct   leave out the proxies of the environment, which know nothing of this machine's own addresses
    """

    def __init__(self, judge: dict, *, address: str, key: str, direct: bool = False):
        _refuse_unserved(judge)
        self.judge, self.address = judge, address
        self.tokenizer = load_tokenizer(judge["source"])
        require_end(self.tokenizer, judge["source"])
        self._client = openai.OpenAI(
            base_url=address,
            api_key=key,
            timeout=60 * wait_minutes(judge),
            max_retries=0,  # `_complete` tries again
            http_client=openai.DefaultHttpxClient(trust_env=not direct, timeout=60 * wait_minutes(judge)),
        )
        self._model: str | None = None
        self._context: int | None = None

    def find_model(self) -> None:
        """Look for the judge among the models that the server has; InputError if it is not there."""
        name, _ = pretrained_location(self.judge["source"])
        names = {name, self.judge["source"].get("hub", name)}  # converted weights are a folder with a name of its own
        served = list(self._client.models.list())
        for model in served:  # `root` is vLLM's: what a name of one's own stands for
            if names & {model.id, getattr(model, "root", None)}:
                self._model, self._context = model.id, getattr(model, "max_model_len", None)
                return
        raise InputError(
            "The server does not have the judge.",
            value=name,
            where=f"judge.source, asked at {self.address}",
            hint=f"It has {', '.join(model.id for model in served) or 'no model'}. Start it with this model, or let it "
            "serve it by this name (vLLM: --served-model-name).",
        )

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The judge's answers; "" where a prompt leaves no room in its context."""
        try:
            if self._model is None:
                self.find_model()
            encoded = self.tokenizer(without_bos(self.tokenizer, prompts), verbose=False)["input_ids"]
            room = float("inf") if self._context is None else self._context - self.judge["max_new_tokens"]
            fitting = [ids for ids in encoded if len(ids) <= room]
            texts = iter(self._complete(fitting) if fitting else [])
        except openai.APITimeoutError as error:
            raise InputError(
                f"The judge's server did not answer within {wait_minutes(self.judge):g} minutes.",
                value=self.address,
                where="judge.wait_minutes",
                hint="Is it hung, or only slow? Its log tells. If it is slow, give it longer: judges.NAME.wait_minutes."
                " Answers so far are kept.",
            ) from error
        except openai.APIError as error:
            raise InputError(
                f"The judge's server did not answer: {error}",
                value=self.address,
                where="judge.server",
                hint="Is it running, and reachable from this machine? A key is taken from OPENAI_API_KEY.",
            ) from error
        return [next(texts) if len(ids) <= room else "" for ids in encoded]

    def _complete(self, prompts: list[list[int]]) -> list[str]:
        assert self._model is not None  # looked for before
        extra: dict = {
            "return_token_ids": True,  # vLLM's; other servers ignore it and send text alone
            "stop_token_ids": [self.tokenizer.eos_token_id],
            # said also where it is 1: a server that was started without --generation-config vllm takes the folder's
            "repetition_penalty": self.judge.get("repetition_penalty", 1.0),
        }
        request = {
            "model": self._model,
            "prompt": prompts,
            "max_tokens": self.judge["max_new_tokens"],
            "temperature": 0,
            "extra_body": extra | self.judge.get("completions_kwargs", {}),
        }
        choices = sorted(self._ask(request).choices, key=lambda choice: choice.index)
        return [self._text(choice) for choice in choices]

    def _ask(self, request: dict):
        """The server's answer; a lost connection or an error of the server's own is tried again."""
        for attempt in range(1, TRIES):
            try:
                return self._client.completions.create(**request)
            except openai.APITimeoutError:
                raise
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
                time.sleep(TRY_SECONDS * attempt)
        return self._client.completions.create(**request)

    def _text(self, choice) -> str:
        ids = getattr(choice, "token_ids", None)
        return choice.text if ids is None else decode_continuation(self.tokenizer, ids).text


class VllmServer:
    """A vLLM of another interpreter that serves the judge on this machine's own address until it is closed.

    judge  source, python (the interpreter), dtype, model_kwargs (vLLM's engine arguments), wait_minutes
    log    what the server says
    """

    def __init__(self, judge: dict, log: Path):
        _refuse_unserved(judge)
        self.judge, self.log = judge, log
        port, self.key = _free_port(), secrets.token_urlsafe(16)
        self.address = f"http://127.0.0.1:{port}/v1"
        self._process = self._start(port)

    def wait(self) -> Callable[[Sequence[str]], list[str]]:
        """Wait until the server answers; InputError if it ends, or takes longer than `wait_minutes`."""
        served = ServedJudge(self.judge, address=self.address, key=self.key, direct=True)
        started = time.monotonic()
        while True:
            try:
                served.find_model()
                break
            except openai.APIError:
                if self._process.poll() is not None:
                    raise self._dead("ended before it answered") from None
                if time.monotonic() - started > 60 * wait_minutes(self.judge):
                    raise self._dead(
                        f"did not answer within {wait_minutes(self.judge):g} minutes (judges.NAME.wait_minutes)"
                    ) from None
                time.sleep(LOOK_SECONDS)

        def complete(prompts: Sequence[str]) -> list[str]:
            try:
                return served(prompts)
            except InputError as error:
                raise self._dead(f"failed: {error.what}") from error

        return complete

    def close(self) -> None:
        """End the server and all that it started."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # it leads a group of its own, and its workers may have outlived it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _start(self, port: int) -> subprocess.Popen:
        python = Path(self.judge.get("python") or "").absolute()  # not resolved: a link says which environment it is
        if not self.judge.get("python") or not python.is_file():
            raise InputError(
                "There is no such interpreter, and vLLM needs one of its own.",
                value=self.judge.get("python"),
                where="judge.python",
                hint="Make one (python3.11 -m venv .venv-judges; .venv-judges/bin/pip install -r envs/judges.lock.txt) "
                "and name its bin/python, or name a running server: backend: openai_completions, server: URL.",
            )
        name, revision = pretrained_location(self.judge["source"])
        settings = dict(revision) | {"generation_config": "vllm"}  # not the sampling that the model's own folder names
        settings |= {"dtype": self.judge["dtype"]} if "dtype" in self.judge else {}
        settings |= self.judge.get("model_kwargs") or {}
        command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", name]
        command += ["--host", "127.0.0.1", "--port", str(port), *engine_flags(settings)]
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        environment |= {"VLLM_API_KEY": self.key, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as stream:
            return subprocess.Popen(
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def _dead(self, what: str) -> InputError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        tail = "".join(f"\n  | {line}" for line in lines)
        lacking = any("No module named 'vllm'" in line or "No module named vllm" in line for line in lines)
        hint = "Install envs/judges.lock.txt with it." if lacking else f"The whole log: {self.log}"
        return InputError(
            f"The judge's vLLM {what}.{tail}", value=self.judge["python"], where="judge.python", hint=hint
        )


def engine_flags(settings: dict) -> list[str]:
    """vLLM's engine arguments as its command line takes them: {tensor_parallel_size: 4, enforce_eager: true}."""
    flags: list[str] = []
    for key, value in settings.items():
        name = key.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            flags += [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return flags


def wait_minutes(judge: dict) -> float:
    """How long a judge's server may take to start, and for one answer (of up to 256 prompts)."""
    return float(judge.get("wait_minutes", WAIT_MINUTES))


def _refuse_unserved(judge: dict) -> None:
    for key, served in SERVED_SETTINGS.items():
        if judge.get(key, served) != served:
            hint = f"Set {key}: {served}, or use backend: huggingface_local_completions."
            raise InputError("A served judge decodes greedily.", value=judge[key], where=f"judge.{key}", hint=hint)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _end_with_parent() -> None:
    """Runs in the new process: a program that is killed cannot close its server, so the kernel ends it (Linux)."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGTERM)

"""A small OpenAI-compatible completions server over a model folder, for tests of the client and of the server's life.

As a program it takes the place of an interpreter with vLLM: it reads the flags that such a one would be started with.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from plw.data.tokenizers import load_tokenizer
from plw.models.decoding import generate_from_tokens
from plw.models.loading import load_model
from plw.models.memory import BatchMemory


class Handler(BaseHTTPRequestHandler):
    """Answers /v1/models and /v1/completions of its server's model."""

    def do_GET(self):
        card = {"id": self.server.name, "object": "model", "created": 0, "owned_by": "tests"}
        self.reply({"object": "list", "data": [card | {"max_model_len": 1024}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        if self.server.refusals:
            self.server.refusals -= 1
            return self.reply({"error": "busy"}, status=503)
        time.sleep(min(self.server.delay, 20))
        model, tokenizer = self.server.model, self.server.tokenizer
        choices = []
        for index, prompt in enumerate(request["prompt"]):
            row = generate_from_tokens(
                model,
                [prompt],
                pad_id=tokenizer.eos_token_id,
                memory=BatchMemory(model),
                max_new_tokens=request["max_tokens"],
                do_sample=False,
                eos_token_id=request["stop_token_ids"],
                repetition_penalty=request.get("repetition_penalty", 1.0),
            )[0].tolist()
            text = tokenizer.decode(row, skip_special_tokens=True)
            choice = {"index": index, "text": text, "finish_reason": "stop", "logprobs": None}
            choices.append(choice | ({"token_ids": row} if self.server.with_ids else {}))
        answer = {"id": "x", "object": "text_completion", "created": 0, "model": self.server.name}
        return self.reply(answer | {"choices": choices[::-1]})  # the protocol gives each its index, and no order

    def reply(self, content: dict, status: int = 200):
        allowed = self.headers["Authorization"] == f"Bearer {self.server.key}" or self.server.key is None
        body = json.dumps(content if allowed else {"error": "Unauthorized"}).encode()
        self.send_response(status if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


def make_server(folder: str | Path, *, port: int = 0, key: str | None = None, with_ids: bool = True, name: str = "",
                revision: str | None = None, delay: float = 0.0, refusals: int = 0):  # fmt: skip
    """The server of a model folder, or with a revision of a model that the Hub's cache holds; `port` 0: a free one.

    delay     seconds before each answer
    refusals  requests that are answered with 503 before the first that is answered
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    source = {"hub": str(folder), "revision": revision} if revision else {"path": str(folder)}
    server.model, server.tokenizer = load_model(source).eval(), load_tokenizer(source)
    server.name, server.key, server.with_ids, server.requests = name or str(folder), key, with_ids, []
    server.delay, server.refusals = delay, refusals
    return server


@contextmanager
def serving(folder: str | Path, **options) -> Iterator[tuple[str, list[dict]]]:
    """Serve a model folder from a thread; gives the address and the list of requests that came."""
    server = make_server(folder, **options)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server.requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stand_in(folder: Path) -> str:
    """An executable that is started like an interpreter with vLLM and serves by this file."""
    program = folder / "python"
    paths = os.pathsep.join(path for path in sys.path if path)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{paths}" exec "{sys.executable}" "{__file__}" "$@"\n')
    program.chmod(0o755)
    return str(program)


def main() -> None:
    """Serve until ended."""
    flags = argparse.ArgumentParser()
    flags.add_argument("-m", dest="module")
    flags.add_argument("--model")
    flags.add_argument("--host")
    flags.add_argument("--port", type=int)
    flags.add_argument("--revision")
    known, others = flags.parse_known_args()
    print(json.dumps({"pid": os.getpid(), "module": known.module, "host": known.host, "others": others}), flush=True)
    if "--fail" in others:
        raise SystemExit("no room on the device")
    key = os.environ.get("VLLM_API_KEY")
    make_server(known.model, port=known.port, key=key, revision=known.revision).serve_forever()


if __name__ == "__main__":
    main()

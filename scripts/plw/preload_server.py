"""The process that has the libraries loaded and runs programs in children of its own (`plw.preload`)."""

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from plw.environment import FORKED
from plw.huge_pages import collapse
from plw.parent import signal_at_parents_end
from plw.preload import FORWARDED_SIGNALS, MODULE, PATHS, address_of, server_folder

LIBRARIES = (
    "torch",
    "transformers.trainer",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.modeling_auto",
    "deepspeed",  # accelerate imports it where it is installed
    "deepspeed.runtime.zero.muon.muon_optimizer",  # its ZeRO optimisers import this, and with it the compiler: seconds
    "datasets",
    "pandas",
    "jsonschema",  # checks the study's file in each program that reads it
    "lm_eval.evaluator",
    "lm_eval.models.huggingface",
    "lm_eval.tasks.truthfulqa.utils",  # its ROUGE brings nltk
    "alpaca_eval",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
)

IDLE_SECONDS = 180.0  # who edits a style and draws again within it waits for no imports; the server holds 0.7 GB


def serve() -> None:
    """Accept requests until nobody has asked for IDLE_SECONDS and no child runs."""
    folder = server_folder()
    address = Path(folder, "socket")
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with address_of(folder) as place:
        listener.bind(place)
    listener.listen(64)  # clients wait here while the libraries load
    identity = address.stat().st_ino
    gc.disable()  # imports leave many objects and hardly any garbage
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except Exception:  # a library that fails here fails in the program that needs it, or is not needed
            traceback.print_exc()
    if mapping := sys.modules.get("transformers.conversion_mapping"):
        # Made for the first model of a process, of all architectures at once.
        with contextlib.suppress(Exception):
            mapping.get_checkpoint_conversion_mapping("llama")
    for name in [name for name in sys.modules if name == "plw" or name.startswith("plw.")]:
        del sys.modules[name]  # a child loads the project's code anew
    gc.freeze()  # children share the libraries' memory instead of copying it at the first collection
    gc.enable()
    collapse()
    try:
        _Server(listener).loop()
    finally:
        with contextlib.suppress(OSError):
            if address.stat().st_ino == identity:
                address.unlink()


class _Server:
    """The event loop: new clients, signals from clients, ended children."""

    def __init__(self, listener: socket.socket):
        self.listener = listener
        self.children: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, "listener")
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wakeup = read_end
        self.selector.register(read_end, selectors.EVENT_READ, "wakeup")

    def loop(self) -> None:
        while True:
            events = self.selector.select(timeout=IDLE_SECONDS)
            if not events and not self.children:
                return
            for key, _ in events:
                if key.data == "listener":
                    self._accept()
                elif key.data == "wakeup":
                    os.read(self.wakeup, 4096)
                else:
                    assert isinstance(key.fileobj, socket.socket)  # only clients have a number as their data
                    self._hear(key.fileobj, key.data)
            self._reap()

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        try:
            request, descriptors = _receive(connection)
        except (ConnectionError, ValueError):
            connection.close()
            return
        server = os.getpid()
        child = os.fork()
        if child == 0:
            _die_with(server)
            _become(request, descriptors, [self.listener, connection, *self.children.values()])
        for descriptor in descriptors:
            os.close(descriptor)
        self.children[child] = connection
        self.selector.register(connection, selectors.EVENT_READ, child)

    def _hear(self, connection: socket.socket, child: int) -> None:
        """A signal to pass on, or the end of the client, which is the end of its child."""
        try:
            message = connection.recv(1)
        except ConnectionError:
            message = b""
        with contextlib.suppress(ProcessLookupError):
            if message:
                os.kill(child, message[0])
            else:
                os.killpg(child, signal.SIGKILL)
                self.selector.unregister(connection)

    def _reap(self) -> None:
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            connection = self.children.pop(child)
            with contextlib.suppress(KeyError):
                self.selector.unregister(connection)
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):
                connection.sendall(bytes([code if code >= 0 else 128 - code]))
            connection.close()


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    descriptors = array.array("i")
    header, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data)
    payload = b""
    length = int.from_bytes(header, "big")
    while len(payload) < length:
        piece = connection.recv(length - len(payload))
        if not piece:
            raise ConnectionError("the client left")
        payload += piece
    return json.loads(payload), list(descriptors)


def _die_with(server: int) -> None:
    """Let the kernel kill this child when its server dies, as the client then runs the program a second time."""
    signal_at_parents_end(signal.SIGKILL)
    if os.getppid() != server:  # it died before the call
        os._exit(1)


def _become(request: dict, descriptors: list[int], inherited: list[socket.socket]) -> NoReturn:
    """In the child: take the client's place and run its program; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)  # so that the server can end the program together with what it started
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, *FORWARDED_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for item in inherited:
            item.close()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        words = request["words"]
        module = words[0] == MODULE
        paths = [path for path in request["environment"].get(PATHS, "").split(os.pathsep) if path]
        own = os.getcwd() if module else str(Path(words[0]).resolve().parent)
        sys.path[:1] = [own, *paths, request["library"]]
        importlib.import_module("plw.program")  # now, not by the program: its client closed the environment off
        if module:
            os.environ[FORKED] = f"{os.getpid()} {words[1]}"
            sys.argv = words[1:]
            # torchrun asks inspect.stack() again and again who called it. For code that no module has, as this, that
            # looks through thousands of modules (benchmarks/bench_overheads.py), unless its cache has the name.
            files = importlib.import_module("inspect").modulesbyfile
            files |= {os.path.abspath(name): "runpy" for name in ("<frozen runpy>", "<string>", __file__)}
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)

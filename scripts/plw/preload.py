"""Run Python programs from a process that has the libraries already loaded: python -m plw.preload PROGRAM [ARGUMENT …]
or, as Python itself runs a module, python -m plw.preload -m MODULE [ARGUMENT …].

Importing torch, transformers, lm-eval and alpaca_eval costs more time than a small fine-tuning. A server process
imports them once and forks a child for each program; the child loads this project's own code itself, so an edited file
is never stale. The server knows nothing about the programs. It ends by itself when nobody has asked for a while.

It may only save time: where it cannot start, or dies, the program runs plainly. A child dies with its client (the
server kills it when the client's connection closes, so a killed job leaves nothing) and with its server (on Linux).
Inside a Slurm job the program is started plainly: a scheduler ends all processes of a job with it, and the server would
take the other jobs' programs along.
"""

from plw.program import close_off

import array
import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from plw.environment import FORKED, closed
from plw.parent import end_with_launcher, signal_at_parents_end

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
# Variables that libraries read when they are imported: a client with others needs another server.
READ_AT_IMPORT = (
    "HF_", "TRANSFORMERS_", "CUDA_", "IS_ALPACA_EVAL_2", "DS_", "PYTHON", "ATEN_", "MKL_", "DNNL_", "ONEDNN_",
    "PYTORCH_", "TORCH", "MPL", "LD_", "LC_", "NUMBA_", "HOME", "XDG_CACHE_HOME",
)  # fmt: skip
# In the server: a library that made a thread pool before the fork would leave the child a dead one. They are no part of
# what tells servers apart: a client with other numbers of threads must find the server that it started.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# What torchrun sets for its ranks is read when they begin to talk, not at import: they share the others' server.
SET_BY_TORCHRUN = ("TORCH_NCCL_ASYNC_ERROR_HANDLING",)
MODULE = "-m"
IDLE_SECONDS = 180.0  # who edits a style and draws again within it waits for no imports; the server holds 0.7 GB
FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# Where a client finds modules of its own; its child looks there too, so that checkouts share a server.
PATHS = "PYTHONPATH"
# What client and server must have in common: a server of other code is another one.
SHARED_CODE = ("preload.py", "parent.py", "environment.py")
START_SECONDS = 120.0  # imports on a busy machine
ADDRESS_BYTES = 107  # the longest address of a socket (unix(7): 108 with the zero at the end; macOS has 104)


def server_folder() -> Path:
    """Folder of the socket, the lock and the log.

    There is one server for each user, Python environment, set of variables and content of SHARED_CODE.
    """
    free = (*ONE_THREAD, *SET_BY_TORCHRUN, PATHS)
    given = {name: value for name, value in closed(os.environ).items() if name not in free}
    read = sorted((name, value) for name, value in given.items() if name.startswith(READ_AT_IMPORT))
    code = [Path(__file__).with_name(name).read_bytes() for name in SHARED_CODE]
    key = hashlib.sha256(f"{os.getuid()}:{sys.prefix}:{read}".encode() + b"".join(code)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"plw-preload-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder


# ---------------------------------------------------------------------------------------------------- the client


def run(words: list[str]) -> int:
    """Run a program in a child of the server with this process's streams, folder and environment.

    words  the program and its arguments, or -m, a module and its arguments

    Returns its exit status; a program that a signal ended gives 128 + the signal's number, as in a shell. Where no
    server can be had, or it dies, the program takes this process's place instead and this function does not return,
    unless the program had been told to stop by then.
    """
    told: list[int] = []
    try:
        connection = _connect(server_folder())
        request = {
            "words": words,
            "cwd": os.getcwd(),
            "environment": dict(os.environ),
            "library": str(Path(__file__).parents[1]),
        }
        payload = json.dumps(request).encode()
        descriptors = array.array("i", [0, 1, 2])
        connection.sendmsg([len(payload).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        connection.sendall(payload)

        def forward(received: int, _) -> None:
            told.append(received)
            with contextlib.suppress(OSError):  # where the program has ended its answer waits, and must not be lost
                connection.sendall(bytes([received]))

        for number in FORWARDED_SIGNALS:
            signal.signal(number, forward)
        end_with_launcher(os.environ)  # the child's parent is the server: torchrun's death is told by its client
        answer = connection.recv(1)
    except (OSError, ValueError) as error:
        answer, cause = b"", str(error)
    else:
        cause = "it died"
    if answer or told:
        for number in FORWARDED_SIGNALS:  # it is ending: a signal now would take the place of the program's own status
            signal.signal(number, signal.SIG_IGN)
        return answer[0] if answer else 128 + told[0]
    name = words[1] if words[0] == MODULE else Path(words[0]).name
    print(f"No process with preloaded libraries ({cause}): {name} runs without.", file=sys.stderr)
    run_plainly(words)


def run_plainly(words: list[str]) -> NoReturn:
    """Replace this process by the program."""
    sys.stderr.flush()
    for number in FORWARDED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *words])


def _connect(folder: Path) -> socket.socket:
    """Connect to the server; start one if none answers. A lock keeps clients from starting two."""
    with contextlib.suppress(OSError):
        return _dial(folder)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            return _dial(folder)
        server = _start_server(folder)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError):
                return _dial(folder)
            time.sleep(0.05)
    raise TimeoutError(f"it did not start; see {folder / 'log'}")


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The address of a folder's socket: its path or, where that is too long for one, its place below an open folder."""
    path = folder / "socket"
    if len(os.fsencode(path)) <= ADDRESS_BYTES:
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not os.path.samefile(folder, f"/proc/self/fd/{descriptor}"):  # Linux only: elsewhere there is no such file
            raise OSError(f"TMPDIR is too long for a socket: {folder}")
        yield f"/proc/self/fd/{descriptor}/socket"
    finally:
        os.close(descriptor)


def _dial(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _address(folder) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _start_server(folder: Path) -> subprocess.Popen:
    library = str(Path(__file__).parents[1])
    code = f"import sys; sys.path[0] = {library!r}; from plw.preload import serve; serve()"
    with open(folder / "log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name != PATHS} | ONE_THREAD,
            start_new_session=True,
        )


# ---------------------------------------------------------------------------------------------------- the server


def serve() -> None:
    """Accept requests until nobody has asked for IDLE_SECONDS and no child runs."""
    folder = server_folder()
    address = folder / "socket"
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _address(folder) as place:
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


def _become(request: dict, descriptors: list[int], inherited: list[socket.socket]) -> None:
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


if __name__ == "__main__":
    close_off()
    if "SLURM_JOB_ID" in os.environ:
        run_plainly(sys.argv[1:])
    sys.exit(run(sys.argv[1:]))

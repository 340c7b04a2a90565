"""Run Python programs from a process that has the libraries already loaded: python -m plw.preload PROGRAM [ARGUMENT …]
or, as Python itself runs a module, python -m plw.preload -m MODULE [ARGUMENT …].

Importing torch, transformers, lm-eval and alpaca_eval costs more time than a small fine-tuning. A server process
(`plw.preload_server`) imports them once and forks a child for each program; the child loads this project's own code
itself, so an edited file is never stale. The server knows nothing about the programs. It ends by itself when nobody has
asked for a while.

It may only save time: where it cannot start, or dies, the program runs plainly. A child dies with its client (the
server kills it when the client's connection closes, so a killed job leaves nothing) and with its server (on Linux).
Inside a Slurm job the program is started plainly: a scheduler ends all processes of a job with it, and the server would
take the other jobs' programs along.

This is the client, which each job of a study starts: it imports nothing that it can do without.
"""

from plw.program import close_off

import array
import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator

from plw.environment import closed, temporary_folder
from plw.parent import end_with_launcher

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
FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# Where a client finds modules of its own; its child looks there too, so that checkouts share a server.
PATHS = "PYTHONPATH"
PACKAGE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.dirname(PACKAGE)
# What client and server must have in common: a server of other code is another one.
SHARED_CODE = ("preload.py", "parent.py", "environment.py", "huge_pages.py", "preload_server.py")
START_SECONDS = 120.0  # imports on a busy machine
ADDRESS_BYTES = 107  # the longest address of a socket (unix(7): 108 with the zero at the end; macOS has 104)


def server_folder() -> str:
    """Folder of the socket, the lock and the log.

    There is one server for each user, Python environment, set of variables and content of SHARED_CODE.
    """
    free = (*ONE_THREAD, *SET_BY_TORCHRUN, PATHS)
    given = {name: value for name, value in closed(os.environ).items() if name not in free}
    read = sorted((name, value) for name, value in given.items() if name.startswith(READ_AT_IMPORT))
    key = hashlib.sha256(f"{os.getuid()}:{sys.prefix}:{read}".encode())
    for name in SHARED_CODE:
        with open(os.path.join(PACKAGE, name), "rb") as file:
            key.update(file.read())
    folder = os.path.join(temporary_folder(), f"plw-preload-{key.hexdigest()[:12]}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, mode=0o700)
    if os.stat(folder).st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder


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
            "library": LIBRARY,
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
    name = words[1] if words[0] == MODULE else os.path.basename(words[0])
    print(f"No process with preloaded libraries ({cause}): {name} runs without.", file=sys.stderr)
    return run_plainly(words)


def run_plainly(words: list[str]) -> int:
    """Replace this process by the program; never returns."""
    sys.stderr.flush()
    for number in FORWARDED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *words])


def _connect(folder: str) -> socket.socket:
    """Connect to the server; start one if none answers. A lock keeps clients from starting two."""
    with contextlib.suppress(OSError):
        return _dial(folder)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            return _dial(folder)
        return _start_server(folder)


@contextlib.contextmanager
def address_of(folder: str) -> Iterator[str]:
    """The address of a folder's socket: its path or, where that is too long for one, its place below an open folder."""
    path = os.path.join(folder, "socket")
    if len(os.fsencode(path)) <= ADDRESS_BYTES:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not os.path.samefile(folder, f"/proc/self/fd/{descriptor}"):  # Linux only: elsewhere there is no such file
            raise OSError(f"TMPDIR is too long for a socket: {folder}")
        yield f"/proc/self/fd/{descriptor}/socket"
    finally:
        os.close(descriptor)


def _dial(folder: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with address_of(folder) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _start_server(folder: str) -> socket.socket:
    """Start a server in this folder and connect to it as soon as it answers."""
    import subprocess  # which a client needs for nothing else

    code = f"import sys; sys.path[0] = {LIBRARY!r}; from plw.preload_server import serve; serve()"
    log_file = os.path.join(folder, "log")
    with open(log_file, "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name != PATHS} | ONE_THREAD,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            return _dial(folder)
        time.sleep(0.05)
    raise TimeoutError(f"it did not start; see {log_file}")


if __name__ == "__main__":
    close_off()
    if "SLURM_JOB_ID" in os.environ:
        run_plainly(sys.argv[1:])
    sys.exit(run(sys.argv[1:]))

"""Snakemake in a child of a process that has imported it: half of what a dry run takes is imports.

The child has the caller's folder, environment and arguments, and runs the same program. A caller whose environment says
something else that is read at import has another such process. Nothing of plw is imported here, not even
`plw.preload`: children, whose checkouts are copies, would take it for their own.

    python tests/forked_snakemake.py DESCRIPTOR     the server, which ends with the process that started it
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

# The plugins are imported by what Snakemake's registries find, which look anew at every start; the last two by the rule
# files.
MODULES = (
    *("snakemake.cli", "snakemake_executor_plugin_slurm", "snakemake_logger_plugin_rich"),
    *("snakemake.report.html_reporter", "snakemake.profiles", "smart_open", "jsonschema"),
)
READ_AT_IMPORT = ("PYTHON", "LD_", "LC_", "LANG", "HOME", "XDG_", "SNAKEMAKE", "CONDA", "TMPDIR")
PROGRAM = Path(sys.executable).parent / "snakemake"
LARGEST = 200_000  # bytes of a request; the kernel's limit of a message is above it (net.core.wmem_default)
MOST_SERVERS = 2  # the tests' own environment, and another one that a file of tests calls with
_lock = threading.Lock()


def read_at_import(variables: dict) -> dict:
    """Variables that decide when Snakemake is imported."""
    return {name: value for name, value in variables.items() if name.startswith(READ_AT_IMPORT)}


class Server:
    """The process that has Snakemake imported with these variables (`read_at_import`), and the way to it."""

    def __init__(self, read: dict):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(theirs.fileno())]
        variables = {name: value for name, value in os.environ.items() if not name.startswith(READ_AT_IMPORT)}
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=variables | read
        )
        theirs.close()
        atexit.register(self.end)

    def end(self) -> None:
        """It ends when this side is closed."""
        self.control.close()
        self.process.wait(timeout=10)

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        socket.send_fds(self.control, [request], descriptors)


_servers: dict[str, Server] = {}  # by their variables, the one that was asked last at the end


def _server(variables: dict) -> Server:
    """The server for a caller with these variables; one that nobody asked for longest makes room for it."""
    read = read_at_import(variables)
    key = json.dumps(read, sort_keys=True)
    _servers[key] = _servers.pop(key, None) or Server(read)
    while len(_servers) > MOST_SERVERS:
        _servers.pop(next(iter(_servers))).end()
    return _servers[key]


def run(
    arguments: Sequence[str], *, folder: Path, variables: dict, timeout: float
) -> subprocess.CompletedProcess | None:
    """The finished program, as subprocess.run gives it; None where it has to be started plainly."""
    request = json.dumps({"arguments": arguments, "folder": str(folder), "variables": variables}).encode()
    if len(request) > LARGEST:
        return None
    status, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, status, contextlib.ExitStack() as at_end:
        with _lock, theirs:
            _server(variables).ask(request, [out.fileno(), err.fileno(), theirs.fileno()])
        status.settimeout(timeout)
        told = status.makefile("r")
        child = int(told.readline())
        at_end.callback(_end, child)
        try:
            code = told.readline()
        except TimeoutError:
            raise subprocess.TimeoutExpired(["snakemake", *arguments], timeout) from None
        at_end.pop_all()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
        return subprocess.CompletedProcess(["snakemake", *arguments], int(code or -signal.SIGKILL), *texts)


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def serve(control: socket.socket) -> None:
    """Fork a child for each request until the other side is closed."""
    gc.disable()
    for name in MODULES:
        importlib.import_module(name)
    # Its registries list all installed packages, some twenty times at every start, and find the same.
    listed, list_modules = list(pkgutil.iter_modules(sys.path[1:])), pkgutil.iter_modules
    pkgutil.iter_modules = lambda path=None, prefix="": listed if path is None else list_modules(path, prefix)
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children: they tell their status themselves
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, LARGEST + 1, 3)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            _become(json.loads(request), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict, descriptors: list[int]) -> None:
    """Take the caller's place, run the program, and tell its exit status; never returns."""
    *streams, status = descriptors
    code = 1
    try:
        os.setpgid(0, 0)
        os.write(status, f"{os.getpid()}\n".encode())
        os.set_inheritable(status, False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for target, descriptor in zip((1, 2), streams, strict=True):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["variables"])
        sys.argv = [str(PROGRAM), *request["arguments"]]
        sys.path[0] = str(PROGRAM.parent)  # in the place of this file's folder
        runpy.run_path(str(PROGRAM), run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os.write(status, f"{code}\n".encode())
        os._exit(code & 0xFF)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""The preload server: a program behaves as if it had been started alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = [sys.executable, "-m", "plw.preload"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An own server without the heavy libraries, and none left behind."""
    folder = tmp_path_factory.mktemp("preload")
    light = "import plw.preload as p; p.LIBRARIES = ('json',); p.IDLE_SECONDS = 2.0; p.serve()"
    variables = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "scripts")}
    code = f"import tempfile; tempfile.tempdir = {str(folder)!r}; {light}"
    server = subprocess.Popen([sys.executable, "-c", code], env=variables, cwd=folder)
    deadline = time.monotonic() + 20
    while not list(folder.glob("plw-preload-*/socket")) and time.monotonic() < deadline:
        time.sleep(0.05)
    yield variables
    assert server.wait(timeout=20) == 0, "the server ends by itself when nobody asks"


def launch(program: Path, *arguments: str, environment: dict, **options):
    return subprocess.run(
        [*LAUNCHER, str(program), *arguments], env=environment, capture_output=True, text=True, timeout=30, **options
    )


def write(folder: Path, text: str) -> Path:
    program = folder / "program.py"
    program.write_text(text)
    return program


def test_arguments_folder_environment_and_exit_status_are_the_clients(tmp_path, environment):
    program = write(
        tmp_path,
        "import os, sys\nprint(sys.argv[1:], os.getcwd(), os.environ['MARK'])\n"
        "print('e', file=sys.stderr)\nsys.exit(7)",
    )
    done = launch(program, "a b", "c", environment={**environment, "MARK": "here"}, cwd=tmp_path)
    assert done.stdout.split("\n")[0] == f"['a b', 'c'] {tmp_path} here"
    assert done.stderr == "e\n"
    assert done.returncode == 7


def test_an_edited_program_and_its_modules_are_loaded_anew(tmp_path, environment):
    (tmp_path / "part.py").write_text("VALUE = 1")
    program = write(tmp_path, "import part; print(part.VALUE)")
    assert launch(program, environment=environment).stdout == "1\n"
    (tmp_path / "part.py").write_text("VALUE = 20")
    assert launch(program, environment=environment).stdout == "20\n"


def test_an_exception_is_shown_and_fails(tmp_path, environment):
    done = launch(write(tmp_path, "raise ValueError('broken here')"), environment=environment)
    assert done.returncode == 1
    assert "ValueError: broken here" in done.stderr


def test_a_program_dies_with_its_killed_client(tmp_path, environment):
    program = write(tmp_path, "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)")
    client = subprocess.Popen([*LAUNCHER, str(program)], env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    client.kill()
    client.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the program outlived its client")


def test_sigterm_reaches_the_program(tmp_path, environment):
    program = write(
        tmp_path,
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "open('ready', 'w').close()\ntime.sleep(60)",
    )
    client = subprocess.Popen([*LAUNCHER, str(program)], env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.send_signal(signal.SIGTERM)
    assert client.wait(timeout=20) == 9

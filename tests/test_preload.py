"""The preload server: a program behaves as if it had been started alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from plw.preload import ONE_THREAD

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = [sys.executable, "-m", "plw.preload"]


def start_server(folder: Path, idle_seconds: float) -> tuple[subprocess.Popen, dict[str, str]]:
    """A server without the heavy libraries, listening, and the variables of its clients.

    Its time to idle must be longer than any client takes to come on a busy machine, unless its end is what is asked.
    """
    variables = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "scripts")}
    code = f"import plw.preload_server as p; p.LIBRARIES = ('json',); p.IDLE_SECONDS = {idle_seconds}; p.serve()"
    server = subprocess.Popen([sys.executable, "-c", code], env=variables, cwd=folder)
    deadline = time.monotonic() + 20
    while not list(folder.glob("plw-preload-*/socket")) and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return server, variables


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables of clients of a server of their own."""
    server, variables = start_server(tmp_path_factory.mktemp("preload"), idle_seconds=600.0)
    yield variables
    assert server.poll() is None, "it outlives whatever its programs do"
    server.terminate()
    server.wait(timeout=20)


def launch(program: Path, *arguments: str, environment: dict, **options):
    return subprocess.run(
        [*LAUNCHER, str(program), *arguments], env=environment, capture_output=True, text=True, timeout=30, **options
    )


def write(folder: Path, text: str) -> Path:
    program = folder / "program.py"
    program.write_text(text)
    return program


def test_a_client_finds_the_server_that_it_started_whatever_its_threads(tmp_path):
    """The server has one thread in each library; its folder must be the one that its client waits at."""
    code = "from plw.preload import server_folder; print(server_folder())"

    def folder(**changes: str) -> str:
        variables = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "scripts"), **changes}
        return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True).stdout

    asked = folder(OMP_NUM_THREADS="4")
    assert asked and asked == folder(**ONE_THREAD) == folder()


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


def test_a_client_imports_little(tmp_path, environment):
    """Each job of a study starts one: what it imports, beside what Python itself imports, is most of its time."""

    def imported(*words: str) -> set[str]:
        call = [sys.executable, "-X", "importtime", *words]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}

    (tmp_path / "empty.py").write_text("")
    found = imported("-m", "plw.preload", "empty.py") - imported("-m", "empty")
    assert {"plw.preload_server", "plw.environment"} & found == {"plw.environment"}
    assert not {"pathlib", "tempfile", "shutil", "random", "subprocess", "traceback", "typing", "ctypes"} & found


def test_an_edited_program_and_its_modules_are_loaded_anew(tmp_path, environment):
    (tmp_path / "part.py").write_text("VALUE = 1")
    program = write(tmp_path, "import part; print(part.VALUE)")
    assert launch(program, environment=environment).stdout == "1\n"
    (tmp_path / "part.py").write_text("VALUE = 20")
    assert launch(program, environment=environment).stdout == "20\n"


def test_clients_with_other_places_of_modules_share_a_server_and_load_their_own(tmp_path, environment):
    (tmp_path / "at").mkdir()
    program = write(tmp_path / "at", "import os, sys, part; print(part.VALUE, os.getppid(), sys.path[0])")
    found = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.py").write_text(f"VALUE = {name!r}")
        places = f"{tmp_path / name}{os.pathsep}{environment['PYTHONPATH']}"
        found.append(launch(program, environment={**environment, "PYTHONPATH": places}).stdout.split())
    (ours, server, first), (theirs, other, _) = found
    assert (ours, theirs) == ("ours", "theirs") and server == other
    assert first == str(tmp_path / "at"), "a program's own folder comes first, as without the server"


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


def test_a_signal_that_comes_after_the_programs_end_changes_nothing(tmp_path, environment):
    """As torchrun's to ranks that are still here after the first: the program must not run a second time."""
    program = write(
        tmp_path,
        "import os, sys\nopen('starts', 'a').write('x')\nos.kill(int(os.environ['CLIENT']), 19)\n"
        "open('ended', 'w').close()\nsys.exit(75)",
    )
    starter = write_starter(tmp_path, program)
    client = subprocess.Popen([sys.executable, str(starter)], env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # the server has answered and hung up
    client.send_signal(signal.SIGTERM)
    client.send_signal(signal.SIGCONT)
    _, errors = client.communicate(timeout=20)
    assert (client.returncode, (tmp_path / "starts").read_text(), errors) == (75, "x", b"")


def write_starter(folder: Path, program: Path) -> Path:
    """A client whose program knows its process number."""
    starter = folder / "starter.py"
    call = ["plw.preload", str(program)]
    starter.write_text(
        "import os, sys\nos.environ['CLIENT'] = str(os.getpid())\n"
        f"os.execv(sys.executable, [sys.executable, '-m', *{call!r}])"
    )
    return starter


def test_where_no_server_can_be_had_the_program_runs_at_once_without(tmp_path):
    program = write(tmp_path, "import sys; print('ran', sys.argv[1:])")
    variables = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "scripts")}
    code = "import plw.preload as p; print(p.server_folder())"
    folder = Path(
        subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True).stdout[:-1]
    )
    folder.rmdir()
    folder.write_text("no folder")
    started = time.monotonic()
    done = launch(program, "a", environment=variables)
    assert done.stdout == "ran ['a']\n"
    assert "No process with preloaded libraries" in done.stderr
    assert time.monotonic() - started < 15


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reaches a folder by its descriptor")
def test_a_tmpdir_too_long_for_a_socket_has_its_server_too(tmp_path):
    folder = tmp_path / ("t" * 125)
    folder.mkdir()
    server, variables = start_server(folder, idle_seconds=600.0)
    done = launch(write(tmp_path, "import os; print(os.getppid())"), environment=variables)
    assert (int(done.stdout), done.stderr) == (server.pid, "")
    server.terminate()
    server.wait(timeout=20)


def test_a_server_that_nobody_asks_ends_by_itself_and_takes_its_socket_along(tmp_path):
    server, _ = start_server(tmp_path, idle_seconds=0.5)
    assert server.wait(timeout=20) == 0
    assert list(tmp_path.glob("plw-preload-*")) and not list(tmp_path.glob("plw-preload-*/socket"))


def test_when_the_server_dies_its_program_dies_and_runs_once_more_without(tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    server, variables = start_server(folder, idle_seconds=600.0)
    program = write(
        tmp_path,
        "import os, sys, time\nopen('starts', 'a').write(f'{os.getpid()}\\n')\n"
        "time.sleep(60 if len(open('starts').readlines()) == 1 else 0)\nprint('done')",
    )
    client = subprocess.Popen(
        [*LAUNCHER, str(program)],
        env=variables,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "starts").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    server.kill()
    server.wait()
    output, errors = client.communicate(timeout=20)
    assert (output, client.returncode) == ("done\n", 0)
    assert "it died" in errors
    first, second = map(int, (tmp_path / "starts").read_text().split())
    assert second == client.pid
    assert ended(Path(f"/proc/{first}"))


RANK = """
from plw.program import run_program
import os
run_program(lambda: os.write(1, f"{os.environ['RANK']} {os.getppid()}\\n".encode()))
"""


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether the parent is torchrun")


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("in_slurm", [False, True], ids=["here", "in a Slurm job"])
@pytest.mark.parametrize("launcher", [(), ("-m", "plw.preload")], ids=["plain torchrun", "torchrun forked too"])
def test_ranks_of_torchrun_are_forked_from_the_server_but_not_in_a_slurm_job(environment, tmp_path, in_slurm, launcher):
    server = launch(write(tmp_path, "import os; print(os.getppid())"), environment=environment).stdout.strip()
    folder = tmp_path / "scripts/stage"
    folder.mkdir(parents=True)
    call = [sys.executable, *launcher, *TORCHRUN]
    variables = environment | {"PLW_PYTHON": "python -m plw.preload"} | ({"SLURM_JOB_ID": "1"} if in_slurm else {})
    done = subprocess.run(
        [*call, str(write(folder, RANK))], env=variables, capture_output=True, text=True, timeout=60, check=True
    )
    ranks = dict(line.split() for line in done.stdout.splitlines())
    assert sorted(ranks) == ["0", "1"]
    assert [parent == server for parent in ranks.values()] == [not in_slurm] * 2


WAITING_RANK = """
from plw.program import run_program
from plw.parent import end_with_launcher
import os, sys, time

def main():
    end_with_launcher(os.environ)
    open(sys.argv[1] + os.environ["RANK"], "w").write(str(os.getpid()))
    time.sleep(60)

run_program(main)
"""


@pytest.mark.slow
@LINUX
def test_ranks_end_with_the_client_of_a_forked_torchrun(environment, tmp_path):
    folder = tmp_path / "scripts/stage"
    folder.mkdir(parents=True)
    program = str(write(folder, WAITING_RANK))
    call = [sys.executable, "-m", "plw.preload", *TORCHRUN, program, str(tmp_path / "rank")]
    client = subprocess.Popen(call, env=environment | {"PLW_PYTHON": "python -m plw.preload"})
    files = [tmp_path / f"rank{number}" for number in (0, 1)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    ranks = [Path(f"/proc/{file.read_text()}") for file in files]
    client.kill()
    client.wait()
    wait_until(lambda: all(ended(rank) for rank in ranks))


def ended(process: Path) -> bool:
    """Dead for good, or dead and not yet collected."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(true, seconds: float = 60):
    """Until `true()` holds; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_module_runs_as_python_itself_runs_it(environment, tmp_path):
    (tmp_path / "shown.py").write_text("import sys\nprint(__name__, sys.argv, sys.path[0])\n")
    call = [sys.executable, "-m", "plw.preload", "-m", "shown", "a b"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"__main__ {[str(tmp_path / 'shown.py'), 'a b']} {tmp_path}\n", done.stderr


def test_a_module_that_asks_who_called_it_is_told_without_a_search_through_all_modules(environment, tmp_path):
    """As torchrun does, whose process has thousands of them."""
    (tmp_path / "asking.py").write_text(
        "import inspect, sys\n"
        "inspect.stack()\n"  # fills the cache with the files that there are
        "looked_at, known = [], inspect.ismodule\n"
        "inspect.ismodule = lambda item: looked_at.append(item) or known(item)\n"
        "inspect.stack()\n"
        "print(0 < len(looked_at) < len(sys.modules))\n"
    )
    call = [sys.executable, "-m", "plw.preload", "-m", "asking"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr

"""The first import of every program: closes the shell's environment off before any library reads it.

Variables that Python or a thread pool reads when a process starts need a new start: then this process replaces itself,
with the same arguments and process number. In the workflow nothing is left to do, as its shells are closed already.
There, a rank that torchrun started joins the process that has the libraries loaded (`plw.preload`), if programs do.
"""

import gc
import os
import sys
from collections.abc import Callable

from plw.environment import closed, home_writable, started_by_torchrun, threads_asked
from plw.errors import InputError, InputErrors


def close_off() -> None:
    """Run on in the closed environment: at once where it is that already, else in the place of this process."""
    environment = closed(
        os.environ,
        threads=threads_asked(sys.argv),
        torchrun=started_by_torchrun(os.environ, os.getppid()),
        home=home_writable(os.environ),
    )
    if environment != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def join_preloaded() -> None:
    """Run a rank that torchrun started in the preloaded process, where the variable PLW_PYTHON says that programs do.

    torchrun starts Python by itself, so the workflow cannot name another interpreter for its ranks.
    """
    if os.environ.get("PLW_PYTHON", "").endswith("plw.preload") and started_by_torchrun(os.environ, os.getppid()):
        os.environ["PLW_PYTHON"] = "python"  # it stays a rank of torchrun, and would come here again
        os.execv(sys.executable, [sys.executable, "-m", "plw.preload", *sys.argv])


def _is_program() -> bool:
    """Whether this process runs a program of a checkout (scripts/STAGE/…), and not a test or somebody's own code."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        return False
    stage = os.path.dirname(os.path.realpath(file))
    return os.path.basename(os.path.dirname(stage)) == "scripts"


def run_program(main: Callable[[], None]) -> None:
    """Run `main`; an input error becomes one message on standard error and exit status 1, without a traceback.

    So does a file or folder that the command line names and that is not there, or may not be read or written.
    """
    gc.freeze()  # what was imported stays to the end: no collection needs to look through it
    gc.enable()
    try:
        main()
    except (InputError, InputErrors) as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None or not any(str(error.filename) in argument for argument in sys.argv[1:]):
            raise  # a file that nobody named: a fault of ours
        print(
            f"Error: {InputError('A file cannot be used.', value=error.filename, hint=error.strerror)}", file=sys.stderr
        )
        raise SystemExit(1) from None


if _is_program():
    close_off()
    join_preloaded()
    gc.disable()  # while libraries are imported, which leaves many objects and hardly any garbage

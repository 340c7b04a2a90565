"""What becomes of a process when its parent dies. Linux alone tells it by a signal; elsewhere these do nothing."""

import os
import signal
import sys
from collections.abc import Mapping

from plw.environment import started_by_torchrun

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def signal_at_parents_end(number: int) -> None:
    """Let the kernel send this signal to this process when its parent dies."""
    if sys.platform == "linux":
        import ctypes  # which few programs need

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def end_with_launcher(environment: Mapping[str, str]) -> None:
    """Let the kernel send SIGTERM to a rank whose torchrun dies: killed with -9, it cannot end its ranks itself.

    They then save a checkpoint and stop, instead of training on unseen.
    """
    if started_by_torchrun(environment, os.getppid()):
        signal_at_parents_end(signal.SIGTERM)

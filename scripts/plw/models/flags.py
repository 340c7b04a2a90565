"""Flags that programs with a model share."""

import argparse
import os

import torch


def thread_flag(flags: argparse.ArgumentParser) -> None:
    """How many threads this process may use; `use_threads` does it."""
    flags.add_argument("--threads", type=int, help="CPU threads of a process; default: torch's own choice")


def use_threads(threads: int | None) -> None:
    """Bound the threads of this process. Must come before the first tensor operation."""
    if threads:
        torch.set_num_threads(threads)
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # the tokenizers library

"""Work through a packed study on a borrowed machine: train, measure, answer, run by run, until the time is over.

    PYTHONPATH=scripts python3 scripts/mechanism/run_packed.py --inputs DIR --results DIR --work DIR --minutes 9.5

The same call goes on where it stopped. Exit status 75 while runs are left.
"""

from plw.program import run_program

import argparse
import time
from pathlib import Path

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def share_argument(text: str) -> tuple[int, int]:
    """K/N, counted from 1."""
    first, _, step = text.partition("/")
    if not (first.isdecimal() and step.isdecimal() and 1 <= int(first) <= int(step)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K/N with 1 ≤ K ≤ N, such as 2/4")
    return int(first), int(step)


def main(argv: list[str] | None = None) -> None:
    """Do what fits into the time."""
    started = time.monotonic()
    from plw.mechanism.borrowed import run_packed  # loads torch and transformers: the limit counts from the call
    from plw.models.flags import thread_flag, use_threads

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", required=True, type=Path, help="folder that pack_runs.py wrote")
    parser.add_argument("--results", required=True, type=Path, help="folder of a few files, to be brought back")
    parser.add_argument("--work", required=True, type=Path, help="folder for models and checkpoints, some 5 GB")
    parser.add_argument("--minutes", required=True, type=float, help="stop before so many minutes from the start")
    parser.add_argument("--share", type=share_argument, default=(1, 1), metavar="K/N", help="every N-th run from the "
                        "K-th on: N processes share the device, each with --results and --work of its own")  # fmt: skip
    thread_flag(parser)
    arguments = parser.parse_args(argv)
    use_threads(arguments.threads)
    progress = run_packed(
        arguments.inputs.resolve(),
        arguments.results.resolve(),
        arguments.work.resolve(),
        seconds=60 * arguments.minutes - (time.monotonic() - started),
        share=arguments.share,
        threads=arguments.threads,
        say=say,
    )
    if progress["left"]:
        raise SystemExit(TRY_AGAIN)


if __name__ == "__main__":
    run_program(main)

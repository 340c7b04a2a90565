"""Try what §4.1 says of the loss, with this code on this machine: PLW 0 is masking, PLW 1 is the plain loss."""

from plw.program import run_program

import argparse

from plw.files import write_json
from plw.training.identities import largest_differences


def main(argv: list[str] | None = None) -> None:
    """Write the largest differences from PyTorch's own cross-entropy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="written: loss_identities.json")
    write_json(parser.parse_args(argv).out, largest_differences())


if __name__ == "__main__":
    run_program(main)

"""Flags that all programs of figures share."""

import argparse
import json


def figure_flags(flags: argparse.ArgumentParser) -> None:
    """How a figure looks and the three files that it becomes."""
    flags.add_argument("--style", type=json.loads, default={}, help="changes to plw.figures.style.STYLE as JSON")
    flags.add_argument("--pdf", required=True, help="written")
    flags.add_argument("--png", required=True, help="written")
    flags.add_argument("--csv", required=True, help="written: the numbers that are drawn")

"""Saving figures so that the same data gives the same bytes."""

import os

import matplotlib
from matplotlib.figure import Figure

from plw.files import atomic_path


def drawing(style: dict):
    """Context in which only matplotlib's own defaults and the study's style count, not a user's matplotlibrc."""
    own = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in ("backend", "interactive")}
    return matplotlib.rc_context({**own, **style["matplotlib"]})


def save_figure(figure: Figure, *, pdf: str | os.PathLike, png: str | os.PathLike, style: dict) -> None:
    """Write a figure as PDF and PNG, atomically, without dates or program versions in the files.

    Its panels are laid out once, for both, and stay where they are: matplotlib would lay them out and draw them without
    ink before each file (`benchmarks/bench_overheads.py`).
    """
    with drawing(style):
        figure.dpi = style["dots_per_inch"]  # text has its width from it
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine("none")
        with atomic_path(pdf) as temporary:
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=style["dots_per_inch"], metadata={"Software": None})

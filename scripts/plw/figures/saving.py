"""Saving figures so that the same data gives the same bytes."""

import os

from matplotlib import rc_context
from matplotlib.figure import Figure

from plw.files import atomic_path


def save_figure(figure: Figure, *, pdf: str | os.PathLike, png: str | os.PathLike, style: dict) -> None:
    """Write a figure as PDF and PNG, atomically, without dates or program versions in the files."""
    with rc_context(style["matplotlib"]):
        with atomic_path(pdf) as temporary:
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=style["dots_per_inch"], metadata={"Software": None})

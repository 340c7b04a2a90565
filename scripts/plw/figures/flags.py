"""Flags that programs of figures share, and the files that they name."""

import argparse
import json

import pandas as pd
from matplotlib.figure import Figure

from plw.figures.fonts import labels_of, with_fonts
from plw.figures.saving import save_figure
from plw.figures.style import style_with
from plw.files import write_text
from plw.scores.flags import design_flags, score_flags


def figure_flags(flags: argparse.ArgumentParser) -> None:
    """How a figure looks and the three files that it becomes."""
    flags.add_argument("--style", type=json.loads, default={}, help="changes to plw.figures.style.STYLE as JSON")
    flags.add_argument("--pdf", required=True, help="written")
    flags.add_argument("--png", required=True, help="written")
    flags.add_argument("--csv", required=True, help="written: the numbers that are drawn")


def score_figure_flags(about: str | None, *, experiment: str = "main") -> argparse.ArgumentParser:
    """The command line of a figure that is drawn from the scores of one experiment."""
    flags = argparse.ArgumentParser(description=about)
    score_flags(flags, experiment=experiment)
    design_flags(flags)
    figure_flags(flags)
    return flags


def figure_style(arguments: argparse.Namespace, *texts: object) -> dict:
    """The style that --style changes, with fonts for all labels that the flags name and for `texts` from files."""
    entries = [getattr(arguments, name, []) for name in ("datasets", "ptlms", "benchmarks")]
    return with_fonts(style_with(arguments.style), [labels_of(entry) for part in entries for entry in part], *texts)


def write_figure(figure: Figure, data: pd.DataFrame, style: dict, arguments: argparse.Namespace) -> None:
    """The figure as PDF and PNG, and what it draws as CSV."""
    save_figure(figure, pdf=arguments.pdf, png=arguments.png, style=style)
    write_text(arguments.csv, data.to_csv(index=False))

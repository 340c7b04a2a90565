"""How figures look: one dictionary that a study may change, and the rule that gives a data set its colour.

The same data set has the same colour on every figure and in every study: colours go by the data set of the
paper that ours stands for. Nothing is drawn here.
"""

import copy
from collections.abc import Sequence
from typing import Any

from plw.errors import InputError

# Okabe and Ito's palette, which people with any common colour vision can tell apart, with a darker yellow.
STYLE: dict[str, Any] = {
    "colours": {
        "AlpacaData": "#0072B2",
        "AlpacaDataCleaned": "#E69F00",
        "AlpacaDataShort": "#009E73",
        "UltraFeedback": "#56B4E9",
        "UltraFeedbackShort": "#D55E00",
        "DatabricksDolly": "#CC79A7",
        "DatabricksDollyShort": "#000000",
        "AlpacaDataMedium": "#B09B00",
        "AlpacaDataTiny": "#7A7A7A",
    },
    "other_colours": ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B09B00", "#000000"],
    "markers": ["o", "^", "s", "D", "v", "P"],  # one per ptlm, in the study's order
    "lines": ["--", ":", "-.", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1))],  # one per ptlm; means are solid
    "sizes": {  # width and height in inches
        "figure_1": [11.0, 3.3],
        "figure_2": [9.6, 8.8],
        "figure_3": [8.6, 3.6],
        "benchmark_panel": [2.9, 2.75],  # one panel of Figures 5 to 7
        "figure_8": [11.0, 7.6],
        "figure_9": [11.0, 7.6],
        "figure_10": [11.0, 4.1],
    },
    "dots_per_inch": 200,
    "matplotlib": {
        "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
        "font.size": 8.5,
        "axes.titlesize": 9.0,
        "axes.labelsize": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.8,
        "lines.markersize": 3.8,
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "pdf.fonttype": 42,  # text stays text
        "text.parse_math": False,  # what people write is drawn as written; our own formulas ask for it
        "svg.hashsalt": "plw",
    },
}


def style_with(changes: dict | None) -> dict:
    """STYLE with a study's changes; mappings merge key by key, lists and values replace.

    Raises InputError for a key that STYLE lacks; keys below `colours`, `sizes` and `matplotlib` are free.
    """
    style = copy.deepcopy(STYLE)
    for key, value in (changes or {}).items():
        if key not in STYLE:
            raise InputError("Unknown key of the figure style.", value=key, hint=f"Known keys: {', '.join(STYLE)}")
        if isinstance(STYLE[key], dict):
            if not isinstance(value, dict):
                raise InputError("This key of the figure style holds a mapping.", value=value, where=key)
            style[key].update(value)
        else:
            style[key] = value
    return style


def dataset_colours(datasets: Sequence[dict], style: dict) -> dict[str, str]:
    """Colour of each data set: set for its own name, else for what it stands for, else the next free one.

    datasets  entries with `name` and perhaps `stands_for`, in the study's order
    """
    known = style["colours"]
    chosen = {entry["name"]: known.get(entry["name"], known.get(entry.get("stands_for") or "")) for entry in datasets}
    free = [colour for colour in style["other_colours"] if colour not in chosen.values()] or style["other_colours"]
    others = [name for name, colour in chosen.items() if colour is None]
    return {**chosen, **{name: free[index % len(free)] for index, name in enumerate(others)}}

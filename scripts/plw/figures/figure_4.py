"""Figure 4: two examples of prompt inversion, with the word-based R_g before and after.

The texts are our own; their numbers of words are those of the paper's examples (instruction, input, output:
7, 0, 34 and 8, 2, 34), so the ratios are the paper's. Colour marks where a piece of text comes from: each
field of the original instance keeps its colour in the modified one, and words that inversion adds are grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from plw.data.instances import Instance
from plw.data.inversion import INSTRUCTION_WITH_INPUT, invert_instance
from plw.data.ratios import count_words, field_lengths, ratio_of_means
from plw.figures.saving import drawing

ANSWER = (
    "{city} has been the capital of {country} {since}, when the government moved there from another town. "
    "I cannot look up who governs it today, but any recent encyclopedia will tell you."
)
EXAMPLES = (
    Instance(
        "Which city is the capital of Australia?",
        "",
        ANSWER.format(city="Canberra", country="Australia", since="since the year 1927"),
        source_row=0,
    ),
    Instance(
        "Which city is the capital of that country?",
        "New Zealand",
        ANSWER.format(city="Wellington", country="New Zealand", since="since about 1865"),
        source_row=1,
    ),
)

# Okabe and Ito's palette: distinguishable with any colour vision, and dark enough for text on white.
COLOURS = {"instruction": "#0072B2", "input": "#A6432A", "output": "#00694B", "added": "#5A5A5A"}
LABEL_COLOUR = "#1A1A1A"
COLUMN_CHARACTERS = 54
FONT_POINTS = 9.0
LINE_INCHES = FONT_POINTS * 1.45 / 72
CHARACTER_INCHES = FONT_POINTS * 0.602 / 72  # advance of DejaVu Sans Mono, matplotlib's own monospaced font
MARGIN_INCHES = 0.18
GAP_INCHES = 0.30  # between the two columns, and between the examples

Run = tuple[str, str]  # text, key of COLOURS


@dataclass(frozen=True)
class Panel:
    """One instance as drawn: its fields as coloured runs, and its ratio in words."""

    title: str
    fields: dict[str, list[Run]]
    ratio: str


def ratio_in_words(instance: Instance) -> tuple[int, int, int, float | None]:
    """Words of instruction, input and output, and R_g."""
    lengths = field_lengths([instance], count_words)
    return lengths.instruction[0], lengths.input[0], lengths.output[0], ratio_of_means(lengths)


def example_rows(examples: Sequence[Instance] = EXAMPLES) -> list[dict]:
    """The figure's data: one row per example and form."""
    rows = []
    for number, original in enumerate(examples, start=1):
        for form, instance in (("original", original), ("modified", invert_instance(original))):
            instruction, input_words, output, ratio = ratio_in_words(instance)
            rows.append(
                {
                    "example": number,
                    "form": form,
                    "instruction": instance.instruction,
                    "input": instance.input,
                    "output": instance.output,
                    "instruction_words": instruction,
                    "input_words": input_words,
                    "output_words": output,
                    "r_g": ratio,
                }
            )
    return rows


def panels_of(original: Instance) -> tuple[Panel, Panel]:
    """The original and the modified instance with the origin of every piece of text."""
    modified = invert_instance(original)
    added = modified.instruction.removesuffix(original.input)
    if original.input:
        assert added == INSTRUCTION_WITH_INPUT.replace("{input}", "")
    before = {name: [(getattr(original, name), name)] for name in ("instruction", "input", "output")}
    after = {
        "instruction": [(added, "added"), (original.input, "input")],
        "input": [(original.output, "output")],
        "output": [(original.instruction, "instruction")],
    }
    return (
        Panel("Original instance", before, _ratio_text(original)),
        Panel("Modified instance", after, _ratio_text(modified)),
    )


def _ratio_text(instance: Instance) -> str:
    instruction, input_words, output, ratio = ratio_in_words(instance)
    return f"$R_g$ = {output} / ({instruction} + {input_words}) = {ratio:.3f} (words)"


def lay_out(label: str, runs: Sequence[Run], width: int) -> list[list[tuple[int, str, str]]]:
    """Break `label: "runs"` into lines of at most `width` characters.

    Returns lines of (column, text, colour key); the label has the key "label"; later lines are indented.
    """
    words = [(word, key) for text, key in runs for word in text.split()]
    lines, column = [[(0, f"{label}:", "label")]], len(label) + 2
    line = lines[0]
    opening = '"'
    for index, (word, key) in enumerate(words):
        closing = '"' if index == len(words) - 1 else ""
        piece = f"{opening}{word}{closing}"
        if column + len(piece) > width and column > 2:
            line, column = [], 2
            lines.append(line)
        line.append((column, piece, key))
        column += len(piece) + 1
        opening = ""
    if not words:
        line.append((column, '""', "added"))
    return lines


def draw_examples(style: dict, examples: Sequence[Instance] = EXAMPLES) -> Figure:
    """The figure: one row of panels per example, original on the left, modified on the right."""
    with drawing(style):
        return _page(examples)


def _page(examples: Sequence[Instance]) -> Figure:
    rows = [panels_of(example) for example in examples]
    heights = [max(_panel_lines(panel) for panel in row) for row in rows]
    panel_width = COLUMN_CHARACTERS * CHARACTER_INCHES + 2 * MARGIN_INCHES
    width = 2 * panel_width + GAP_INCHES + 2 * MARGIN_INCHES
    panel_heights = [lines * LINE_INCHES + 2 * MARGIN_INCHES for lines in heights]
    legend_height = 0.3
    height = sum(panel_heights) + GAP_INCHES * (len(rows) - 1) + 2 * MARGIN_INCHES + legend_height
    figure = Figure(figsize=(width, height))
    top = height - MARGIN_INCHES
    for row, panel_height in zip(rows, panel_heights, strict=True):
        for column, panel in enumerate(row):
            left = MARGIN_INCHES + column * (panel_width + GAP_INCHES)
            _draw_panel(figure, panel, left, top, panel_width, panel_height)
        _draw_arrow(figure, MARGIN_INCHES + panel_width, top - panel_height / 2)
        top -= panel_height + GAP_INCHES
    _draw_legend(figure, MARGIN_INCHES, legend_height * 0.55)
    return figure


def _panel_lines(panel: Panel) -> int:
    fields = sum(len(lay_out(name, runs, COLUMN_CHARACTERS)) for name, runs in panel.fields.items())
    return fields + 3  # title, an empty line, the ratio


def _draw_panel(figure: Figure, panel: Panel, left: float, top: float, width: float, height: float) -> None:
    page_width, page_height = figure.get_size_inches()
    axes = figure.add_axes((left / page_width, (top - height) / page_height, width / page_width, height / page_height))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.spines[:].set(color="#B8B8B8", linewidth=0.8, visible=True)
    y = MARGIN_INCHES + LINE_INCHES / 2
    style: dict[str, Any] = {"fontsize": FONT_POINTS, "va": "center"}
    axes.text(MARGIN_INCHES, y, panel.title, fontweight="bold", color=LABEL_COLOUR, **style)
    for name, runs in panel.fields.items():
        for line in lay_out(name, runs, COLUMN_CHARACTERS):
            y += LINE_INCHES
            for column, text, key in line:
                weight, colour = ("bold", LABEL_COLOUR) if key == "label" else ("normal", COLOURS[key])
                x = MARGIN_INCHES + column * CHARACTER_INCHES
                axes.text(x, y, text, family="DejaVu Sans Mono", fontweight=weight, color=colour, **style)
    below = height - MARGIN_INCHES - LINE_INCHES / 2
    axes.text(width - MARGIN_INCHES, below, panel.ratio, ha="right", parse_math=True, **style)


def _draw_arrow(figure: Figure, left: float, y: float) -> None:
    page_width, page_height = figure.get_size_inches()
    figure.text(
        (left + GAP_INCHES / 2) / page_width,
        y / page_height,
        "→",
        ha="center",
        va="center",
        fontsize=14,
        color=LABEL_COLOUR,
    )


def _draw_legend(figure: Figure, left: float, y: float) -> None:
    page_width, page_height = figure.get_size_inches()
    names = {
        "instruction": "original instruction",
        "input": "original input",
        "output": "original output",
        "added": "added by inversion",
    }
    for index, (key, name) in enumerate(names.items()):
        x = left + index * 1.75
        figure.text(
            x / page_width,
            y / page_height,
            f"■ {name}",
            color=COLOURS[key],
            fontsize=FONT_POINTS,
            va="center",
        )

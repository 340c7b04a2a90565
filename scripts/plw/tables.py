"""Tables as one model that is written as CSV (numbers), Markdown and LaTeX (as the paper prints them).

A row is a flat dictionary of values. The CSV holds the values themselves; the other two show what
`Column.show` makes of a row. Rows named in `bold` stand in bold. The paper's tables are built in
table_1.py to table_3.py.
"""

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "−": "$-$", "–": "--", "→": r"$\rightarrow$", "†": r"\textsuperscript{\dag}", "×": r"$\times$",
    "²": r"\textsuperscript{2}", "λ": r"$\lambda$", "§": r"\S{}", "χ": r"$\chi$", "α": r"$\alpha$",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column.

    label  heading in Markdown; latex: heading in LaTeX (the escaped label if empty)
    show   text of a row's cell
    keys   the row's values that stand in the CSV for this column
    bold   this cell is bold in a bold row
    """

    label: str
    show: Callable[[dict], str]
    keys: tuple[str, ...]
    latex: str = ""
    right: bool = True
    bold: bool = False


@dataclass(frozen=True)
class Table:
    """A table: title, columns, rows of values, places of the bold rows, and notes below it."""

    title: str
    columns: tuple[Column, ...]
    rows: list[dict]
    bold: frozenset[int] = frozenset()
    notes: list[str] = field(default_factory=list)


def shown(value: object, form: str = "{}") -> str:
    """Text of a value; a dash for None and numbers that are not finite; a true minus sign."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return form.format(value).replace("-", "−") if isinstance(value, int | float) else form.format(value)


def shown_p(value: float | str | None) -> str:
    """A p-value as Table 3 prints it: three significant digits, "<0.001" below that. Printed text is kept."""
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3g}"


def latex_text(text: str) -> str:
    """`text` with LaTeX's special characters and the symbols that the tables use made safe."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in text)


def to_csv(table: Table) -> str:
    """The values of the table; an absent value is an empty cell."""
    keys = [key for column in table.columns for key in column.keys]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow({key: "" if row.get(key) is None else row[key] for key in keys})
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """The table as GitHub Markdown with its title and notes."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [f"**{table.title}**", "", line([column.label for column in table.columns])]
    lines.append("|" + "|".join("---:" if column.right else ":---" for column in table.columns) + "|")
    for index, row in enumerate(table.rows):
        cells = [column.show(row) for column in table.columns]
        if index in table.bold:
            cells = [f"**{c}**" if column.bold else c for c, column in zip(cells, table.columns, strict=True)]
        lines.append(line(cells))
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def to_latex(table: Table) -> str:
    """The table as a LaTeX `table` environment; needs the package booktabs."""
    rows = []
    for index, row in enumerate(table.rows):
        cells = [latex_text(column.show(row)) for column in table.columns]
        if index in table.bold:
            cells = [f"\\textbf{{{c}}}" if column.bold else c for c, column in zip(cells, table.columns, strict=True)]
        rows.append("    " + " & ".join(cells) + r" \\")
    heads = [column.latex or latex_text(column.label) for column in table.columns]
    notes = [f"  \\par\\smallskip\\footnotesize {latex_text(re.sub(r'[*`]', '', note))}" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering\small",
            f"  \\begin{{tabular}}{{{''.join('r' if column.right else 'l' for column in table.columns)}}}",
            r"    \toprule",
            "    " + " & ".join(heads) + r" \\",
            r"    \midrule",
            *rows,
            r"    \bottomrule",
            r"  \end{tabular}",
            f"  \\caption{{{latex_text(table.title)}}}",
            *notes,
            r"\end{table}",
            "",
        ]
    )

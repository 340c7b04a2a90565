"""Tables as one model that is written as CSV (numbers), Markdown and LaTeX (as the paper prints them).

A row is a flat dictionary of values. The CSV holds the values themselves; the other two show what
`Column.show` makes of a row. Rows named in `bold` stand in bold, or single cells by `bold_cells`. The paper's
tables are built in table_1.py to table_6.py.
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
    """A table: title, columns, rows of values, places of the bold rows, and notes below it.

    bold_cells  further bold cells, each as its row's place and its column's label
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[dict]
    bold: frozenset[int] = frozenset()
    notes: list[str] = field(default_factory=list)
    bold_cells: frozenset[tuple[int, str]] = frozenset()

    def cells(self, index: int, text: Callable[[str], str], bold: str) -> list[str]:
        """A row's cells, each through `text`, the bold ones in the template `bold` (with one {})."""
        # A label may have several lines; a cell has one.
        found = [text(column.show(self.rows[index]).replace("\n", " ")) for column in self.columns]
        for place, column in enumerate(self.columns):
            if (index in self.bold and column.bold) or (index, column.label) in self.bold_cells:
                found[place] = bold.format(found[place])
        return found


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


# Significant digits of numbers in CSV. glmmTMB's sums depend on where memory lies, so fits of the same scores differ
# from call to call in the twelfth digit (seen with three seeds); its optimiser stops earlier than that.
DIGITS = 8


def to_csv(table: Table) -> str:
    """The values of the table, to DIGITS significant digits; an absent value is an empty cell."""

    def cell(value: object) -> object:
        if isinstance(value, float) and abs(value) < 10**DIGITS:
            return float(f"{value:.{DIGITS}g}")
        return "" if value is None else value

    keys = [key for column in table.columns for key in column.keys]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow({key: cell(row.get(key)) for key in keys})
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """The table as GitHub Markdown with its title and notes."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [f"**{table.title}**", "", line([column.label for column in table.columns])]
    lines.append("|" + "|".join("---:" if column.right else ":---" for column in table.columns) + "|")
    lines += [line(table.cells(index, str, "**{}**")) for index in range(len(table.rows))]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def to_latex(table: Table) -> str:
    """The table as a LaTeX `table` environment; needs the package booktabs."""
    cells = [table.cells(index, latex_text, r"\textbf{{{}}}") for index in range(len(table.rows))]
    rows = ["    " + " & ".join(row) + r" \\" for row in cells]
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

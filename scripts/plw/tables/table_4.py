"""Table 4: the best aggregate of each regularizer on short-completion data, beside the paper's (§6.1)."""

from collections.abc import Sequence

import pandas as pd

from plw.scores.regularizer_comparison import NONE, PLW, arm_label, best_settings
from plw.tables.table import Column, Table, shown

SHOWN = {"simple": "Simple", "relative": "Relative"}
NOTE = (
    "Ours: the largest value over the settings of a regularizer (strength × PLW 0 and 1) or, for PLW, over fractional "
    "PLWs; means of the benchmarks of groups I and II. Relative: min-max within each benchmark over all runs of the "
    "table. In bold: the largest of a PTLM's rows; in the paper's rows what the paper has in bold. The largest of more "
    "settings is larger by chance alone: compare the means over settings, and what is expected of the best at an equal "
    "budget (as many settings, drawn at random, as the PTLM's arm with the fewest has). None, plain fine-tuning, is "
    "what every regularizer has to beat."
)


def _printed(row: dict, numbers: dict) -> dict | None:
    values = numbers["rows"].get(row["stands_for"], {}).get(row["arm"])
    if values is None:
        return None
    return {"ptlm": row["ptlm"], "ptlm_label": row["stands_for"], "arm": row["arm"], "source": "paper", **values}


def _bold_cells(rows: list[dict], numbers: dict) -> frozenset[tuple[int, str]]:
    """Largest values of each ptlm's own rows; what the paper prints in bold."""
    cells = set()
    for measure, label in SHOWN.items():
        for ptlm in dict.fromkeys(row["ptlm"] for row in rows):
            own = [row[measure] for row in rows if (row["ptlm"], row["source"]) == (ptlm, "ours")]
            best = max((value for value in own if value is not None), default=None)
            cells |= {
                (index, label)
                for index, row in enumerate(rows)
                if (row["ptlm"], row["source"]) == (ptlm, "ours") and best is not None and row[measure] == best
            }
        cells |= {
            (index, label)
            for index, row in enumerate(rows)
            if row["source"] == "paper" and numbers["bold"].get(row["ptlm_label"], {}).get(measure) == row["arm"]
        }
    return frozenset(cells)


def slips(numbers: dict) -> list[str]:
    """Columns of the paper's table whose bold number is not the largest one, in words."""
    found = []
    for ptlm, rows in numbers["rows"].items():
        for measure in SHOWN:
            bold = numbers["bold"][ptlm][measure]
            best = max(rows, key=lambda arm: rows[arm][measure])
            if rows[bold][measure] < rows[best][measure]:
                found.append(
                    f"The paper has {arm_label(bold)}'s {rows[bold][measure]:.3f} in bold ({ptlm}, {measure}), "
                    f"but prints {rows[best][measure]:.3f} for {arm_label(best)}."
                )
    return found


def _row_label(row: dict) -> str:
    if row["arm"] == NONE:
        return "None (PLW 0 or 1)"
    if row["arm"] == PLW:
        return "PLW (0 < PLW < 1)" if row["source"] == "ours" else "PLW (Ours)"
    return arm_label(row["arm"])


def table_4(
    data: pd.DataFrame,
    *,
    ptlms: Sequence[dict],
    runs: pd.DataFrame | None,
    numbers: dict,
    notes: Sequence[str] = (),
) -> Table:
    """Table 4 for the study's ptlms.

    data     from `regularizer_comparison.comparison_data`; runs: from `comparison_runs`, or None
    ptlms    entries with name, label, stands_for (LLaMA 1, LLaMA 2)
    numbers  `table_4` of config/paper_numbers.yaml
    notes    further notes, e.g. on coverage
    """
    rows = []
    for row in best_settings(data, ptlms=ptlms, runs=runs, measures=tuple(SHOWN)):
        rows.append({**row, "source": "ours"})
        printed = _printed(row, numbers)
        if printed:
            rows.append(printed)

    def settings(row: dict) -> str:
        return "–" if row["source"] == "paper" else f"{row['settings']} of {row['settings_planned']}"

    def number(key: str):
        return lambda row: shown(row.get(key), "{:.3f}")

    def words(key: str):
        return lambda row: shown(row.get(key))

    columns = (
        Column("PTLM", lambda row: row["ptlm_label"], ("ptlm", "ptlm_label"), right=False),
        Column("Regularization", _row_label, ("arm",), right=False),
        Column("", lambda row: row["source"], ("source",), right=False),
        Column(SHOWN["simple"], number("simple"), ("simple",)),
        Column(SHOWN["relative"], number("relative"), ("relative",)),
        Column("Best simple at", words("simple_won"), ("simple_strength", "simple_plw"), right=False),
        Column("Best relative at", words("relative_won"), ("relative_strength", "relative_plw"), right=False),
        Column("Best simple, equal budget", number("simple_equal"), ("simple_equal", "budget")),
        Column("Best relative, equal budget", number("relative_equal"), ("relative_equal",)),
        Column("Mean simple", number("simple_mean"), ("simple_mean",)),
        Column("Mean relative", number("relative_mean"), ("relative_mean",)),
        Column("Settings", settings, ("settings", "settings_planned")),
    )
    return Table(
        "Table 4: PLW and other regularizers on short-completion data",
        columns,
        rows,
        notes=[NOTE, *slips(numbers), *(f"{note[0].upper()}{note[1:]}." for note in notes if note)],
        bold_cells=_bold_cells(rows, numbers),
    )

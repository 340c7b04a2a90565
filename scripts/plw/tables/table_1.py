"""Table 1: token lengths, totals and the completion-prompt ratio of each data set, beside the paper's."""

from collections.abc import Sequence

from plw.data.reading import in_one_line
from plw.tables.table import Column, Table, shown

FIELDS = (("instruction", "Instruction"), ("input", "Input"), ("output", "Completion"))


def _ours(entry: dict, statistics: dict) -> dict:
    row = {"dataset": entry["name"], "label": entry.get("label", entry["name"]), "source": "ours"}
    for name, _ in FIELDS:
        row[f"{name}_mean"], row[f"{name}_sd"] = (
            statistics["tokens"][name]["mean"],
            statistics["tokens"][name]["sd"],
        )
    return {
        **row,
        "total_tokens": statistics["total_tokens"],
        "r_g": statistics["r_g"]["ratio_of_mean_tokens"],
        "r_g_mean_of_ratios": statistics["r_g"]["mean_of_token_ratios"],
        "r_g_characters": statistics["r_g"]["ratio_of_mean_characters"],
        "rows": statistics["rows"],
        "rows_inverted": statistics["rows_inverted"],
    }


def _printed(entry: dict, numbers: dict) -> dict | None:
    name = entry.get("stands_for")
    row = {"dataset": entry["name"], "label": name, "source": "paper"}
    if name in numbers["rows"]:
        printed = numbers["rows"][name]
        for field, _ in FIELDS:
            row[f"{field}_mean"], row[f"{field}_sd"] = printed[field]
        return {**row, "total_tokens": printed["total_tokens"], "r_g": printed["r_g"]}
    if name in numbers["text"]["r_g"]:
        return {**row, "r_g": numbers["text"]["r_g"][name]}
    return None


def _mean_and_sd(name: str):
    def show(row: dict) -> str:
        if row.get(f"{name}_mean") is None:
            return "–"
        return f"{shown(row[f'{name}_mean'], '{:.2f}')} ({shown(row[f'{name}_sd'], '{:.2f}')})"

    return show


def table_1(
    datasets: Sequence[dict], statistics: dict[str, dict], numbers: dict, readings: Sequence[dict] = ()
) -> Table:
    """Table 1 for the study's data sets.

    datasets    entries with name, label, stands_for, in the order of the table
    statistics  data set -> content of its statistics.json
    numbers     `table_1` of config/paper_numbers.yaml
    readings    contents of rows.json: what was left out of a data set stands in the notes
    """
    rows = []
    for entry in datasets:
        rows.append(_ours(entry, statistics[entry["name"]]))
        printed = _printed(entry, numbers)
        if printed:
            rows.append(printed)
    lengths = tuple(Column(label, _mean_and_sd(name), (f"{name}_mean", f"{name}_sd")) for name, label in FIELDS)
    columns = (
        Column("Data set", lambda row: row["label"], ("dataset", "label"), right=False),
        Column("", lambda row: row["source"], ("source",), right=False),
        *lengths,
        Column("Total tokens", lambda row: shown(row.get("total_tokens"), "{:,}"), ("total_tokens",)),
        Column("R_g", lambda row: shown(row.get("r_g"), "{:.3g}"), ("r_g",), latex="$R_g$"),
        Column("R_g, mean of ratios", lambda row: shown(row.get("r_g_mean_of_ratios"), "{:.3g}"),
               ("r_g_mean_of_ratios",), latex="$R_g$, mean of ratios"),
        Column("R_g, characters", lambda row: shown(row.get("r_g_characters"), "{:.3g}"), ("r_g_characters",),
               latex="$R_g$, characters"),
        Column("Rows", lambda row: shown(row.get("rows"), "{:,}"), ("rows",)),
        Column("Inverted", lambda row: shown(row.get("rows_inverted"), "{:,}"), ("rows_inverted",)),
    )  # fmt: skip
    notes = [
        "Mean tokens of each field (standard deviation). R_g is the ratio of mean tokens, which the paper "
        "prints although its text (§2.1) defines the mean of each instance's ratio. 'paper' rows: numbers "
        "that are printed for the data set that ours stands for."
    ]
    # Statistics of an earlier version do not say what counted.
    counted = dict.fromkeys(found["counted_with"] for found in statistics.values() if "counted_with" in found)
    if counted:
        notes.append(f"Tokens are those of the {' and the '.join(counted)}, each field by itself, no special tokens.")
    labels = {entry["name"]: entry.get("label") for entry in datasets}
    said = [in_one_line(record, labels.get(record["dataset"])) for record in readings]
    notes += [f"Rows of {line}" for line in said if line]
    return Table("Table 1: data set statistics", columns, rows, notes=notes)

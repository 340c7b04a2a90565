"""Table 2: the benchmarks as they were run, beside what the paper prints."""

from collections.abc import Sequence

from plw.tables.table import Column, Table, shown


def _items(found: dict) -> str:
    items = found.get("items")
    if isinstance(items, list):
        return "–".join(str(item) for item in items)
    return shown(items)


def table_2(benchmarks: Sequence[dict], collected: dict, numbers: dict) -> Table:
    """Table 2 for the study's benchmarks.

    benchmarks  registry entries with their names, in the order of the table
    collected   content of missing.json: what was run of each benchmark
    numbers     `table_2` of config/paper_numbers.yaml
    """
    rows = []
    for entry in benchmarks:
        found = collected["benchmarks"].get(entry["name"], {})
        printed = numbers["rows"].get(entry["name"], {})
        rows.append(
            {
                "benchmark": entry["name"],
                "label": entry.get("label", entry["name"]),
                "version": found.get("version"),
                "paper_version": printed.get("version"),
                "shots": entry.get("shots"),
                "paper_shots": printed.get("shots"),
                "split": entry.get("split"),
                "paper_split": printed.get("split"),
                "type": entry.get("type"),
                "paper_type": printed.get("type"),
                "group": entry.get("group"),
                "metric": entry.get("metric"),
                "items": _items(found),
                "runs": found.get("runs", 0),
                "runs_planned": found.get("planned", 0),
                "framework": found.get("framework") or entry.get("framework"),
            }
        )

    def beside(name: str):
        return lambda row: f"{shown(row[name])} ({shown(row['paper_' + name])})"

    columns = (
        Column("Task", lambda row: row["label"], ("benchmark", "label"), right=False),
        Column("V.", beside("version"), ("version", "paper_version")),
        Column("Shots", beside("shots"), ("shots", "paper_shots")),
        Column("Split", beside("split"), ("split", "paper_split"), right=False),
        Column("Type", beside("type"), ("type", "paper_type"), right=False),
        Column("Group", lambda row: shown(row["group"]), ("group",), right=False),
        Column("Metric", lambda row: shown(row["metric"]), ("metric",), right=False),
        Column("Items", lambda row: row["items"], ("items",)),
        Column("Runs", lambda row: f"{row['runs']} of {row['runs_planned']}", ("runs", "runs_planned")),
        Column("Framework", lambda row: shown(row["framework"]), ("framework",), right=False),
    )
    notes = [
        "In parentheses: what the paper prints. MC multiple choice, GS short generation, GL long generation; "
        "groups as in App. B. † six shots are built into the prompt, so none are drawn."
    ]
    return Table("Table 2: evaluation benchmarks", columns, rows, notes=notes)

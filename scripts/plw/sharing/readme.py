"""The README.md of an export: what was run, where and when, what each file is, and how to go on from it."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from plw.sharing.finished import FinishedStudy

# Measures in the README's table: title, form.
SHOWN = {
    "rsd": ("RSD of the loss", "{:.3f}"),
    "rsd_completion": ("RSD of the completion's loss alone", "{:.3f}"),
    "clipped_updates": ("share of clipped updates", "{:.2f}"),
    "gradient_norm": ("gradient norm", "{:.2f}"),
    "weight_distance": ("weight distance", "{:.1f}"),
    "memorisation_bleu": ("BLEU on training prompts", "{:.1f}"),
}
# What each file or folder is, in the order of the README; only those that are there are listed.
FILES = {
    "study.yaml": "the whole study; it rests on `config/studies/paper.yaml`, of which null takes something away",
    "runs.csv": "the run table",
    "scores.csv": "scores of runs: one row for each run, benchmark and metric",
    "items.parquet": "scores of single items, by number, where a benchmark's score is their mean",
    "missing.json": "scores that the study asks for and does not have",
    "mechanism.csv": "measures of §5.3 and ours",
    "rsd_windows.csv": "the windows behind the loss's stability",
    "loss_curves.csv.gz": "`loss.csv` of each run: each update's loss, learning rate, gradient, tokens, seconds",
    "records.json": "`run.json` of each run: versions, commit, machine, settings; what all of them share stands once",
    "environment.json": "the machines, commits and versions that the records name, and what exported them",
    "data": "counts of each data set (Table 1's row), rows left out or noticed; `hashes.json`: sha256 and rows of each",
    "regression": "regressions, their checks and the GAMs",
    "claims.json": "each claim: what was computed, verdict, numbers, error rates",
    "claims.md": "the same to read",
    "tables": "the paper's tables as CSV, Markdown and LaTeX",
    "every_eval_ever": "the scores of each run as Every Eval Ever records (schema {eee})",
    "croissant": "Croissant metadata of the inverted data sets: sha256, licences, how they were inverted",
    "Snakefile": "the workflow's entry file, of the checkout that exported",
    "ro-crate-metadata.json": "a Provenance Run RO-Crate: each training as an action with inputs, parameters, outputs",
    "SHA256SUMS": "sums of all these files: `sha256sum --check SHA256SUMS`",
}
README = """# Results of the study {study}

{made}

Numbers alone: no row of a data set, no text of a benchmark or a model.

| file | what |
|---|---|
{files}

Figures, tables and verdicts from it, in the project's folder; nothing is trained:

```bash
snakemake --cores 2 {targets} --config results=THIS_FOLDER
snakemake --cores 2 {targets} --config study={study} scores=THIS_FOLDER/scores.csv   # by your checkout's study file
```
{table}"""
RUNS = """{runs} fine-tunings{seeds}, made at commit {commits}
on {devices}, finished {first} to {last}.
Training took {minutes:.0f} minutes of wall time, summed over the runs ({tokens:,} tokens). {versions}."""
GIVEN = (
    "Its scores came from a table that was given ({runs} runs are planned): nothing is known here of their trainings."
)


def readme(found: FinishedStudy, records: Mapping[str, dict], folder: Path, *, schema: str) -> str:
    """README.md of an export.

    records  run.json of each run; empty where scores were given
    folder   the export, whose other files are there
    schema   version of the schema of Every Eval Ever's records
    """
    there = {path.relative_to(folder).parts[0] for path in folder.rglob("*")} | {"ro-crate-metadata.json", "SHA256SUMS"}
    listed = [(name, what) for name, what in FILES.items() if name in there]
    rows = [f"| `{name}{'/' * (folder / name).is_dir()}` | {what.format(eee=schema)} |" for name, what in listed]
    table = measure_table(pd.read_csv(folder / "mechanism.csv")) if "mechanism.csv" in there else ""
    table = f"\n## Measures\n\n{table}\n" if table else ""
    targets = "claims table_3 table_5" if found.given else "figure_2 claims"
    made = _made(found, records) if records else GIVEN.format(runs=len(found.runs))
    return README.format(study=found.study["name"], made=made, table=table, files="\n".join(rows), targets=targets)


def _made(found: FinishedStudy, records: Mapping[str, dict]) -> str:
    values = list(records.values())
    devices = {record["device"].get("model") or record["device"].get("cpu") or "?" for record in values}
    commits = {f"{record['git']['commit']}{' (changed)' if record['git']['dirty'] else ''}" for record in values}
    versions = {json.dumps(record["versions"]) for record in values}
    kept = ("python", "torch", "transformers")
    shown = " or ".join(", ".join(f"{name} {json.loads(text)[name]}" for name in kept) for text in sorted(versions))
    times = sorted(record["finished"] for record in values)
    return RUNS.format(
        runs=len(values),
        seeds="" if found.seeds is None else f" (of the study's seeds only {', '.join(map(str, found.seeds))})",
        commits=", ".join(sorted(commits)),
        devices=", ".join(sorted(devices)),
        first=times[0],
        last=times[-1],
        minutes=sum(record["seconds_in_all"] for record in values) / 60,
        tokens=sum(record["tokens"] for record in values),
        versions=shown,
    )


def measure_table(measures: pd.DataFrame) -> str:
    """The measures of unregularized runs by PLW and denominator, in Markdown: mean over seeds, and their range.

    measures  rows of mechanism.csv; a block for each ptlm and data set where there are several
    """
    rows = measures[(measures["regularizer"] == "none") & measures["measure"].isin(SHOWN)]
    blocks = []
    several = len(rows[["ptlm", "dataset"]].drop_duplicates()) > 1
    for (ptlm, dataset), part in rows.groupby(["ptlm", "dataset"], sort=False):
        shown = [name for name in SHOWN if name in set(part["measure"])]
        masked = part[(part["plw"] == 0) & (part["measure"] == "rsd")]["value"].mean()
        lines = [["PLW", "divided by", "seeds", *(SHOWN[name][0] for name in shown)]]
        for (plw, denominator), cell in part.groupby(["plw", "normalization"]):
            words = "both the same" if plw in (0, 1) else denominator.replace("_", " ")
            values = {name: cell[cell["measure"] == name]["value"] for name in shown}
            line = [f"{plw:g}", words, str(cell["seed"].nunique())]
            line += [_with_range(values[name], SHOWN[name][1]) for name in shown]
            if "rsd" in shown:
                line[3] += f" ({values['rsd'].mean() / masked:.2f} of PLW 0's)" if plw > 0 and masked > 0 else ""
            lines.append(line)
        head, *body = ["| " + " | ".join(line) + " |" for line in lines]
        title = f"{ptlm}, {dataset}:\n\n" if several else ""
        blocks.append(title + "\n".join([head, "|" + "---|" * len(lines[0]), *body]))
    note = "Means over seeds; where there are several, the smallest and largest in brackets." if blocks else ""
    return "\n\n".join([*blocks, note])


def _with_range(values: pd.Series, form: str) -> str:
    if values.empty:
        return "–"
    text = form.format(values.mean())
    return text if len(values) == 1 else f"{text} [{form.format(values.min())}, {form.format(values.max())}]"

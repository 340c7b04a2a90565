"""The small results of a finished study, so that others can draw and judge them again without training anything.

What is packed are numbers: scores, measures, loss curves, records of the runs. No row of a data set, no text of a
benchmark and no text of a model. The folder is laid out as results/STUDY is, so that the workflow reads it in its place
(`--config results=FOLDER`), with a study file that names the study and, where not all seeds are finished, which are.
"""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from plw.data.reading import without_texts
from plw.errors import InputError
from plw.files import atomic_path, read_json, write_json, write_text
from plw.study.runs import Run, runs_csv

TABLES = ("scores.csv", "mechanism.csv", "rsd_windows.csv")  # with the column `run`; other runs' rows are left out
ITEMS, CURVES, RECORDS = "items.parquet", "loss_curves.csv.gz", "records.json"
# Measures in the README's table: title, form.
SHOWN = {
    "rsd": ("RSD of the loss", "{:.3f}"),
    "rsd_completion": ("RSD of the completion's loss alone", "{:.3f}"),
    "clipped_updates": ("share of clipped updates", "{:.2f}"),
    "gradient_norm": ("gradient norm", "{:.2f}"),
    "weight_distance": ("weight distance", "{:.1f}"),
    "memorisation_bleu": ("BLEU on training prompts", "{:.1f}"),
}
README = """# Results of the study {study}

{runs} fine-tunings{seeds}, made at commit {commits}
on {devices}, finished {first} to {last}.
Training took {minutes:.0f} minutes of wall time, summed over the runs ({tokens:,} tokens). {versions}.

{table}

Numbers alone: no row of a data set, no text of a benchmark or a model.

| file | what |
|---|---|
| `study.yaml` | the study, as a change of `config/studies/{study}.yaml` |
| `runs.csv` | the run table |
| `scores.csv`, `items.parquet` | scores of runs, and of single items (right or wrong, by number) |
| `mechanism.csv`, `rsd_windows.csv` | measures of §5.3 and ours; the windows behind the loss's stability |
| `loss_curves.csv.gz` | each update: loss, learning rate, gradient, tokens, loss of prompt and completion |
| `records.json` | versions, commit, machine and settings of the runs; what all of them share stands once |
| `data/` | counts of each data set (Table 1's row), and how many rows were left out or noticed |

Figures, tables and verdicts from it, in the project's folder; nothing is trained:

```bash
snakemake --cores 2 figure_2 claims --config results={folder}
```
"""


def check_finished(runs: Sequence[Run], results: Path) -> None:
    """Raise InputError, with the runs by seed, if one of `runs` is not finished in this folder of results."""
    wanted = ("loss.csv", "run.json", "evaluation.json")
    lacking = [run for run in runs if any(not (results / "runs" / run.run / name).is_file() for name in wanted)]
    if not runs or lacking:
        whole = sorted({run.seed for run in runs} - {run.seed for run in lacking})
        hint = f"Finished seeds: {', '.join(map(str, whole))}; name them with --seeds." if whole else "Finish it first."
        what = f"{len(lacking)} of {len(runs)} runs are not finished." if runs else "There are no such runs."
        raise InputError(what, value=[run.run for run in lacking[:3]], where=str(results), hint=hint)


def study_change(study: str, seeds: Sequence[int] | None) -> str:
    """The study file of a packed folder: the study by name, with only these seeds if not None."""
    change: dict = {"base": study, "name": study}
    if seeds is not None:
        change["seeds"] = list(seeds)
    return yaml.safe_dump(change, sort_keys=False)


def shared_and_own(records: dict[str, dict]) -> dict:
    """{shared, runs}: what all records say alike, and the rest by run; mappings are split key by key."""
    values = list(records.values())

    def split(parts: list[dict]) -> tuple[dict, list[dict]]:
        common: dict = {}
        rest: list[dict] = [{} for _ in parts]
        for key in dict.fromkeys(key for part in parts for key in part):
            found = [part.get(key) for part in parts]
            if all(key in part for part in parts) and all(isinstance(value, dict) for value in found):
                below, others = split([part[key] for part in parts])
                common |= {key: below} if below else {}
                for own, other in zip(rest, others, strict=True):
                    own.update({key: other} if other else {})
            elif all(key in part and part[key] == found[0] for part in parts):
                common[key] = found[0]
            else:
                for own, part in zip(rest, parts, strict=True):
                    own.update({key: part[key]} if key in part else {})
        return common, rest

    common, rest = split(values)
    return {"shared": common, "runs": dict(zip(records, rest, strict=True))}


def pack(
    study: str,
    runs: Sequence[Run],
    results: Path,
    folder: Path,
    *,
    datasets: Sequence[str],
    seeds: Sequence[int] | None = None,
) -> None:
    """Write the small results of these runs of results/STUDY into `folder`, which must not exist yet.

    study     its name in config/studies
    datasets  the data sets of the runs, those among them that others are derived from
    seeds     those that the runs are limited to; None: all of the study's
    Raises InputError for runs that are not finished, tables that are not there, and a folder that is.
    """
    if folder.exists():
        raise InputError("The folder is there already.", value=str(folder), where="--out", hint="Name another.")
    check_finished(runs, results)
    names = [run.run for run in runs]
    tables = {
        name: _rows_of(results / name, names) for name in TABLES if (results / name).exists() or name == TABLES[0]
    }
    records = {name: read_json(results / "runs" / name / "run.json") for name in names}
    folder.mkdir(parents=True)
    for name, frame in tables.items():
        write_text(folder / name, frame.to_csv(index=False))
    if (results / ITEMS).exists():
        items = pd.read_parquet(results / ITEMS)
        items = items[items["run"].astype(str).isin(names)].astype({"run": str, "benchmark": str})
        with atomic_path(folder / ITEMS) as temporary:
            items.astype({"run": "category", "benchmark": "category"}).to_parquet(temporary, index=False)
    write_text(folder / "runs.csv", runs_csv(list(runs)))
    write_text(folder / "study.yaml", study_change(study, seeds))
    _write_curves(folder / CURVES, {name: results / "runs" / name / "loss.csv" for name in names})
    write_json(folder / RECORDS, shared_and_own(records))
    for dataset in datasets:
        (folder / "data" / dataset).mkdir(parents=True)
        shutil.copy(results / "data" / dataset / "statistics.json", folder / "data" / dataset)
        if (rows := results / "data" / dataset / "rows.json").exists():
            write_json(folder / "data" / dataset / "rows.json", without_texts(read_json(rows)))
    table = measure_table(pd.read_csv(folder / "mechanism.csv")) if "mechanism.csv" in tables else ""
    write_text(folder / "README.md", _readme(study, records, folder, seeds, table))


def _rows_of(path: Path, runs: Sequence[str]) -> pd.DataFrame:
    """The rows of these runs, as text, so that no number is rounded."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        hint = "Make it: snakemake … scores, or figure_2."
        raise InputError("A table is not there.", value=str(error), where=str(path), hint=hint) from None
    frame = frame[frame["run"].isin(runs)]
    absent = [run for run in runs if run not in set(frame["run"])]
    if absent:
        hint = "It is older than the runs: make it again."
        raise InputError("A table lacks runs.", value=absent[:3], where=str(path), hint=hint)
    return frame


def _write_curves(path: Path, logs: dict[str, Path]) -> None:
    frames = [pd.read_csv(log, dtype=str, keep_default_na=False).assign(run=run) for run, log in logs.items()]
    table = pd.concat(frames, ignore_index=True)
    table = table[["run", *(name for name in table.columns if name != "run")]]
    with atomic_path(path) as temporary:  # no time of writing inside: the same curves are the same bytes
        temporary.write_bytes(gzip.compress(table.to_csv(index=False).encode(), mtime=0))


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


def _readme(study: str, records: dict[str, dict], folder: Path, seeds: Sequence[int] | None, table: str) -> str:
    values = list(records.values())
    devices = {record["device"].get("model") or record["device"].get("cpu") or "?" for record in values}
    commits = {f"{record['git']['commit']}{' (changed)' if record['git']['dirty'] else ''}" for record in values}
    versions = {json.dumps(record["versions"]) for record in values}
    kept = ("python", "torch", "transformers")
    shown = " or ".join(", ".join(f"{name} {json.loads(text)[name]}" for name in kept) for text in sorted(versions))
    times = sorted(record["finished"] for record in values)
    some = "" if seeds is None else f" (of the study's seeds only {', '.join(map(str, seeds))})"
    return README.format(
        study=study,
        runs=len(values),
        seeds=some,
        commits=", ".join(sorted(commits)),
        devices=", ".join(sorted(devices)),
        first=times[0],
        last=times[-1],
        minutes=sum(record["seconds_in_all"] for record in values) / 60,
        tokens=sum(record["tokens"] for record in values),
        versions=shown,
        folder=folder,
        table=table,
    )


def check_run_table(folder: Path, runs: Sequence[Run]) -> None:
    """Raise InputError if the runs that the packed study plans are not those that are packed."""
    packed = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)["run"].tolist()
    planned = [run.run for run in runs]
    if sorted(packed) != sorted(planned):
        differ = sorted(set(packed) ^ set(planned))
        raise InputError("The packed study plans other runs than are packed.", value=differ[:3], where=str(folder))

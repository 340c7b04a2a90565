"""Reading the files of a study (or of an analyst) into Evidence."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import yaml

from plw.claims.evidence import Evidence
from plw.errors import InputError
from plw.files import read_json
from plw.scores.table import primary_scores, read_scores
from plw.study.runs import RUN_COLUMNS

MECHANISM_COLUMNS = [*RUN_COLUMNS, "measure", "value"]


def read_table(path: str | Path, columns: Sequence[str], *, text: Sequence[str]) -> pd.DataFrame:
    """A table from CSV or Parquet with at least these columns; those in `text` as text. InputError otherwise."""
    try:
        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame = frame.astype({name: str for name in text if name in frame.columns})
        else:
            frame = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError, TypeError, KeyError, OverflowError, NotImplementedError, ImportError) as error:
        raise InputError("A table cannot be read.", value=str(error), where=str(path)) from None
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise InputError("A table lacks columns.", value=absent, where=str(path), hint=f"It needs {list(columns)}.")
    return frame


def by_role(paths: Sequence[str], datasets: Sequence[dict]) -> dict[str, dict]:
    """Results of data sets (JSON files with the key `dataset`), by the paper's data set that each stands for."""
    roles = {entry["name"]: entry.get("stands_for") for entry in datasets}
    found: dict[str, dict] = {}
    for result in map(read_json, paths):
        role = roles.get(result["dataset"])
        if role is not None:
            found.setdefault(role, result)
    return found


def read_evidence(
    *,
    scores: str,
    benchmarks: Sequence[dict],
    datasets: Sequence[dict],
    ptlms: Sequence[dict],
    numbers: dict,
    runs: str | None = None,
    mechanism: str | None = None,
    regressions: Sequence[str] = (),
    checks: Sequence[str] = (),
    statistics: Sequence[str] = (),
    gam: str | None = None,
    loss: str | None = None,
) -> Evidence:
    """The evidence in these files (paths; absent ones are None or empty)."""
    primary = primary_scores(read_scores(scores), {entry["name"]: entry["metric"] for entry in benchmarks})
    table = None
    if runs:
        table = read_table(runs, [*RUN_COLUMNS, "experiments"], text=[*RUN_COLUMNS, "experiments"])
        table = table.astype({"plw": float, "strength": float}).fillna({"experiments": ""})
    return Evidence(
        scores=primary,
        benchmarks=benchmarks,
        datasets=datasets,
        ptlms=ptlms,
        numbers=numbers,
        runs=table,
        mechanism=read_table(mechanism, MECHANISM_COLUMNS, text=["run", "ptlm", "dataset", "measure"])
        if mechanism
        else None,
        regressions=by_role(regressions, datasets),
        checks=by_role(checks, datasets),
        statistics=by_role(statistics, datasets),
        gam=read_json(gam) if gam else None,
        loss=read_json(loss) if loss else None,
    )


def evidence_of_folder(folder: str | Path, config: str | Path) -> Evidence:
    """The evidence of a finished study, results/STUDY, with what its study.yaml says of benchmarks and roles.

    config   the folder with paper_numbers.yaml
    Raises InputError where the folder has no score table.
    """
    folder = Path(folder)
    if not (folder / "scores.csv").is_file() or not (folder / "study.yaml").is_file():
        raise InputError(
            "This is no finished study.", value=str(folder), hint="It needs scores.csv and study.yaml (results/STUDY)."
        )
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    used = pd.read_csv(folder / "scores.csv", usecols=["ptlm", "dataset"], dtype=str)

    def described(registry: str, names: Iterable[str]) -> list[dict]:
        known = study.get(registry, {})
        keys = ("label", "stands_for", "parameters")
        return [
            {"name": name} | {key: known[name][key] for key in keys if key in known.get(name, {})} for name in names
        ]

    def there(name: str) -> str | None:
        return str(folder / name) if (folder / name).is_file() else None

    regressions = sorted((folder / "regression").glob("*.json")) if (folder / "regression").is_dir() else []
    datasets = list(used["dataset"].unique())
    return read_evidence(
        scores=str(folder / "scores.csv"),
        benchmarks=[{"name": name, **study["benchmarks"][name]} for name in study["evaluation"]["benchmarks"]],
        datasets=described("datasets", datasets),
        ptlms=described("ptlms", used["ptlm"].unique()),
        numbers=yaml.safe_load((Path(config) / "paper_numbers.yaml").read_text(encoding="utf-8")),
        runs=there("runs.csv"),
        mechanism=there("mechanism.csv"),
        regressions=[str(path) for path in regressions if path.stem in datasets],
        checks=[str(path) for path in regressions if path.name.endswith(".checks.json")],
        statistics=[str(path) for path in sorted(folder.glob("data/*/statistics.json"))],
        gam=there("regression/gam.json"),
        loss=there("loss_identities.json"),
    )

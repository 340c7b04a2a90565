"""The project's configuration: config.yaml's few keys, the study that they choose, and the registries beside it.

Light import on purpose: each Snakemake process loads this module.
"""

import re
from pathlib import Path

import yaml

from plw.errors import InputError, InputErrors, nearest_hint
from plw.study.chain import YamlLoader, load_study, read_utf8
from plw.study.runs import list_runs, reference_run
from plw.study.sources import at_home, named_files, resolve_source

# What config/config.yaml and `snakemake --config` may set.
CONFIG_KEYS = {
    "study": "name of a file in config/studies, or the path of a study file",
    "samples": "folder that {samples} in a study's paths stands for",
    "finished_only": "true: make the artifacts from the runs that are measured already",
    "scores": "a score table (CSV): statistics, figures, tables and claims from it alone, nothing is trained",
    "beside": "another finished study (results/OTHER): the report shows its verdicts beside this one's",
    "results": "an export (a folder): figures, tables and claims of its study from it, nothing is trained",
}


def read_yaml(path: Path) -> dict:
    """A YAML mapping; InputError when the file is absent or broken."""
    try:
        content = yaml.load(read_utf8(path, "A configuration file"), Loader=YamlLoader) or {}
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:  # of dates, keys, nesting
        raise InputError("A configuration file cannot be read.", where=str(path), hint=str(error)) from None
    if not isinstance(content, dict):
        hint = "It holds keys with values: `key: value`."
        raise InputError(
            "A configuration file holds no mapping.", value=type(content).__name__, where=str(path), hint=hint
        )
    return content


def checkout(root: str) -> Path:
    """The project's folder that a command is given, or InputError."""
    if not (Path(root) / "Snakefile").is_file():
        hint = "It needs the Snakefile and config/."
        raise InputError("This is no checkout of the project.", value=root, where="--root", hint=hint)
    return Path(root)


def load_configuration(config: dict, *, root: Path) -> dict:
    """The resolved study that `config` chooses; source names are replaced by their entries in config/sources.yaml.

    config  the keys of config/config.yaml, changed by `--config`
    root    the project's root folder
    Raises InputError or InputErrors that name every wrong key with its place.
    """
    unknown = [key for key in config if key not in CONFIG_KEYS]
    if unknown:
        raise InputErrors(
            [
                InputError(
                    "Unknown configuration key.",
                    value=key,
                    where="config/config.yaml or --config",
                    hint=nearest_hint(key, list(CONFIG_KEYS)) or f"known keys: {', '.join(CONFIG_KEYS)}",
                )
                for key in unknown
            ]
        )
    packed = packed_results(config)
    study = load_study(
        str(packed / "study.yaml" if packed else config.get("study", "demo")),
        folder=root / "config" / "studies",
        schema=read_yaml(root / "workflow" / "schemas" / "study.schema.yaml"),
        registries={"benchmarks": read_yaml(root / "config" / "benchmarks.yaml")},
        samples="samples" if packed else config.get("samples"),  # nothing that is packed is read from there
    )
    if packed:
        study = {**study, "name": name_from(study["name"], packed)}
    elif config.get("scores"):
        study = with_given_scores(study, str(config["scores"]))
    else:
        check_references(study)
    study = resolve_names(study, read_yaml(root / "config" / "sources.yaml"))
    check_paths(study, config, root)
    return study


def packed_results(config: dict) -> Path | None:
    """The export whose study and results the configuration asks for (`plw export`), or None."""
    if not config.get("results"):
        return None
    folder = Path(str(config["results"]).rstrip("/"))
    if config.get("scores"):
        hint = "Give one of them: an export has scores of its own."
        raise InputError("Both results and scores are given.", value=str(folder), where="--config", hint=hint)
    absent = [name for name in ("study.yaml", "runs.csv", "scores.csv") if not (folder / name).is_file()]
    if absent:
        raise InputError(
            "This is no export of a study.",
            value=str(folder),
            where="config/config.yaml or --config, key results",
            hint=f"It lacks {', '.join(absent)}; plw export makes such a folder.",
        )
    return folder


def export_of_scores(path: str | Path) -> Path | None:
    """The export that a given score table belongs to: the measures beside it are given as well. None for others."""
    folder = Path(path).parent
    beside = ("study.yaml", "runs.csv", "records.json")
    return folder if Path(path).name == "scores.csv" and all((folder / name).is_file() for name in beside) else None


def given_results(config: dict) -> tuple[str, str]:
    """The score table that is given, and the export with what was measured beside it; "" for what there is not.

    An export of a study whose scores were given has nothing that was measured: then it is its score table alone.
    """
    folder = config.get("results")
    scores = f"{str(folder).rstrip('/')}/scores.csv" if folder else str(config.get("scores") or "")
    measured = export_of_scores(scores) if scores else None
    return scores, str(measured) if measured else ""


def with_given_scores(study: dict, path: str) -> dict:
    """The study under a name of its own, so that a given score table never overwrites what the study measured."""
    if not Path(path).is_file():
        raise InputError(
            "The score table is not there.",
            value=path,
            where="config/config.yaml or --config, key scores",
            hint="Give the path of a CSV file, from the folder that snakemake is called in.",
        )
    return {**study, "name": name_from(study["name"], export_of_scores(path) or Path(path))}


def name_from(study: str, path: Path) -> str:
    """A name for what is made of a file or a folder: not the study's own."""
    stem = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")[:100] or "scores"
    return f"{study}_from_{stem}"


def check_references(study: dict) -> None:
    """Raise InputError if the run that a judge compares with is not in the run table."""
    runs = list_runs(study)
    for name in study["evaluation"]["benchmarks"]:
        if study["benchmarks"][name]["framework"] == "harness":
            continue
        try:
            reference_run(study, runs, name)
        except KeyError as error:
            raise InputError(
                "No run of this study is the reference that a judge compares with.",
                value=error.args[0],
                where=f"study {study['name']}, key judges.{name}.reference",
                hint="Name ptlm, data set and plw of one of its runs, or leave the benchmark out of evaluation.",
            ) from None


def check_links(root: Path) -> None:
    """Raise InputError where the links to the profiles became files: Snakemake would run on without their settings."""
    files = [name for name in ("profiles", "slurm") if (root / name).is_file()]
    if files:
        raise InputError(
            "What should be links to folders are plain files: Snakemake's settings would not be found.",
            value=" ".join(files),
            where=f"{root} (an archive or Git without links)",
            hint="rm -f profiles slurm; cp -r workflow/profiles profiles; cp -r workflow/profiles/slurm slurm",
        )


def check_paths(study: dict, config: dict, root: Path) -> None:
    """Raise InputErrors for files whose names Snakemake would take for patterns: it knows no way to write a brace."""
    named = {"the folder of the project": [str(root)]}
    named |= {f"config/config.yaml or --config, key {key}": [str(config.get(key))] for key in ("scores", "results")}
    for registry in ("ptlms", "datasets", "benchmarks", "judges"):
        for name, entry in study[registry].items():
            named[f"study {study['name']}, key {registry}.{name}.source"] = named_files(entry.get("source", {}))
            named[f"study {study['name']}, key {registry}.{name}.task"] = [entry.get("task", "")]
    preamble = study["evaluation"].get("truthfulqa_preamble")
    named[f"study {study['name']}, key evaluation.truthfulqa_preamble"] = [preamble or ""]
    errors = [
        InputError(
            "The name of a file holds a word in braces.", value=file, where=place, hint="Rename it or its folder."
        )
        for place, files in named.items()
        for file in files
        if re.search(r"{\s*\w+[^{}]*}", file)
    ]
    if errors:
        raise InputErrors(errors)


def resolve_names(study: dict, sources: dict[str, dict]) -> dict:
    """The study with each `source` replaced by what config/sources.yaml says of its name; all errors at once."""
    errors = []
    resolved = dict(study)
    for registry in ("ptlms", "datasets", "benchmarks", "judges"):
        resolved[registry] = {}
        for name, entry in study[registry].items():
            try:
                place = f"{registry}.{name}.source"
                source = {"source": resolve_source(entry["source"], sources, where=place)} if "source" in entry else {}
                task = {"task": at_home(entry["task"])} if "task" in entry else {}
                resolved[registry][name] = {**entry, **source, **task}
            except InputError as error:
                errors.append(error)
    try:
        if "statistics_tokenizer" in study:
            tokenizer = resolve_source(study["statistics_tokenizer"], sources, where="statistics_tokenizer")
            resolved["statistics_tokenizer"] = tokenizer
    except InputError as error:
        errors.append(error)
    if errors:
        raise InputErrors(errors)
    if preamble := study["evaluation"].get("truthfulqa_preamble"):
        resolved["evaluation"] = {**study["evaluation"], "truthfulqa_preamble": at_home(preamble)}
    return resolved

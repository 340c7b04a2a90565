"""Local files that must exist before a job of a study can run: what its rule names as inputs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from plw.study.design import is_task_file
from plw.study.layout import generations, of_runs, results
from plw.study.parameters import as_json
from plw.study.runs import Run, benchmarks_of, reference_run
from plw.study.sources import named_files

HARNESS = "config/harness"
PROMPTS = "config/judges"
DEFAULT_PROMPT = "mixtral"  # of scripts/evaluation/judge_outputs.py


# What `from_pretrained` may read of a model folder: weights, configurations, tokenizers in their several forms.
MODEL_SUFFIXES = (".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".tiktoken")
TOKENIZER_SUFFIXES = (".json", ".model", ".txt", ".jinja", ".tiktoken")
MADE_MODEL = ("config.json", "model.safetensors")  # what the rules declare that make a model: the first for all of it


def model_files(study: dict, source: dict) -> list[str]:
    """The files of a local model that decide what it answers; none of a Hub model.

    All weights, configurations and tokenizer files of a folder that somebody brings; of one that a rule makes the two
    that rules declare, whether they are there already or not.
    """
    if "path" not in source:
        return []
    folder = Path(source["path"])
    if is_made(study, folder):
        return [f"{source['path']}/{name}" for name in MADE_MODEL]
    return _files_of(folder, MODEL_SUFFIXES)


def configuration_of(files: Iterable[str]) -> list[str]:
    """Of a model's files those that rules have always named: its configuration."""
    return [file for file in files if file.endswith("/config.json")]


def tokenizer_files(study: dict, source: dict) -> list[str]:
    """The files of a local model's tokenizer: of its folder, or the file that it is."""
    if "path" not in source:
        return []
    path = Path(source["path"])
    if path.name.endswith(".model"):
        return [str(path)]
    return [f"{path}/config.json"] if is_made(study, path) else _files_of(path, TOKENIZER_SUFFIXES)


def is_made(study: dict, path: Path) -> bool:
    """Whether a rule makes what lies there: it may not be there yet, and its files are those that the rule declares."""
    return path.is_relative_to(f"results/{study['name']}") or path.is_relative_to("resources")


def _files_of(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    found = sorted(str(file) for file in folder.glob("*") if file.name.endswith(suffixes) and file.is_file())
    return found or [f"{folder}/config.json"]


def counting_tokenizer(study: dict) -> dict:
    """Source of the tokenizer that Table 1, R_g and inversion count with."""
    return study.get("statistics_tokenizer", study["ptlms"][study["tokenizer_of"]]["source"])


def counting_tokenizer_files(study: dict) -> list[str]:
    """Local files that the counting tokenizer needs."""
    return tokenizer_files(study, counting_tokenizer(study))


def dataset_files(study: dict, dataset: str) -> list[str]:
    """The instances that a data set is derived from, or its local source files."""
    entry = study["datasets"][dataset]
    if "from" in entry:
        return results(study, f"data/{entry['from']}/instances.jsonl")
    return named_files(entry["source"])


def inverting_tokenizer_files(study: dict, dataset: str) -> list[str]:
    """Files of the tokenizer that an inverted data set may be counted with; none of any other."""
    return counting_tokenizer_files(study) if "inversion" in study["datasets"][dataset] else []


def benchmark_files(study: dict, run: Run) -> list[str]:
    """Local files of all benchmarks that a run is measured on."""
    asked = [study["benchmarks"][name] for name in benchmarks_of(run, study)]
    files = [file for entry in asked for file in named_files(entry["source"])]
    preamble = study["evaluation"].get("truthfulqa_preamble")
    reads_it = any(entry.get("task", "").startswith("truthfulqa") for entry in asked)
    return files + ([preamble] if preamble and reads_it else [])


def task_files(study: dict, names: Iterable[str]) -> list[str]:
    """The project's definitions of the harness's tasks of these benchmarks, and what such a definition includes."""
    tasks = [task for task in _tasks(study, names) if not is_task_file(task)]
    files = [f"{HARNESS}/{task}.yaml" for task in tasks]
    return files + ([f"{HARNESS}/wmt_common_yaml"] if any(task.startswith("wmt") for task in tasks) else [])


def own_task_files(study: dict, names: Iterable[str]) -> list[str]:
    """The study's own definitions of tasks of these benchmarks."""
    return [task for task in _tasks(study, names) if is_task_file(task)]


def _tasks(study: dict, names: Iterable[str]) -> list[str]:
    entries = [study["benchmarks"][name] for name in names]
    return list(dict.fromkeys(entry["task"] for entry in entries if "task" in entry))


def prompt_files(study: dict, benchmark: str) -> list[str]:
    """The file that holds the prompt of a benchmark's judge; none where it has the published one (PandaLM)."""
    name = study["judges"][benchmark].get("prompt", DEFAULT_PROMPT)
    if study["benchmarks"][benchmark]["framework"] != "alpaca_eval":
        return []
    text = f"{PROMPTS}/{name}.txt"
    return [text if Path(text).is_file() else f"{PROMPTS}/{name}.yaml"]


def judge_reference_files(study: dict, runs: Sequence[Run], benchmark: str) -> list[str]:
    """What a judge compares with: another run's evaluation, or the local files of the benchmark's own outputs."""
    run = reference_run(study, runs, benchmark)
    if run is not None:
        return of_runs(study, [run.run], "evaluation.json")
    return named_files(study["benchmarks"][benchmark]["source"])


def judge_reference_outputs(study: dict, runs: Sequence[Run], benchmark: str) -> str:
    """The outputs that a judge compares with: a file, or a source as JSON."""
    run = reference_run(study, runs, benchmark)
    if run is not None:
        return generations(study, run.run, benchmark)
    source = study["benchmarks"][benchmark]["source"]
    files = named_files(source)
    return files[0] if len(files) == 1 else as_json(source)

"""Tasks of the LM Evaluation Harness, defined in config/harness/ and fed with rows from any source.

Each definition mirrors the harness's own task but for where its rows come from: it names `load_splits` as
lm-eval's `custom_dataset`, which lm-eval calls with the task's metadata. The registry entry travels in that
metadata. A study may bring a definition of its own, whose rows come from the benchmark's source too.
"""

import re
from functools import cache
from pathlib import Path

import lm_eval
import pyarrow
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable
from jinja2 import TemplateError
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.tasks.truthfulqa.utils import preprocess_function
from lm_eval.utils import apply_template
from yaml import YAMLError

from plw.data.template import format_prompt
from plw.errors import InputError, nearest_hint
from plw.evaluation.rows import SHOTS_SPLIT, normalize_rows, read_preamble, scored_rows, shot_rows
from plw.study.design import is_task_file

TRANSLATION_PROMPTS = ("prefix", "alpaca_template")
SAMPLERS = ("default", "first_n")  # lm-eval's names
FUNCTION = re.compile(r"!function\s+(\S+)")
# What lm-eval raises of a definition that it cannot use.
UNUSABLE = (ValueError, TypeError, LookupError, AttributeError, OSError, ImportError, YAMLError, TemplateError)


def load_task(entry: dict, *, folder: Path, evaluation: dict) -> ConfigurableTask:
    """Return the lm-eval task of a registry entry (see config/benchmarks.yaml), with its rows loaded.

    folder      where the definitions are (config/harness)
    evaluation  `fewshot_seed`, `translation_prompt` and `truthfulqa_preamble` are read
    Raises InputError if the definition, its rows or its few-shot examples are missing or have another form.
    """
    file = definition_of(entry, folder)
    if not file.is_file():
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        hint = nearest_hint(entry["task"], known) or f"known: {', '.join(known)}"
        raise InputError(
            "There is no such harness task.",
            value=entry["task"],
            where=f"benchmark {entry['name']!r}",
            hint=hint,
        )
    own = _own_definition(file, entry) if is_task_file(entry["task"]) else None
    if own is not None:
        entry = {"shots": own.get("num_fewshot") or 0, **entry}
    registry = {"entry": entry, "preamble_file": evaluation.get("truthfulqa_preamble")}
    manager = TaskManager(include_defaults=False, metadata={"registry": registry})
    (task,) = (_own_tasks(manager, own, file) if own is not None else manager.load(str(file))["tasks"]).values()
    task.set_config("num_fewshot", entry.get("shots", 0))
    _set_sampler(task, entry)
    task.set_fewshot_seed(evaluation.get("fewshot_seed", 1234))
    if entry.get("max_new_tokens") is not None:
        task.set_config("generation_kwargs", {"max_gen_toks": entry["max_new_tokens"]}, update=True)
    if "languages" in task.config.metadata:
        _set_translation_prompt(task, evaluation.get("translation_prompt", "prefix"))
    return task


def definition_of(entry: dict, folder: Path) -> Path:
    """The file that defines a registry entry's task: in `folder`, or the study's own."""
    task = entry["task"]
    return Path(task) if is_task_file(task) else folder / f"{task}.yaml"


def _own_definition(file: Path, entry: dict) -> dict:
    """A task of the harness that a study brings: its prompts and metrics, with rows from the benchmark's source.

    Its `dataset_path` is not read, and nothing beside the file decides: it includes none, and its functions are
    lm_eval's.
    """
    where = str(file)
    foreign = [name for name in FUNCTION.findall(file.read_text("utf-8", "replace")) if not name.startswith("lm_eval.")]
    if foreign:
        hint = "A task may name functions of lm_eval; code of your own is not run."
        raise InputError("A harness task names a function of its own.", value=foreign[0], where=where, hint=hint)
    try:
        definition = load_yaml(file, recursive=False)
    except UNUSABLE as error:
        raise InputError("The harness task cannot be read.", where=where, hint=f"{error}") from None
    if not isinstance(definition.get("task"), str) or "include" in definition or "class" in definition:
        hint = "It needs a name (`task: …`), and neither `include` nor `class`."
        raise InputError("This is no task of the harness in one file.", where=where, hint=hint)
    metrics = [item.get("metric") for item in definition.get("metric_list") or [] if isinstance(item, dict)]
    if entry["metric"] not in metrics:
        hint = f"It computes {', '.join(map(str, metrics)) or 'none'}: name one as the benchmark's `metric`."
        raise InputError(
            "The task does not compute the benchmark's primary metric.", value=entry["metric"], where=where, hint=hint
        )
    for key in ("dataset_path", "dataset_name", "dataset_kwargs", "fewshot_split"):
        definition.pop(key, None)
    split = "test_split" if "test_split" in definition or "validation_split" not in definition else "validation_split"
    scored = definition.get(split) or "test"
    version = (definition.get("metadata") or {}).get("version", 0)
    return definition | {
        "custom_dataset": load_splits,
        "training_split": SHOTS_SPLIT,
        split: scored,
        "metadata": {"version": version, "form": "own", "scored": scored},
    }


def _own_tasks(manager: TaskManager, definition: dict, file: Path) -> dict[str, ConfigurableTask]:
    try:
        return manager.load(definition)["tasks"]
    except InputError:
        raise
    except UNUSABLE as error:
        hint = f"{type(error).__name__}: {error}"
        raise InputError("The harness cannot use this task.", where=str(file), hint=hint) from None


def load_splits(*, form: str, scored: str, registry: dict, **metadata) -> dict[str, Dataset]:
    """lm-eval's `custom_dataset`: the rows to score as split `scored`, few-shot rows as split `train`.

    form      a key of plw.evaluation.rows.FORMS
    registry  `entry` (the benchmark's registry entry) and `preamble_file`
    metadata  the rest of the definition's metadata; `languages` and `needs_preamble` matter here
    """
    entry = registry["entry"]
    where = f"benchmark {entry['name']!r}"
    options = {"languages": list(metadata["languages"])} if "languages" in metadata else {}
    rows = normalize_rows(scored_rows(entry["source"], entry["split"], where=where), form, **options)
    shots: list[dict] = []
    if holdout := entry.get("fewshot_holdout"):
        shots, rows = rows[:holdout], rows[holdout:]
    elif entry.get("shots"):
        shots = normalize_rows(shot_rows(entry["source"], where=where), form, **options)
    if len(shots) < entry.get("shots", 0):
        raise InputError(
            f"The benchmark asks for {entry['shots']} few-shot examples and there are {len(shots)}.",
            where=where,
            hint="Give the source a `train` split, or take them from the rows' head: `fewshot_holdout`.",
        )
    if not rows:
        raise InputError("The benchmark has no rows to score.", value=entry["source"], where=where)
    if form == "truthfulqa_gen":
        rows = [row | preprocess_function(row) for row in rows]  # a period after each answer, "I have no comment."
    if metadata.get("needs_preamble"):
        file = registry["preamble_file"]
        preamble = read_preamble(file) if file else published_preamble()
        rows = [{"preamble": preamble, **row} for row in rows]
    try:
        return {scored: _dataset(rows), SHOTS_SPLIT: _dataset(shots)}
    except (ValueError, TypeError) as error:  # of Arrow; the other forms have made each field one type
        raise InputError("A field has values of several types.", where=where, hint=str(error)) from None


def _dataset(rows: list[dict]) -> Dataset:
    """The same as `Dataset.from_list`, which takes six times as long: it hashes the rows, and nobody asks for that."""
    return Dataset(InMemoryTable(pyarrow.Table.from_pylist(rows)), fingerprint=generate_random_fingerprint())


@cache
def published_preamble() -> str:
    """The six question-answer pairs of TruthfulQA, read from the installed harness's own task definition."""
    manager = TaskManager(include_path=Path(lm_eval.__file__).parent / "tasks" / "truthfulqa", include_defaults=False)
    prompt = apply_template(manager.task_index["truthfulqa_gen"].cfg["doc_to_text"], {"question": ""})
    return prompt.removesuffix("\n\nQ: ")


def _set_sampler(task: ConfigurableTask, entry: dict) -> None:
    """`first_n` gives all questions the same shots, which a shared context then computes once."""
    sampler = entry.get("fewshot_sampler", "default")
    if sampler not in SAMPLERS:
        raise InputError(
            "Unknown few-shot sampler.",
            value=sampler,
            where=f"benchmark {entry['name']!r}",
            hint=f"Use {' or '.join(SAMPLERS)}.",
        )
    if sampler == "first_n" and entry.get("shots"):
        from lm_eval.api.samplers import FirstNSampler

        task.sampler = FirstNSampler(task.sampler.fewshot_docs(), rnd=None)


def _set_translation_prompt(task: ConfigurableTask, choice: str) -> None:
    """`prefix` is the definition's own prompt.

    `alpaca_template` makes the instruction one of Alpaca's form.
    """
    if choice not in TRANSLATION_PROMPTS:
        hint = f"Use {' or '.join(TRANSLATION_PROMPTS)}."
        raise InputError("Unknown translation prompt.", value=choice, where="evaluation.translation_prompt", hint=hint)
    if choice == "prefix":
        return
    (source, source_name), (_, target_name) = task.config.metadata["languages"].items()
    instruction = f"Translate the following from {source_name} to {target_name}"
    task.set_config("doc_to_text", lambda doc: format_prompt(instruction, doc["translation"][source]))

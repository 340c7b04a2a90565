"""Tasks of the LM Evaluation Harness, defined in config/harness/ and fed with rows from any source.

Each definition mirrors the harness's own task but for where its rows come from: it names `load_splits` as
lm-eval's `custom_dataset`, which lm-eval calls with the task's metadata. The registry entry travels in that
metadata.
"""

from functools import cache
from pathlib import Path

import lm_eval
from datasets import Dataset
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks.truthfulqa.utils import preprocess_function
from lm_eval.utils import apply_template

from plw.data.template import format_prompt
from plw.errors import InputError, nearest_hint
from plw.evaluation.rows import normalize_rows, read_preamble, scored_rows, shot_rows

TRANSLATION_PROMPTS = ("prefix", "alpaca_template")
SAMPLERS = ("default", "first_n")  # lm-eval's names


def load_task(entry: dict, *, folder: Path, evaluation: dict) -> ConfigurableTask:
    """Return the lm-eval task of a registry entry (see config/benchmarks.yaml), with its rows loaded.

    folder      where the definitions are (config/harness)
    evaluation  `fewshot_seed`, `translation_prompt` and `truthfulqa_preamble` are read
    Raises InputError if the definition, its rows or its few-shot examples are missing or have another form.
    """
    file = folder / f"{entry['task']}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        hint = nearest_hint(entry["task"], known) or f"known: {', '.join(known)}"
        raise InputError(
            "There is no such harness task.",
            value=entry["task"],
            where=f"benchmark {entry['name']!r}",
            hint=hint,
        )
    registry = {"entry": entry, "preamble_file": evaluation.get("truthfulqa_preamble")}
    manager = TaskManager(include_defaults=False, metadata={"registry": registry})
    (task,) = manager.load(str(file))["tasks"].values()
    task.set_config("num_fewshot", entry.get("shots", 0))
    _set_sampler(task, entry)
    task.set_fewshot_seed(evaluation.get("fewshot_seed", 1234))
    if entry.get("max_new_tokens") is not None:
        task.set_config("generation_kwargs", {"max_gen_toks": entry["max_new_tokens"]}, update=True)
    if "languages" in task.config.metadata:
        _set_translation_prompt(task, evaluation.get("translation_prompt", "prefix"))
    return task


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
    return {scored: Dataset.from_list(rows), "train": Dataset.from_list(shots)}


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

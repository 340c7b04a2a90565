"""Benchmarks of one's own: a file of questions, or a task of the harness in a file; no rule and no registry knows them.

Light import on purpose, as chain.py.
"""

from functools import lru_cache

from plw.errors import InputError
from plw.study.sources import named_files, read_rows

# What a benchmark of one's own need not say, by its task: a file of questions, or else a task of the harness.
OWN_TASK = {"framework": "harness", "group": "I", "type": "MC", "metric": "acc", "split": "test"}
OWN_TASKS = {
    "choices": {**OWN_TASK, "shots": 0},
    "answers": {**OWN_TASK, "group": "II", "type": "GS", "metric": "f1", "shots": 0, "max_new_tokens": 32},
}


def with_own_tasks(values: dict) -> dict:
    """The study with what its own benchmarks leave unsaid; what is no mapping stays for the schema to refuse."""
    benchmarks = values.get("benchmarks")
    if not isinstance(benchmarks, dict):
        return values
    filled = {}
    for name, entry in benchmarks.items():
        task = entry.get("task") if isinstance(entry, dict) else None
        known = OWN_TASK if is_task_file(task) else OWN_TASKS.get(task, {}) if isinstance(task, str) else {}
        filled[name] = {**known, **entry} if known else entry
    return {**values, "benchmarks": filled}


def is_task_file(task: object) -> bool:
    """Whether a benchmark's task is a file of one's own rather than a name in config/harness."""
    return isinstance(task, str) and task.endswith((".yaml", ".yml"))


CHARACTERS_OF_TOKEN = 4  # of English text, about (platform.openai.com/tokenizer: "one token generally ~4 characters")


def own_cost(entry: dict) -> dict | None:
    """The `cost` of a benchmark that is a local file of questions, from its rows; None of any other."""
    if entry.get("task") not in OWN_TASKS or "path" not in entry.get("source", {}):
        return None
    items, characters, choices = _counted(tuple(named_files(entry["source"])))
    if not items:
        return None
    written = entry.get("max_new_tokens") or 0
    tokens = characters / CHARACTERS_OF_TOKEN
    return {"items": items, "requests": max(choices, 1.0), "prompt_tokens": tokens, "new_tokens": written}


@lru_cache(maxsize=64)
def _counted(files: tuple[str, ...]) -> tuple[int, float, float]:
    """Rows, mean characters of their questions and mean number of their choices; no rows where they cannot be read."""
    try:
        rows = [row.value for row in read_rows({"path": list(files)}) if isinstance(row.value, dict)]
    except InputError:  # said when the benchmarks are read
        return 0, 0.0, 0.0
    count = max(len(rows), 1)
    characters = sum(len(str(row.get("question", ""))) for row in rows)
    choices = sum(len(row["choices"]) for row in rows if isinstance(row.get("choices"), list))
    return len(rows), characters / count, choices / count

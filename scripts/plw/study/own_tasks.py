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
REQUESTS = 4  # of a question with choices that are not counted: ARC's


def own_cost(entry: dict) -> dict | None:
    """The `cost` of a benchmark of one's own with local rows, counted in them; None of any other.

    What a task of the harness asks is not known before the harness reads it, so all texts of its rows count as prompt.
    """
    task, source = entry.get("task"), entry.get("source", {})
    if not (task in OWN_TASKS or is_task_file(task)) or "path" not in source:
        return None
    items, characters, choices = _counted(tuple(named_files(source)), is_task_file(task))
    if not items:
        return None
    written = entry.get("max_new_tokens") or 0
    requests = choices or (REQUESTS if entry["type"] == "MC" else 1)
    return {
        "items": items,
        "requests": requests,
        "prompt_tokens": characters / CHARACTERS_OF_TOKEN,
        "new_tokens": written if entry["type"] != "MC" else 0,
    }


@lru_cache(maxsize=64)
def _counted(files: tuple[str, ...], whole: bool) -> tuple[int, float, float]:
    """Rows, mean characters (of the question, or of all texts) and mean number of choices; none that cannot be read."""
    try:
        rows = [row.value for row in read_rows({"path": list(files)}) if isinstance(row.value, dict)]
    except InputError:  # said when the benchmarks are read
        return 0, 0.0, 0.0
    count = max(len(rows), 1)
    texts = (row.values() if whole else [row.get("question", "")] for row in rows)
    characters = sum(len(str(text)) for row in texts for text in row)
    choices = sum(len(row["choices"]) for row in rows if isinstance(row.get("choices"), list))
    return len(rows), characters / count, choices / count

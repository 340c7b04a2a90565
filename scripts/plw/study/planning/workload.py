"""What the jobs of a study read and write, in tokens, counted before anything runs.

A data set's lengths are those that its preflight.json and statistics.json hold once it is prepared; before that, those
that the study's plan estimates (`plan.lengths`), or those of the paper's Table 1. Printed rows are taken as a template
and a lognormal number of tokens with the table's mean and standard deviation (its fields taken as independent), cut at
`training.max_length`: a row costs at most that.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from statistics import NormalDist, fmean

from plw.errors import InputError
from plw.study.design import OWN_TASKS, is_task_file
from plw.study.layout import results
from plw.study.planning.batches import cut
from plw.study.runs import Run, benchmarks_of, reference_run
from plw.study.sources import named_files, read_rows

TEMPLATE_TOKENS = 45  # Alpaca's templates: about 53 tokens with an input, 35 without (LLaMA's tokenizer)
FIELDS = ("instruction", "input", "output")
CHARACTERS_OF_TOKEN = 4  # of English text, about (platform.openai.com/tokenizer: "one token generally ~4 characters")
REQUESTS = 4  # of a question with choices that are not counted: ARC's
QUANTILES = 256  # points at which a distribution of lengths is evaluated
# Standard deviation of written texts over their mean. Completions of Table 1: 0.75 (Short) to 1.0 (AlpacaData).
SPREAD = (0.75, 1.0)


@dataclass(frozen=True)
class Lengths:
    """Lengths of a data set's rows in tokens, template included, cut.

    rows        how many there are
    quantile    share of the rows, in (0, 1) → length
    prompt      mean tokens of a prompt, template included
    completion  mean tokens of a completion, uncut
    origin      measured (counted in the prepared data set) | estimated (by the study) | printed (Table 1)
    """

    rows: float
    quantile: Callable[[float], float]
    prompt: float
    completion: float
    origin: str

    @cached_property
    def mean(self) -> float:
        """Mean length of a cut row."""
        return fmean(self.quantile((index + 0.5) / QUANTILES) for index in range(QUANTILES))


def lognormal(mean: float, sd: float) -> Callable[[float], float]:
    """Quantile function of the lognormal distribution with these moments; a constant where either is 0."""
    if mean <= 0 or sd <= 0:
        return lambda share: mean
    variance = math.log1p((sd / mean) ** 2)
    normal = NormalDist(math.log(mean) - variance / 2, math.sqrt(variance))
    return lambda share: math.exp(normal.inv_cdf(share))


@lru_cache(maxsize=4096)  # hundreds of runs ask for the same few
def longest_of(count: int, mean: float, *, spread: float, limit: float = math.inf) -> float:
    """Expected length of the longest of `count` texts, each at most `limit`: what a batch takes that ends together."""
    quantile = lognormal(mean, spread * mean)
    return fmean(min(limit, quantile(((index + 0.5) / QUANTILES) ** (1 / count))) for index in range(QUANTILES))


def dataset_lengths(study: dict, name: str, printed: dict, root: Path = Path()) -> Lengths | None:
    """Lengths of a data set: measured where it is prepared, else as the study estimates them, else printed for the set
    that it stands for, else None.

    printed  `table_1.rows` of config/paper_numbers.yaml; Medium and Tiny (App. D) are taken as large as Short,
             the set that they resemble, because their sizes are not published
    root     the project's folder, below which the study's results lie
    """
    entry = study["datasets"][name]
    found = _measured(study, name, root) or _estimated(study, name) or _printed(study, name, printed)
    if found is None and "subset" in entry:
        parent = dataset_lengths(study, entry["from"], printed, root)
        return parent and replace(parent, rows=min(parent.rows, entry["subset"]["rows"]))
    return found


def _measured(study: dict, name: str, root: Path) -> Lengths | None:
    try:
        preflight, statistics = (
            json.loads((root / path).read_text(encoding="utf-8"))
            for path in results(study, f"data/{name}/preflight.json", f"data/{name}/statistics.json")
        )
        mean = preflight["mean_prompt_tokens"] + preflight["mean_completion_tokens"]
        sd = math.hypot(*(statistics["tokens"][field]["sd"] or 0.0 for field in FIELDS))
        rows, limit = preflight["rows"], preflight["max_length"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not prepared, or being written at this moment
    if limit != study["training"]["max_length"]:
        return None
    free = lognormal(mean, sd)
    level = mean / fmean(min(limit, free((index + 0.5) / QUANTILES)) for index in range(QUANTILES)) if mean else 1.0
    return Lengths(
        rows,
        lambda share: min(limit, level * free(share)),
        preflight["mean_prompt_tokens"],
        preflight["mean_completion_tokens"],
        origin="measured",
    )


def _estimated(study: dict, name: str) -> Lengths | None:
    found = study["plan"].get("lengths", {}).get(name)
    if found is None:
        return None
    limit, rows = study["training"]["max_length"], found["rows"]
    free = lognormal(found["prompt"] + found["completion"], found["sd"])
    return Lengths(
        min(rows, study["datasets"][name].get("limit", rows)),
        lambda share: min(limit, free(share)),
        found["prompt"],
        found["completion"],
        origin="estimated",
    )


def _printed(study: dict, name: str, printed: dict) -> Lengths | None:
    entry = study["datasets"][name]
    role = entry.get("stands_for", "")
    role = "AlpacaDataShort" if role in ("AlpacaDataMedium", "AlpacaDataTiny") else role
    origin = study["datasets"][entry["from"]] if "from" in entry else entry
    if role not in printed or "path" in origin.get("source", {}):
        return None  # local rows may stand for a set of the paper in a figure, but have lengths of their own
    row = printed[role]
    means = {field: row[field][0] for field in FIELDS}
    rows = row["total_tokens"] / sum(means.values())
    free = lognormal(sum(means.values()), math.hypot(*(row[field][1] or 0.0 for field in FIELDS)))
    limit = study["training"]["max_length"]
    return Lengths(
        min(rows, entry.get("limit", rows), origin.get("limit", rows)),
        lambda share: min(limit, TEMPLATE_TOKENS + free(share)),
        TEMPLATE_TOKENS + means["instruction"] + means["input"],
        means["output"],
        origin="printed",
    )


@dataclass(frozen=True)
class TrainingWork:
    """One fine-tuning: tokens of its rows, tokens that the ranks compute (padding and waiting included), updates and
    forward-backward steps of each rank."""

    tokens: float
    computed: float
    updates: int
    steps: int


def training_work(lengths: Lengths, training: dict) -> TrainingWork:
    """What one fine-tuning on rows of these lengths computes.

    The rows of an update are sorted by length and dealt out, so at each step all ranks wait for the longest row of the
    batches that stand next to each other in that order.
    """
    update_size = training["micro_batch"] * training["micro_batches_per_update"]
    longest, steps = _computed_of_a_row(lengths, training, update_size)
    per_epoch = lengths.rows / update_size
    per_epoch = math.floor(per_epoch) if training.get("last_window") == "drop" else math.ceil(per_epoch)
    updates = math.ceil(per_epoch * training["epochs"])
    rows = lengths.rows * training["epochs"]
    if training.get("last_window") == "drop":
        rows = updates * update_size
    return TrainingWork(rows * lengths.mean, rows * max(longest, lengths.mean), updates, updates * steps)


def rows_at_once(training: dict) -> int:
    """Sequences that a device sees at once; for `auto`, which depends on it, a logical micro-batch is counted with."""
    rows = training["physical_batch"]
    return training["micro_batch"] if rows == "auto" else rows


def _computed_of_a_row(lengths: Lengths, training: dict, update_size: int) -> tuple[float, int]:
    """Mean tokens that are computed for a row, padding included, and steps of an update."""
    ranks, budget = training["processes"], training.get("tokens_per_batch")
    if budget is None:
        at_once = ranks * rows_at_once(training)
        steps = math.ceil(update_size / at_once)
        places = [(step * at_once + 0.5) / max(update_size, at_once) for step in range(steps)]
        return fmean(lengths.quantile(1 - place) for place in places), steps
    drawn = [lengths.quantile(1 - (place + 0.5) / update_size) for place in range(update_size)]
    sizes = cut(drawn, physical_batch=1, tokens_per_batch=budget)
    cells = sum(size * drawn[end - size] for size, end in zip(sizes, accumulate(sizes), strict=True))
    return cells / update_size, math.ceil(len(sizes) / ranks)


@dataclass(frozen=True)
class InferenceWork:
    """Tokens read, and steps of writing (each writes one token for every row of a batch) as a range."""

    read: float
    steps: tuple[float, float]


def writing_steps(items: float, tokens: float, *, batch: int, limit: float | None) -> tuple[float, float]:
    """Steps to write `items` texts of a mean length: a batch goes on until its longest text ends."""
    if not tokens:
        return (0.0, 0.0)
    low, high = (longest_of(batch, tokens, spread=spread, limit=limit or math.inf) for spread in SPREAD)
    return (math.ceil(items / batch) * low, math.ceil(items / batch) * high)


def benchmark_cost(entry: dict) -> dict | None:
    """A benchmark's `cost`, shrunk to its `limit`; None where it has none, and no rows of one's own that tell it."""
    cost = entry.get("cost") or own_cost(entry)
    return None if cost is None else {**cost, "items": min(cost["items"], entry.get("limit") or cost["items"])}


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


def benchmark_work(entry: dict, *, batch: int) -> InferenceWork | None:
    """What measuring one model on a benchmark reads and writes."""
    cost = benchmark_cost(entry)
    if cost is None:
        return None
    read = cost["items"] * cost["requests"] * cost["prompt_tokens"]
    limit = entry.get("max_new_tokens") or 256  # lm-eval's own
    return InferenceWork(read, writing_steps(cost["items"], cost["new_tokens"], batch=batch, limit=limit))


def memorisation_prompts(study: dict, run: Run, lengths: Lengths | None) -> float:
    """Training prompts that a run's model completes (§5.3.3); 0 where its data set is not asked."""
    settings = study.get("mechanism", {}).get("memorisation", {})
    if run.dataset not in settings.get("datasets", []):
        return 0
    prompts = settings.get("prompts", 10_000)
    return min(prompts, lengths.rows) if lengths else prompts


def memorisation_work(study: dict, run: Run, lengths: Lengths) -> InferenceWork:
    """What completing training prompts reads and writes."""
    prompts = memorisation_prompts(study, run, lengths)
    limit = study["mechanism"].get("memorisation", {}).get("max_new_tokens")
    batch = study["evaluation"].get("batch_size", 1)
    return InferenceWork(prompts * lengths.prompt, writing_steps(prompts, lengths.completion, batch=batch, limit=limit))


def judgements(run: Run, study: dict) -> dict[str, int]:
    """Verdicts that a run needs of each judge; PandaLM's judge sees both orders of a pair.

    The run that a judge compares all others with needs none: its texts are the reference's own.
    """
    counts = {}
    for name in benchmarks_of(run, study):
        entry = study["benchmarks"][name]
        cost = benchmark_cost(entry)
        if entry["framework"] != "harness" and cost is not None and not _is_reference(run, study, name):
            counts[name] = cost["items"] * (2 if entry["framework"] == "pandalm" else 1)
    return counts


def _is_reference(run: Run, study: dict, benchmark: str) -> bool:
    try:
        return reference_run(study, [run], benchmark) is not None
    except KeyError:
        return False

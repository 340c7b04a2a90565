"""What a study would cost, before anything runs: runs, GPU hours, disk, judgements.

Arithmetic from the study's own numbers and the assumptions of its `plan` section; no file is read, nothing is measured.
Light import on purpose: a dry run prints this while Snakemake parses.
"""

from typing import Any

from plw.study.runs import Run, benchmarks_of

TEMPLATE_TOKENS = 45  # Alpaca's templates: about 53 tokens with an input, 35 without (LLaMA's tokenizer)
TRAINING_FLOPS = 6  # per weight and token: 2 forward, 4 backward
RECOMPUTING_FLOPS = 8  # gradient checkpointing reads everything twice
READING_FLOPS = 2
BYTES_PER_WEIGHT = {"float32": 4, "bfloat16": 2}
CHECKPOINT_BYTES = 12  # float32 master weights and Adam's two moments
SECONDS_PER_HOUR = 3600.0


def dataset_tokens(entry: dict, printed: dict) -> tuple[float, float] | None:
    """Tokens of fields and rows of a data set that stands for one of Table 1; None for any other.

    printed  `table_1.rows` of config/paper_numbers.yaml; Medium and Tiny (App. D) are taken as large as Short,
             the set that they resemble, because their sizes are not published
    """
    name = entry.get("stands_for", "")
    name = "AlpacaDataShort" if name in ("AlpacaDataMedium", "AlpacaDataTiny") else name
    if name not in printed:
        return None
    row = printed[name]
    tokens = float(row["total_tokens"])
    rows = tokens / sum(row[field][0] for field in ("instruction", "input", "output"))
    limit = entry.get("limit")
    return (tokens, rows) if limit is None or limit >= rows else (tokens * limit / rows, float(limit))


def training_hours(run: Run, study: dict, printed: dict) -> float | None:
    """GPU hours of one fine-tuning; None where the model's size or the data's is not known."""
    parameters = study["ptlms"][run.ptlm].get("parameters")
    size = dataset_tokens(study["datasets"][run.dataset], printed)
    if parameters is None or size is None:
        return None
    plan, training = study["plan"], study["training"]
    tokens = (size[0] + size[1] * TEMPLATE_TOKENS) * training["epochs"]
    flops = RECOMPUTING_FLOPS if training.get("gradient_checkpointing") else TRAINING_FLOPS
    return flops * parameters * tokens / (plan["gpu_flops"] * plan["training_utilisation"]) / SECONDS_PER_HOUR


def inference_hours(parameters: float, *, read: float, written: float, batch: int, plan: dict) -> float:
    """GPU hours to read prompts (bound by arithmetic) and to write tokens (bound by moving bfloat16 weights)."""
    reading = READING_FLOPS * parameters * read / (plan["gpu_flops"] * plan["reading_utilisation"])
    writing = (
        BYTES_PER_WEIGHT["bfloat16"]
        * parameters
        * written
        / batch
        / (plan["gpu_bandwidth"] * plan["writing_utilisation"])
    )
    return (reading + writing) / SECONDS_PER_HOUR


def _cost(entry: dict) -> dict | None:
    """A benchmark's `cost`, shrunk to its `limit`."""
    cost = entry.get("cost")
    return None if cost is None else {**cost, "items": min(cost["items"], entry.get("limit") or cost["items"])}


def evaluation_hours(run: Run, study: dict) -> float | None:
    """GPU hours of measuring one run on its benchmarks; None where something is not known."""
    parameters = study["ptlms"][run.ptlm].get("parameters")
    costs: list[Any] = [_cost(study["benchmarks"][name]) for name in benchmarks_of(run, study)]
    if parameters is None or None in costs:
        return None
    read = sum(cost["items"] * cost["requests"] * cost["prompt_tokens"] for cost in costs)
    written = sum(cost["items"] * cost["new_tokens"] for cost in costs)
    batch = study["evaluation"].get("batch_size", 1)
    return inference_hours(parameters, read=read, written=written, batch=batch, plan=study["plan"])


def judgements(run: Run, study: dict) -> dict[str, int]:
    """Verdicts that a run needs of each judge; PandaLM's judge sees both orders of a pair."""
    counts = {}
    for name in benchmarks_of(run, study):
        entry = study["benchmarks"][name]
        cost = _cost(entry)
        if entry["framework"] != "harness" and cost is not None:
            counts[name] = cost["items"] * (2 if entry["framework"] == "pandalm" else 1)
    return counts


def judging_hours(name: str, verdicts: int, study: dict) -> float | None:
    """GPU hours of one judge; None where its size is not known."""
    judge, cost = study["judges"][name], study["benchmarks"][name].get("cost")
    if judge.get("parameters") is None or cost is None or "verdict_tokens" not in cost:
        return None
    read, written = cost["verdict_tokens"]
    return inference_hours(
        judge["parameters"], read=verdicts * read, written=verdicts * written, batch=1, plan=study["plan"]
    )


def plan_study(study: dict, runs: list[Run], printed: dict) -> dict:
    """The cost of all runs: {runs, experiments, gpu_hours {training, evaluation, judging}, judgements, disk_bytes}.

    gpu_hours  None where a model's or data set's size is not known
    disk_bytes kept at the end, and for each training at work (its checkpoints)
    """
    verdicts: dict[str, int] = {}
    for run in runs:
        for name, count in judgements(run, study).items():
            verdicts[name] = verdicts.get(name, 0) + count
    sizes = [study["ptlms"][run.ptlm].get("parameters") for run in runs]
    known = None not in sizes
    saved = BYTES_PER_WEIGHT[study["training"].get("save_dtype", "float32")]
    return {
        "runs": len(runs),
        "experiments": {name: sum(name in run.experiments for run in runs) for name in study["run_experiments"]},
        "gpu_hours": {
            "training": _total(training_hours(run, study, printed) for run in runs),
            "evaluation": _total(evaluation_hours(run, study) for run in runs),
            "judging": _total(judging_hours(name, count, study) for name, count in verdicts.items()),
        },
        "judgements": verdicts,
        "disk_bytes": {
            "kept": (saved * sum(sizes) if study.get("keep_models") else 0.0) if known else None,
            "each_training": (saved + CHECKPOINT_BYTES) * max(sizes) if known else None,
        },
    }


def _total(values) -> float | None:
    values = list(values)
    return None if None in values else float(sum(values))


def plan_text(plan: dict, study: dict) -> str:
    """The plan as a dry run prints it."""
    parts = ", ".join(f"{name} {count}" for name, count in plan["experiments"].items())
    verdicts = ", ".join(f"{name} {count:,}" for name, count in plan["judgements"].items())
    lines = [
        f"Study {study['name']}: {plan['runs']} runs ({parts}; a run that several experiments share is made once).",
        f"Judgements: {verdicts or 'none'}.",
    ]
    hours = plan["gpu_hours"]
    if None not in hours.values():
        detail = ", ".join(f"{name} {value:,.0f}" for name, value in hours.items())
        lines.append(
            f"GPU hours ({study['plan']['gpu']}, estimated from the study's plan section): "
            f"{sum(hours.values()):,.0f} ({detail})."
        )
    disk = plan["disk_bytes"]
    if disk["kept"] is not None:
        kept = f"{disk['kept'] / 1e12:,.1f} TB of models" if disk["kept"] else "no models (keep_models: false)"
        lines.append(
            f"Disk: {kept} kept at the end, and while it runs up to {disk['each_training'] / 1e9:,.0f} GB for each "
            "training at work (model and last checkpoint)."
        )
    return "\n".join(lines)

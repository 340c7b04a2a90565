"""What a study would cost, before anything runs: jobs, GPU hours, disk, judgements; as a range, with what it rests on.

workload.py counts tokens, cost.py turns them into hours; here they are added up by experiment and stage and put into
words. Light import on purpose: a dry run prints this while Snakemake parses.
"""

from collections.abc import Iterable
from pathlib import Path

from plw.study.design import batches, judgement_files
from plw.study.planning.cost import BYTES_PER_WEIGHT, CHECKPOINT_BYTES, Cost, Span
from plw.study.planning.device import measured_on
from plw.study.planning.workload import judgements
from plw.study.runs import Run, datasets_of

STAGES = ("training", "evaluation", "mechanism", "judging")


def count_jobs(study: dict, runs: list[Run]) -> dict[str, int]:
    """Jobs by rule of everything that grows with the study's runs and data sets."""
    datasets = len(datasets_of(runs, study))
    return {
        "prepare_dataset": datasets,
        "describe_dataset": datasets,
        "train_model": len(runs),
        "evaluate_model": len(runs),
        "measure_mechanism": len(runs) if "mechanism" in study else 0,
        "judge_outputs": len(judgement_files(study, runs)),
    }


def plan_study(study: dict, runs: list[Run], printed: dict, root: Path = Path()) -> dict:
    """The cost of all runs.

    printed  `table_1.rows` of config/paper_numbers.yaml
    root     the project's folder, below which measured lengths and rates lie
    Returns {runs, experiments {name: runs}, jobs {rule: number}, tokens, computed_tokens, measured_lengths,
    measured_rates, measured_on, gpu_hours {stage: Span}, hours_by_experiment {experiment: {stage: Span}}, judgements,
    disk_bytes {kept, each_training}}; None in place of a number that rests on something unknown.
    A run that several experiments share is counted with the first of them.
    """
    cost = Cost(study, printed, root)
    sets = {run.dataset for run in runs}
    by_experiment = {
        name: _hours(study, [run for run in runs if run.experiments[0] == name], cost)
        for name in study["run_experiments"]
    }
    work = [cost.work[run.dataset] for run in runs]
    sizes = [study["ptlms"][run.ptlm].get("parameters") for run in runs]
    known = None not in sizes
    saved = BYTES_PER_WEIGHT[study["training"].get("save_dtype", "float32")]
    checkpoints = 2 * CHECKPOINT_BYTES if study["training"].get("checkpoint_steps") else 0
    return {
        "runs": len(runs),
        "experiments": {name: sum(name in run.experiments for run in runs) for name in study["run_experiments"]},
        "jobs": count_jobs(study, runs),
        "tokens": _total(None if one is None else one.tokens for one in work),
        "computed_tokens": _total(None if one is None else one.computed for one in work),
        "measured_lengths": all(one is not None and one.measured for one in map(cost.lengths.get, sets)),
        "measured_rates": study["plan"].get("measured") if cost.measured else None,
        "measured_on": measured_on(cost.measured),
        "gpu_hours": {stage: _sum(hours[stage] for hours in by_experiment.values()) for stage in STAGES},
        "hours_by_experiment": by_experiment,
        "judgements": _verdicts(study, runs),
        "disk_bytes": {
            "kept": (saved * sum(sizes) if study.get("keep_models") else 0.0) if known else None,
            "each_training": (saved + checkpoints) * max(sizes) if known else None,
        },
    }


def _verdicts(study: dict, runs: list[Run]) -> dict[str, int]:
    verdicts: dict[str, int] = {}
    for run in runs:
        for name, count in judgements(run, study).items():
            verdicts[name] = verdicts.get(name, 0) + count
    return verdicts


def _hours(study: dict, runs: list[Run], cost: Cost) -> dict[str, Span | None]:
    groups = len(batches(runs))
    judged = _verdicts(study, runs).items()
    return {
        "training": _sum(cost.training_hours(run) for run in runs),
        "evaluation": _sum(cost.evaluation_hours(run) for run in runs),
        "mechanism": _sum(cost.mechanism_hours(run) for run in runs),
        "judging": _sum(cost.judging_hours(name, count, groups) for name, count in judged),
    }


def _sum(spans: Iterable[Span | None]) -> Span | None:
    total = Span()
    for span in spans:
        if span is None:
            return None
        total += span
    return total


def _total(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _range(span: Span | None) -> str:
    if span is None:
        return "?"
    if not span.high:
        return "0"
    digits = 0 if span.high >= 10 else 2
    return f"{span.low:,.{digits}f}–{span.high:,.{digits}f}"


def plan_text(plan: dict, study: dict) -> str:
    """The plan as a dry run prints it."""
    parts = ", ".join(f"{name} {count}" for name, count in plan["experiments"].items())
    verdicts = ", ".join(f"{name} {count:,}" for name, count in plan["judgements"].items())
    lines = [
        f"Study {study['name']}: {plan['runs']} runs ({parts}; a run that several experiments share is made once).",
        f"Judgements: {verdicts or 'none'}.",
    ]
    if plan["tokens"] is not None:
        source = "measured lengths" if plan["measured_lengths"] else "Table 1's lengths"
        lines.append(
            f"Training: {plan['tokens'] / 1e6:,.1f} million tokens, {plan['computed_tokens'] / 1e6:,.1f} with padding "
            f"({source}, cut at {study['training']['max_length']})."
        )
    total = _sum(plan["gpu_hours"].values())
    if total is not None:
        unit = "Hours" if study["training"].get("device") == "cpu" else "GPU hours"
        rates = f"rates of {study['plan']['gpu']}, assumed"
        if plan["measured_rates"]:
            rates = f"measured rates of {plan['measured_rates']}"
        if plan["measured_on"]:
            rates = f"rates {plan['measured_on']}, others assumed: {plan['measured_rates']}"
        lines.append(f"{unit} ({rates}): {_range(total)}")
        rows = [("", *STAGES), *((name, *map(_range, of.values())) for name, of in plan["hours_by_experiment"].items())]
        rows.append(("all", *(_range(plan["gpu_hours"][stage]) for stage in STAGES)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    disk = plan["disk_bytes"]
    if disk["kept"] is not None:
        kept = f"{disk['kept'] / 1e12:,.1f} TB of models" if disk["kept"] else "no models (keep_models: false)"
        lines.append(
            f"Disk: {kept} kept at the end, and while it runs up to {disk['each_training'] / 1e9:,.0f} GB for each "
            "training at work (model and two checkpoints: the old one goes when the new one is whole)."
        )
    return "\n".join(lines)

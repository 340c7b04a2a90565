"""What a study would cost, before anything runs: jobs, GPU hours, disk, judgements; as a range, with what it rests on.

workload.py counts tokens, cost.py turns them into hours; here they are added up by experiment and stage and put into
words. Light import on purpose: a dry run prints this while Snakemake parses.
"""

from collections.abc import Iterable
from pathlib import Path

from plw.study.design import judgement_files
from plw.study.planning.cost import BYTES_PER_WEIGHT, CHECKPOINT_BYTES, SECONDS_PER_HOUR, Cost, Span
from plw.study.planning.device import measured_on
from plw.study.planning.fit import memory_text, training_fits
from plw.study.planning.machine import Speed
from plw.study.planning.processor import count_all_jobs
from plw.study.planning.workload import judgements
from plw.study.runs import Run

BUSY = 0.9  # a job that gets less of a core than this shares the machine
STAGES = ("training", "evaluation", "mechanism", "judging")


def plan_study(
    study: dict, runs: list[Run], printed: dict, root: Path = Path(), *, speed: Speed | None = None, cores: int = 1
) -> dict:
    """The cost of all runs.

    printed  `table_1.rows` of config/paper_numbers.yaml
    root     the project's folder, below which measured lengths and rates lie
    speed    of this machine, for a study whose hours are a processor's; None: taken as that of `plan.processor`
    cores    on which such a study would run
    Returns {runs, experiments {name: runs}, jobs {rule: number}, tokens, computed_tokens, lengths (set of their
    origins), measured_rates, measured_on, gpu_hours {stage: Span}, hours_by_experiment {experiment: {stage: Span}},
    judgements, memory [Fit], disk_bytes {kept, each_training}, processor}; None in place of a number that rests on
    something unknown.
    `processor` is None where hours are a GPU's, else {hours {world, rest: Span}, seconds (Span, on the clock, where
    nothing else runs), cores, factor, share}.
    A run that several experiments share is counted with the first of them.
    """
    factor = speed.processor / study["plan"]["processor"]["unit"] if speed else 1.0
    cost = Cost(study, printed, root, factor=factor)
    sets = {run.dataset for run in runs}
    by_experiment: dict[str, dict[str, Span | None]] = {}
    judged: set[str] = set()
    for name in study["run_experiments"]:
        own = [run for run in runs if run.experiments[0] == name]
        files = set(judgement_files(study, own))
        by_experiment[name] = _hours(study, own, cost, files - judged)
        judged |= files
    work = [cost.work[run.dataset] for run in runs]
    sizes = [study["ptlms"][run.ptlm].get("parameters") for run in runs]
    known = None not in sizes
    saved = BYTES_PER_WEIGHT[study["training"].get("save_dtype", "float32")]
    checkpoints = 2 * CHECKPOINT_BYTES if study["training"].get("checkpoint_steps") else 0
    here = {"factor": factor, "share": speed.share if speed else 1.0}
    hours = {stage: _sum(found[stage] for found in by_experiment.values()) for stage in STAGES}
    return {
        "runs": len(runs),
        "experiments": {name: sum(name in run.experiments for run in runs) for name in study["run_experiments"]},
        "jobs": count_all_jobs(study, runs),
        "tokens": _total(None if one is None else one.tokens for one in work),
        "computed_tokens": _total(None if one is None else one.computed for one in work),
        "lengths": {one.origin if one else None for one in map(cost.lengths.get, sets)},
        "measured_rates": study["plan"].get("measured") if cost.has_measured else None,
        "measured_on": measured_on(cost.measured),
        "gpu_hours": hours,
        "hours_by_experiment": by_experiment,
        "judgements": _verdicts(study, runs),
        "memory": training_fits(study, runs, printed, root),
        "disk_bytes": {
            "kept": (saved * sum(sizes) if study.get("keep_models") else 0.0) if known else None,
            "each_training": (saved + checkpoints) * max(sizes) if known else None,
        },
        "processor": _on_processor(cost, runs, hours, cores) | here if cost.on_processor else None,
    }


def _on_processor(cost: Cost, runs: list[Run], hours: dict[str, Span | None], cores: int) -> dict:
    """Hours of what is not in `hours`, and seconds on the clock.

    After the start jobs keep all cores busy, but no study is done before its longest chain: world, a ptlm, the judge,
    the longest run, statistics, report.
    """
    start = cost.starting_seconds()
    world, rest = cost.world_seconds(runs), cost.remaining_seconds(runs)
    around = {
        name: (_sum(span for found in jobs.values() for span in found) or Span()) * (1 / SECONDS_PER_HOUR)
        for name, jobs in (("world", world), ("rest", {**rest, "starting": [start]}))
    }
    total, longest = _sum([*hours.values(), *around.values()]), _longest(cost.training_seconds(run) for run in runs)
    evaluated = _longest(map(cost.evaluation_hours, runs))
    if total is None or longest is None or evaluated is None:
        return {"hours": around, "seconds": None, "cores": cores}
    chain = longest + evaluated * SECONDS_PER_HOUR
    for jobs in (*world.values(), *(rest.get(rule, []) for rule in ("fit_glmm", "check_regression", "build_report"))):
        chain += _longest(jobs) or Span()
    spread = Span(total.low - start.low / SECONDS_PER_HOUR, total.high - start.high / SECONDS_PER_HOUR)
    spread *= SECONDS_PER_HOUR / cores
    return {
        "hours": around,
        "seconds": start + Span(max(spread.low, chain.low), max(spread.high, chain.high)),
        "cores": cores,
    }


def _longest(spans: Iterable[Span | None]) -> Span | None:
    found = list(spans)
    if None in found:
        return None
    known = [span for span in found if span is not None]
    return Span(max((span.low for span in known), default=0.0), max((span.high for span in known), default=0.0))


def _verdicts(study: dict, runs: list[Run]) -> dict[str, int]:
    verdicts: dict[str, int] = {}
    for run in runs:
        for name, count in judgements(run, study).items():
            verdicts[name] = verdicts.get(name, 0) + count
    return verdicts


def _hours(study: dict, runs: list[Run], cost: Cost, judgements_made: set[str]) -> dict[str, Span | None]:
    """Hours by stage; each of `judgements_made`, which no experiment before has made, loads its judge."""
    judged = _verdicts(study, runs).items()
    return {
        "training": _sum(cost.training_hours(run) for run in runs),
        "evaluation": _sum(cost.evaluation_hours(run) for run in runs),
        "mechanism": _sum(cost.mechanism_hours(run) for run in runs),
        "judging": _sum(
            cost.judging_hours(name, count, sum(file.startswith(f"{name}/") for file in judgements_made))
            for name, count in judged
        ),
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
        lines.append(
            f"Training: {plan['tokens'] / 1e6:,.1f} million tokens, {plan['computed_tokens'] / 1e6:,.1f} with padding "
            f"({_origin(plan['lengths'])}, cut at {study['training']['max_length']})."
        )
    total = _sum(plan["gpu_hours"].values())
    if total is not None:
        lines += _processor_text(plan, study) if plan["processor"] else [_rates_text(plan, study, total)]
        show = _minutes if plan["processor"] else _range
        rows = [("", *STAGES), *((name, *map(show, of.values())) for name, of in plan["hours_by_experiment"].items())]
        rows.append(("all", *(show(plan["gpu_hours"][stage]) for stage in STAGES)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += memory_text(plan["memory"])
    disk = plan["disk_bytes"]
    if disk["kept"] is not None:
        kept = f"{disk['kept'] / 1e12:,.1f} TB of models" if disk["kept"] else "no models (keep_models: false)"
        lines.append(
            f"Disk: {kept} kept at the end, and while it runs up to {disk['each_training'] / 1e9:,.0f} GB for each "
            "training at work (model and two checkpoints: the old one goes when the new one is whole)."
        )
    return "\n".join(lines)


def _origin(lengths: set[str | None]) -> str:
    named = {
        "measured": "measured lengths",
        "estimated": "the study's estimate",
        "printed": "Table 1's lengths",
    }
    return " and ".join(text for origin, text in named.items() if origin in lengths)


def _rates_text(plan: dict, study: dict, total: Span) -> str:
    unit = "Hours" if study["training"].get("device") == "cpu" else "GPU hours"
    rates = f"rates of {study['plan']['gpu']}, assumed"
    if plan["measured_rates"]:
        rates = f"measured rates of {plan['measured_rates']}"
    if plan["measured_on"]:
        rates = f"rates {plan['measured_on']}, others assumed: {plan['measured_rates']}"
    return f"{unit} ({rates}): {_range(total)}"


def _processor_text(plan: dict, study: dict) -> list[str]:
    found, around = plan["processor"], plan["processor"]["hours"]
    total = _sum([*plan["gpu_hours"].values(), *around.values()]) or Span()
    rates = f"as on {study['plan']['processor']['name']}, times {found['factor']:.2f} by a trial on this machine"
    if plan["measured_rates"]:
        rates = f"as measured on this machine, {plan['measured_rates']}"
    lines = [f"Jobs: {sum(plan['jobs'].values())}, from nothing to the report."]
    if found["seconds"] is not None:
        hours = found["seconds"] * (1 / SECONDS_PER_HOUR)
        cores = "1 core" if found["cores"] == 1 else f"{found['cores']} cores"
        busy = f", {_minutes(hours * (1 / found['share']))} as busy as it is now" if found["share"] < BUSY else ""
        lines.append(f"Minutes on {cores} of this machine: {_minutes(hours)} if nothing else runs{busy}.")
    lines.append(
        f"Minutes of a core ({rates}): {_minutes(total)}; of these {_minutes(around['world'])} for the world, its "
        f"ptlms and judge, {_minutes(around['rest'])} for data, statistics, figures, tables and report, and:"
    )
    return lines


def _minutes(span: Span | None) -> str:
    """Hours as minutes; one number where both ends are the same to the tenth."""
    if span is None:
        return "?"
    low, high = (f"{60 * hours:.1f}" for hours in (span.low, span.high))
    return low if low == high else f"{low}–{high}"

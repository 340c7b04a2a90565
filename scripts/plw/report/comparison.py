"""What a study took beside what was planned for it, and its rates, which later plans use (plw.study.planning.cost)."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from plw.study.planning.cost import SECONDS_PER_HOUR, Cost, Span
from plw.study.planning.workload import benchmark_cost
from plw.study.runs import Run, batch_of

COLUMNS = ("stage", "what", "unit", "planned_low", "planned_high", "measured")


def read_job_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """Wall seconds by rule and job from Snakemake's benchmark files, folder/RULE/JOB.tsv; of repeats the last.

    The one job of folder/RULE.tsv has an empty name.
    """
    seconds: dict[str, dict[str, float]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        rule, *job = path.relative_to(folder).with_suffix("").parts
        with open(path, encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream, delimiter="\t"))
        if lines:
            seconds.setdefault(rule, {})["/".join(job)] = float(lines[-1]["s"])
    return seconds


def _row(stage: str, what: str, unit: str, planned: Span | float | None, measured: float | None) -> dict:
    span = Span(planned, planned) if isinstance(planned, int | float) else planned
    low, high = (None, None) if span is None else (span.low, span.high)
    return dict(zip(COLUMNS, (stage, what, unit, low, high, measured), strict=True))


def compare(
    study: dict,
    plan: dict,
    *,
    records: Mapping[str, dict],
    judgements: Sequence[dict],
    seconds: Mapping[str, Mapping[str, float]],
) -> list[dict]:
    """Rows of {stage, what, unit, planned_low, planned_high, measured}; None in place of what is not known.

    plan        of `plan_study`, without a pilot's rates
    records     run id → run.json
    judgements  judgements/BENCHMARK/BATCH.json of all judges and batches
    seconds     of `read_job_seconds`
    A job's hours count for each GPU that its rule asks for, or once where it asks for none.
    """
    rows = [
        _row("jobs", rule.replace("_", " "), "jobs", count, float(len(seconds[rule])))
        for rule, count in plan["jobs"].items()
        if rule in seconds
    ]
    tokens = float(sum(record["tokens"] for record in records.values()))
    rows.append(_row("training", "tokens of rows", "tokens", plan["tokens"], tokens))
    training = sum(record["seconds_training"] for record in records.values())
    rows.append(_row("training", "speed of all ranks", "tokens/s", None, tokens / training if training else None))
    ranks = study["training"]["processes"]
    unit = "hours" if study["training"].get("device") == "cpu" else "GPU hours"
    taken = {
        "training": ranks * sum(seconds.get("train_model", {}).values()),
        "evaluation": sum(seconds.get("evaluate_model", {}).values()),
        "mechanism": sum(seconds.get("measure_mechanism", {}).values()),
        "judging": sum(
            max(study["judges"][job.partition("/")[0]].get("gpus", 0), 1) * value
            for job, value in seconds.get("judge_outputs", {}).items()
        ),
    }
    for stage, measured in taken.items():
        planned = plan["gpu_hours"][stage]
        rows.append(_row(stage, "time in all", unit, planned, measured / 3600))
    asked: dict[str, float] = {}
    for batch in judgements:
        asked[batch["benchmark"]] = asked.get(batch["benchmark"], 0) + sum(
            run["n_asked"] for run in batch["runs"].values()
        )
    rows += [_row("judging", name, "verdicts", plan["judgements"].get(name), count) for name, count in asked.items()]
    sizes = [study["ptlms"][record["ptlm"]].get("parameters") for record in records.values()]
    states = (
        None if None in sizes or not sizes else 16 * max(sizes) / ranks / 1e9
    )  # bfloat16 weights and gradients, Adam
    sharded = study["training"].get("zero_stage") == 3
    for place, planned in (("device", states if sharded else None), ("host", None)):
        peaks = [value for record in records.values() if (value := record["peak_memory_bytes"].get(place))]
        if peaks:
            what = f"peak memory, {place}" + (", planned without activations" if planned else "")
            rows.append(_row("training", what, "GB", planned, max(peaks) / 1e9))
    return rows


def rates(
    study: dict,
    runs: Mapping[str, Run],
    *,
    records: Mapping[str, dict],
    evaluations: Mapping[str, dict],
    mechanisms: Mapping[str, dict],
    judgements: Sequence[dict],
    seconds: Mapping[str, Mapping[str, float]],
) -> dict:
    """The study's rates as [slowest, fastest] of its runs, in the form that plw.study.planning.cost reads.

    evaluations, mechanisms  run id → evaluation.json, mechanism.json
    """
    sizes = {run: study["ptlms"][runs[run].ptlm].get("parameters") for run in records}
    common = next(iter(sizes.values())) if len(set(sizes.values())) == 1 else None
    trained: dict[str, dict] = {}
    start = []
    for run, record in records.items():
        found = trained.setdefault(record["ptlm"], {"parameters": sizes[run], "tokens_per_second": []})
        found["tokens_per_second"].append(record["tokens_per_second"])
        if run in seconds.get("train_model", {}):
            start.append(max(seconds["train_model"][run] - record["seconds_training"], 0.0))
    measured: dict[str, list[float]] = {}
    for index in evaluations.values():
        for name, result in index["benchmarks"].items():
            cost = benchmark_cost(study["benchmarks"][name])
            items = result.get("n") or (cost and cost["items"])
            if items and result["seconds"]:
                measured.setdefault(name, []).append(items / result["seconds"])
    memorised = [
        found["memorisation"]["prompts"] / found["seconds"]
        for found in mechanisms.values()
        if found.get("memorisation") and found["seconds"]
    ]
    judged: dict[str, list[float]] = {}
    for batch in judgements:
        first, name = runs.get(next(iter(batch["runs"]), "")), batch["benchmark"]
        job = f"{name}/{batch_of(first, study['judges'][name])}" if first else ""
        taken = seconds.get("judge_outputs", {}).get(job)
        if taken:
            count = sum(run["n_asked"] for run in batch["runs"].values())
            judged.setdefault(name, []).append(count / taken)
    return {
        "study": study["name"],
        "devices": sorted({record["device"]["model"] or record["device"]["cpu"] for record in records.values()}),
        "training": {
            name: found | {"tokens_per_second": _ends(found["tokens_per_second"])} for name, found in trained.items()
        },
        "training_start_seconds": _ends(start) if start else [0.0, 0.0],
        "evaluation": {
            name: {"parameters": common, "items_per_second": _ends(found)} for name, found in measured.items()
        },
        "mechanism": {"memorisation": {"parameters": common, "items_per_second": _ends(memorised)}}
        if memorised
        else {},
        "judging": {
            name: {"source": study["judges"][name]["source"], "items_per_second": _ends(found)}
            for name, found in judged.items()
            if max(found) > 0
        },
    }


def processor_factors(
    cost: Cost, runs: Mapping[str, Run], verdicts: Mapping[str, int], seconds: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """How many times as long as planned the jobs of each rule took, and all of them ("all"), on this machine.

    cost      the study's, without what a pilot measured
    verdicts  by judged benchmark, of all runs
    """
    trained, evaluated, measured = (
        [runs[name] for name in seconds.get(rule, {}) if name in runs]
        for rule in ("train_model", "evaluate_model", "measure_mechanism")
    )
    judged = seconds.get("judge_outputs", {})
    jobs = {name: sum(job.startswith(f"{name}/") for job in judged) for name in verdicts}
    hours: dict[str, list[Span | None]] = {
        "evaluate_model": [cost.evaluation_hours(run) for run in evaluated],
        "measure_mechanism": [cost.mechanism_hours(run) for run in measured],
        "judge_outputs": [cost.judging_hours(name, verdicts[name], count) for name, count in jobs.items() if count],
    }
    planned: dict[str, list[Span | None]] = {
        "train_model": [cost.training_seconds(run) for run in trained],
        **{rule: [span and span * SECONDS_PER_HOUR for span in found] for rule, found in hours.items()},
        **{rule: [*found] for rule, found in cost.world_seconds(list(runs.values())).items()},
    }
    known = {
        rule: (sum(taken.values()), sum(span.low for span in spans if span))
        for rule, taken in seconds.items()
        if (spans := planned.get(rule)) and None not in spans
    }
    factors = {rule: taken / said for rule, (taken, said) in known.items() if said}
    taken, said = (sum(column) for column in zip(*known.values(), strict=True)) if known else (0.0, 0.0)
    return factors | ({"all": taken / said} if said else {})


def _ends(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)]


def as_markdown(rows: Sequence[dict], *, name: str, devices: Sequence[str]) -> str:
    """The rows as a page: planned range, what was measured, and whether it lies inside."""
    lines = [
        f"# {name}: planned and measured",
        "",
        f"On {', '.join(devices) or 'no device'}. Planned from the rates that the study's `plan` assumes.",
        "",
        "| stage | what | unit | planned | measured | inside |",
        "|---|---|---|---:|---:|---|",
    ]
    for row in rows:
        low, high, measured = row["planned_low"], row["planned_high"], row["measured"]
        planned = "–" if low is None else _number(low) if low == high else f"{_number(low)} to {_number(high)}"
        inside = "–"
        if low is not None and measured is not None:
            # A count counts as met within a fifth, the plan's own promise.
            inside = "yes" if min(low, 0.8 * high) <= measured <= max(high, 1.2 * low) else "no"
        shown = "–" if measured is None else _number(measured)
        lines.append(f"| {row['stage']} | {row['what']} | {row['unit']} | {planned} | {shown} | {inside} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cost_without_pilot(study: dict) -> dict:
    """The study without a pilot's rates: what it is compared with must not rest on itself."""
    return {**study, "plan": {key: value for key, value in study["plan"].items() if key != "measured"}}

"""Seconds of one processor core that the jobs of a study take which makes its own small models (its `world`).

A job's work is counted in amounts: the job itself, updates, thousand million operations, requests, … A study's
`plan.processor` names the processor that they were measured on, and the seconds of one of each
(benchmarks/bench_processor.py fits them to finished studies). Seconds of another machine are those times its factor
(plw.study.planning.machine), or, once the study has run there, times what its jobs took (`processor` in rates.json).
"""

import math
from collections.abc import Mapping
from pathlib import PurePath

from plw.study.design import (
    judged_benchmarks,
    judged_by_world,
    judgement_files,
    made_artifacts,
    pretrained_ptlms,
    regressed_datasets,
    smoothed_datasets,
    uses_world,
    world_ptlms,
)
from plw.study.planning.workload import (
    Lengths,
    TrainingWork,
    benchmark_cost,
    memorisation_prompts,
)
from plw.study.runs import Run, benchmarks_of, datasets_of

Amounts = dict[str, float]
# What a study need not say of its world: the defaults of plw_world (pretraining, judge_training, sizes) and its rules.
SHAPE = {
    "hidden_size": 96,
    "layers": 3,
    "heads": 4,
    "intermediate_size": 256,
    "tokens": 2_000_000,
    "batch_tokens": 1024,
}
JUDGE = {"tokens": 2_000_000, "batch_tokens": 2048, "attempts": 3}
WORLD_SIZE = {"documents": 60_000, "judge_train": 12_000, "judge_heldout": 400}
VOCABULARY = 1200
TRAINING_OPERATIONS, BILLION = 6, 1e9  # for each weight and token: 2 forward, 4 backward
# One of each in every study that is run to its report.
ONCE = ("list_runs", "write_study", "read_benchmarks", "check_loss", "collect_scores", "compare_plan", "judge_claims",
        "check_showing", "build_report", "all")  # fmt: skip


def is_planned_so(study: dict) -> bool:
    """Whether a study's hours are a processor's: it says what jobs take there, and its models are all of its world."""
    preloaded = study.get("preload") and "world" in study
    if "processor" not in study["plan"] or study["training"].get("device") != "cpu" or not preloaded:
        return False
    asked = {name for experiment in study["run_experiments"] for name in study["experiments"][experiment]["ptlms"]}
    judges = [study["judges"][name]["source"] for name in judged_benchmarks(study)]
    return all(_is_of_world(study, study["ptlms"][name]["source"]) for name in asked) and (
        not judges or (all(map(_is_worlds_judge, judges)) and _start_of_judge(study) in study["world"]["ptlms"])
    )


def count_all_jobs(study: dict, runs: list[Run]) -> dict[str, int]:
    """Jobs by rule of the whole study, from nothing to its report, as a dry run counts them before the first."""
    sets, regressed = len(datasets_of(runs, study)), len(regressed_datasets(study))
    counts = dict.fromkeys(ONCE, 1) | {
        "prepare_dataset": sets,
        "describe_dataset": sets,
        "train_model": len(runs),
        "evaluate_model": len(runs),
        "measure_mechanism": len(runs) if "mechanism" in study else 0,
        "collect_mechanism": int("mechanism" in study),
        "judge_outputs": len(judgement_files(study, runs)),
        "collect_items": int(regressed > 0),
        "fit_glmm": regressed,
        "check_regression": regressed,
        "fit_gam": int(bool(smoothed_datasets(study))),
    }
    for artifact in made_artifacts(study, from_scores=False):
        counts[f"{'draw' if artifact.startswith('figure') else 'make'}_{artifact}"] = 1
    made, untuned = pretrained_ptlms(study, runs), world_ptlms(study, runs)
    counts |= {
        "make_world": int(uses_world(study, runs)),
        "train_tokenizer": int(bool(made)),
        "pretrain_model": len(made),
        "train_judge": int(judged_by_world(study)),
        "evaluate_ptlm": len(untuned),
        "judge_ptlms": len(judged_benchmarks(study)) if untuned else 0,
    }
    return {rule: count for rule, count in counts.items() if count}


def _place(source: dict) -> PurePath:
    return PurePath(str(source.get("path", "")))


def _is_of_world(study: dict, source: dict) -> bool:
    place = _place(source)
    return place.parts[-3:-1] == ("world", "ptlms") and place.name in study["world"]["ptlms"]


def _is_worlds_judge(source: dict) -> bool:
    return _place(source).parts[-2:] == ("world", "judge_model")


def _start_of_judge(study: dict) -> str:
    return study["world"]["judge"].get("init", "none")


def weights_of(study: dict, name: str) -> float:
    """Weights of a pretrained model of the world (LLaMA's layers, input and output embeddings tied).

    Its tokenizer may end with a few words less than `world.vocabulary`, which a small corpus does not fill.
    """
    shape = SHAPE | study["world"]["ptlms"][name]
    hidden = shape["hidden_size"]
    layer = 4 * hidden**2 + 3 * hidden * shape["intermediate_size"] + 2 * hidden
    return study["world"].get("vocabulary", VOCABULARY) * hidden + shape["layers"] * layer + hidden


def world_config(study: dict, source: dict) -> dict | None:
    """Sizes of a pretrained model of the world, as its config.json will name them; None of any other model."""
    if "world" not in study or not _is_of_world(study, source):
        return None
    shape = SHAPE | study["world"]["ptlms"][_place(source).name]
    return {
        **{key: shape[key] for key in ("hidden_size", "intermediate_size")},
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "vocab_size": study["world"].get("vocabulary", VOCABULARY),
        "tie_word_embeddings": True,
    }


def _weights(study: dict, run: Run) -> float:
    return weights_of(study, _place(study["ptlms"][run.ptlm]["source"]).name)


def _judge_weights(study: dict) -> float:
    return weights_of(study, _start_of_judge(study))


def training_amounts(study: dict, run: Run, work: TrainingWork) -> Amounts:
    """Of one fine-tuning."""
    operations = TRAINING_OPERATIONS * _weights(study, run) * work.computed / BILLION
    return {"train_model": 1, "training_update": work.updates, "training_gflop": operations}


def evaluation_amounts(study: dict, run: Run) -> Amounts | None:
    """Of measuring one run: requests of multiple choice, and steps of writing (one token for each row of a batch).

    None where a benchmark does not say its size (`cost`).
    """
    requests = steps = 0.0
    batch = study["evaluation"].get("batch_size", 1)
    for name in benchmarks_of(run, study):
        entry = study["benchmarks"][name]
        cost = benchmark_cost(entry)
        if cost is None:
            return None
        if cost["new_tokens"]:
            steps += math.ceil(cost["items"] / batch) * (entry.get("max_new_tokens") or cost["new_tokens"])
        else:
            requests += cost["items"] * cost["requests"]
    million = _weights(study, run) / 1e6
    return {
        "evaluate_model": 1,
        "request": requests,
        "request_times_million_weights": requests * million,
        "written_step": steps,
        "written_step_times_million_weights": steps * million,
    }


def mechanism_amounts(study: dict, run: Run, lengths: Lengths | None) -> Amounts:
    """Of a run's weight distance, and of its memorisation where its data set is asked."""
    prompts = memorisation_prompts(study, run, lengths)
    limit = study["mechanism"].get("memorisation", {}).get("max_new_tokens", 0)
    steps = math.ceil(prompts / study["evaluation"].get("batch_size", 1)) * limit
    million = _weights(study, run) / 1e6
    return {"measure_mechanism": 1, "memorising_step": steps, "memorising_step_times_million_weights": steps * million}


def judging_amounts(study: dict, name: str, verdicts: int, jobs: int) -> Amounts:
    """Of one judge's verdicts in so many jobs."""
    million = _judge_weights(study) / 1e6
    return {f"judge_outputs_{name}": jobs, f"verdict_{name}_times_million_weights": verdicts * million}


def world_amounts(study: dict, runs: list[Run], attempts: int = 1) -> dict[str, list[Amounts]]:
    """Of each job that makes the world and its models, by rule; `attempts` at the judge."""
    world, made = study["world"], pretrained_ptlms(study, runs)
    size = WORLD_SIZE | world.get("size", {})
    jobs: dict[str, list[Amounts]] = {}
    documents = size["documents"]
    if uses_world(study, runs):
        jobs["make_world"] = [{"make_world": 1, "made_document": documents}]
    if not made:
        return jobs
    jobs["train_tokenizer"] = [{"train_tokenizer": 1, "tokenizer_document": documents}]
    jobs["pretrain_model"] = [
        {"pretrain_model": 1} | _from_scratch(SHAPE | world["ptlms"][name], weights_of(study, name)) for name in made
    ]
    if judged_by_world(study):
        found = _from_scratch(JUDGE | world["judge"].get("training", {}), _judge_weights(study))
        pairs = size["judge_train"] + attempts * size["judge_heldout"]
        jobs["train_judge"] = [{"train_judge": 1, "pair": pairs} | {k: attempts * v for k, v in found.items()}]
    return jobs


def judge_attempts(study: dict) -> int:
    """How often a judge is trained at most, with other seeds, until one compares answers."""
    return (JUDGE | study["world"]["judge"].get("training", {}))["attempts"]


def _from_scratch(training: Mapping, weights: float) -> Amounts:
    tokens = training["tokens"]
    return {
        "pretraining_update": tokens / training["batch_tokens"],
        "pretraining_gflop": TRAINING_OPERATIONS * weights * tokens / BILLION,
    }


def remaining_amounts(study: dict, runs: list[Run]) -> dict[str, list[Amounts]]:
    """Of each job before and after the models: data, statistics, figures, tables, claims, report; and of Snakemake."""
    counts = count_all_jobs(study, runs)
    named = ("train_model", "evaluate_model", "measure_mechanism", "judge_outputs", "all")
    world = ("make_world", "train_tokenizer", "pretrain_model", "train_judge")
    main = study["experiments"]["main"]
    rows = len(main["ptlms"]) * len(main["plw"]) * len(study["evaluation"]["benchmarks"])
    jobs: dict[str, list[Amounts]] = {}
    for rule, count in counts.items():
        if rule in named or rule in world:
            continue
        work: Amounts = {rule: 1}
        if rule in ("fit_glmm", "check_regression"):
            work[f"{rule}_row"] = rows
        if rule == "fit_gam":
            work["fit_gam_row"] = rows * len(smoothed_datasets(study))
        if rule.startswith(("draw_", "make_")):
            work = {rule.partition("_")[0] + "_artifact": 1}
        if rule in ("collect_scores", "collect_items", "collect_mechanism", "judge_claims", "compare_plan"):
            work = {"collecting": 1, "collected_run": len(runs)}
        jobs[rule] = [work] * count
    jobs["snakemake"] = [{"snakemake_job": sum(counts.values())}]
    return jobs


def seconds_of(amounts: Amounts, seconds: Mapping[str, float]) -> float:
    """Seconds of an amount of work; what the study names no seconds for takes none."""
    return sum(amount * seconds.get(name, 0.0) for name, amount in amounts.items())

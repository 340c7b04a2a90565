"""What a borrowed machine found (`plw.mechanism.borrowed`), as the files that the workflow's own jobs write.

The answers to multiple choice become evaluation.json through lm-eval. The workflow takes the files as they are: it
makes scores, figures, tables and claims of them, and trains nothing.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from plw.errors import InputError
from plw.evaluation.elsewhere import RecordedAnswers
from plw.evaluation.harness import run_benchmark
from plw.evaluation.measuring import measure_missing
from plw.files import read_json, write_json, write_text
from plw.mechanism.borrowed import PROGRESS, read_results, sha256_of
from plw.study.layout import of_datasets, of_runs, results
from plw.study.parameters import evaluation_settings, measured_entries, training_row, training_settings
from plw.study.runs import Run, benchmarks_of

RULES = {"training": "train_model", "mechanism": "measure_mechanism", "answers": "evaluate_model"}


def take_results(
    study: dict,
    runs: Sequence[Run],
    returned: Path,
    *,
    root: Path,
    harness_folder: Path,
    say: Callable[[str], None] = print,
) -> dict[str, int]:
    """Write the files of all finished runs below `root`; those that are there already are kept.

    returned        folder with the files that came back
    root            the folder in which the study's paths hold, with its data sets prepared
    Returns {taken, kept, failed, left}, left: runs that this folder does not hold.
    InputError where the results belong to another study, settings or rows.
    """
    progress = read_json(returned / PROGRESS)
    _check_belongs(study, progress, root, returned)
    lines, losses, answers = read_results(returned)
    planned = {run.run: run for run in runs}
    strange = sorted(set(lines) - set(planned))
    if strange:
        raise InputError("The study has no such runs.", value=strange[:3], where=str(returned))
    evaluation = json.loads(evaluation_settings(study))
    taken = 0
    for name, line in lines.items():
        run = planned[name]
        (index,) = (root / path for path in of_runs(study, [name], "evaluation.json"))
        if index.is_file():
            continue
        _check_row(run, line["record"], returned)
        folder = index.parent
        write_json(folder / "run.json", line["record"])
        write_text(folder / "loss.csv", losses[name])
        write_json(folder / "mechanism.json", line["mechanism"])

        measured = measure_missing(
            line["model"],
            measured_entries(study, benchmarks_of(run, study)),
            evaluation,
            run_dir=folder,
            harness_folder=harness_folder,
            load=partial(_scorer, answers[name], progress["benchmarks"], evaluation, harness_folder),
        )
        # What computed the log-likelihoods there; lm-eval and sacrebleu, which scored them, are this machine's.
        there = {key: progress["versions"][key] for key in ("transformers", "torch")}
        write_json(index, measured | {"versions": measured["versions"] | there})
        for stage, rule in RULES.items():  # as Snakemake writes them: how long jobs took is compared with the plan
            write_text(root / _time_file(study, rule, name), f"s\n{line['seconds'][stage]}\n")
        taken += 1
        say(f"taken: {name}")
    return {
        "taken": taken,
        "kept": len(lines) - taken,
        "failed": len(progress["failed"]),
        "left": len(planned) - len(lines) - len(progress["failed"]),
    }


def _scorer(answers: dict, asked: dict, evaluation: dict, folder: Path) -> Callable[[dict, str], dict]:
    """What measures a benchmark with a run's answers, both by the benchmark's name."""

    def measure(entry: dict, _specification: str) -> dict:
        model = RecordedAnswers(asked[entry["name"]], answers[entry["name"]])
        return run_benchmark(entry, model, folder=folder, evaluation=evaluation)

    return measure


def _time_file(study: dict, rule: str, run: str) -> str:
    """Where Snakemake writes how long a rule's job of a run took."""
    (path,) = results(study, f"times/{rule}/{run}.tsv")
    return path


def _check_belongs(study: dict, progress: dict, root: Path, returned: Path) -> None:
    instances = {}
    for name in progress["instances"]:
        if name in study["datasets"]:
            (path,) = of_datasets(study, [name], "instances.jsonl")
            instances[name] = sha256_of(root / path) if (root / path).is_file() else "not prepared"
    for what, theirs, ours in (
        ("study", progress["study"], study["name"]),
        ("training settings", progress["training"], json.loads(training_settings(study))),
        ("rows of the data sets", progress["instances"], instances),
    ):
        if theirs != ours:
            raise InputError(
                f"The results were made with another {what}.",
                value={"there": theirs, "here": ours},
                where=str(returned),
                hint="Take them with the study, data and settings that were packed.",
            )


def _check_row(run: Run, record: dict, returned: Path) -> None:
    row = json.loads(training_row(run))
    if any(record.get(key) != value for key, value in row.items()):
        value = {key: (record.get(key), value) for key, value in row.items() if record.get(key) != value}
        raise InputError("A run was another one there.", value=value, where=f"{returned}, run {run.run}")

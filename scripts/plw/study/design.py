"""What a study consists of: experiments, data sets, batches, and the artifacts that it can make."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from plw.study.runs import Run, batch_of, benchmarks_of, datasets_of, plws_of
from plw.study.sources import named_files

LEAST_LEVELS = 3  # a parabola in w_p (§5.2) and a smooth over R_g (App. D) need three different values


def judged_benchmarks(study: dict) -> list[str]:
    """The benchmarks of the study that a judge scores."""
    return [name for name in study["evaluation"]["benchmarks"] if study["benchmarks"][name]["framework"] != "harness"]


def batches(runs: Iterable[Run]) -> dict[str, list[str]]:
    """Run ids by judging batch."""
    found: dict[str, list[str]] = {}
    for run in runs:
        found.setdefault(batch_of(run), []).append(run.run)
    return found


def regressed_datasets(study: dict) -> list[str]:
    """The data sets with a regression of their own: those of the main experiment (§5.2), where it has enough PLWs."""
    main = study["experiments"]["main"]
    return [name for name in main["datasets"] if len(plws_of(main, name)) >= LEAST_LEVELS]


def smoothed_datasets(study: dict) -> list[str]:
    """The data sets that the GAMs join: of the experiments main and ratios (App. D); none where they are too few."""
    joined = study["experiments"]["main"]["datasets"] + experiment_datasets(study, "ratios")
    return joined if regressed_datasets(study) and len(joined) >= LEAST_LEVELS else []


def made_artifacts(study: dict, *, from_scores: bool) -> list[str]:
    """The paper's figures and tables (and ours) that this study has the material for, in the paper's order.

    from_scores  a score table is given: nothing is trained, and what needs runs is left out
    """
    experiments = study["run_experiments"]
    groups = {study["benchmarks"][name]["group"] for name in study["evaluation"]["benchmarks"]}
    made_where = {
        "figure_1": True,
        "figure_2": "mechanism" in study and not from_scores,
        "figure_3": "datasets" in experiments,
        "figure_4": True,
        "figure_5": "I" in groups,
        "figure_6": "II" in groups,
        "figure_7": "III" in groups,
        "figure_8": "regularizers" in experiments,
        "figure_9": "datasets" in experiments,
        "figure_10": bool(smoothed_datasets(study)),
        "figure_claims": True,  # ours
        "table_1": not from_scores,
        "table_2": True,
        "table_3": bool(regressed_datasets(study)),
        "table_4": "regularizers" in experiments,
        "table_5": bool(smoothed_datasets(study)),
        "table_6": True,
        "table_losses": "losses" in experiments,  # ours
    }
    return [name for name, made in made_where.items() if made]


def experiment_datasets(study: dict, experiment: str) -> list[str]:
    """The data sets of an experiment; none where the study does not run it."""
    return study["experiments"][experiment]["datasets"] if experiment in study["run_experiments"] else []


def experiment_ptlms(study: dict, experiment: str) -> list[str]:
    """The ptlms of an experiment; regularizers are compared with the main experiment's runs, so its ptlms count too."""
    main = study["experiments"]["main"]
    own = study["experiments"].get(experiment, main)["ptlms"]
    return list(dict.fromkeys([*own, *(main["ptlms"] if experiment == "regularizers" else [])]))


def experiment_benchmarks(study: dict, experiment: str) -> list[str]:
    """The benchmarks that an experiment asks for, in the study's order."""
    asked = study["experiments"].get(experiment, {}).get("benchmarks", study["evaluation"]["benchmarks"])
    return [benchmark for benchmark in study["evaluation"]["benchmarks"] if benchmark in asked]


def judged_runs(study: dict, runs: Iterable[Run], benchmark: str) -> list[str]:
    """The ids of those runs that a judged benchmark is asked for."""
    return [run.run for run in runs if benchmark in benchmarks_of(run, study)]


def judgement_files(study: dict, runs: Iterable[Run]) -> list[str]:
    """BENCHMARK/BATCH.json of every judged benchmark and batch that one of the runs asks for."""
    wanted = dict.fromkeys(
        f"{name}/{batch_of(run)}.json"
        for run in runs
        for name in judged_benchmarks(study)
        if name in benchmarks_of(run, study)
    )
    return list(wanted)


def world_ptlms(study: dict, runs: Iterable[Run]) -> list[str]:
    """The ptlms of the study's own generated world that its runs start from, by their names there and in that order."""
    used = {world_ptlm(study, study["ptlms"][name]["source"]) for name in {run.ptlm for run in runs}}
    return [name for name in study.get("world", {}).get("ptlms", {}) if name in used]


def world_ptlm(study: dict, source: dict) -> str | None:
    """The name in the study's own world of the ptlm that a source names; None of any other model."""
    place = PurePath(str(source.get("path", "")))
    return place.name if "world" in study and place.parent == _world(study) / "ptlms" else None


def judged_by_world(study: dict) -> bool:
    """Whether a judge of the study is the one that its own world trains."""
    places = [PurePath(str(study["judges"][name]["source"].get("path", ""))) for name in judged_benchmarks(study)]
    return "world" in study and _world(study) / "judge_model" in places


def pretrained_ptlms(study: dict, runs: Iterable[Run]) -> list[str]:
    """The ptlms of its own world that a study pretrains: of its runs, its tokenizers, and the start of its judge."""
    counting = [study["ptlms"][study["tokenizer_of"]]["source"], study.get("statistics_tokenizer", {})]
    names = [*world_ptlms(study, runs), *(world_ptlm(study, source) for source in counting)]
    if judged_by_world(study):
        names.append(study["world"]["judge"].get("init", "none"))
    return list(dict.fromkeys(name for name in names if name))


def uses_world(study: dict, runs: Iterable[Run]) -> bool:
    """Whether anything of a study is made from the generated world of its own."""
    runs = list(runs)
    entries = [study["datasets"][name] for name in datasets_of(runs, study)]
    asked = dict.fromkeys(name for run in runs for name in benchmarks_of(run, study))
    entries += [study["benchmarks"][name] for name in asked]
    files = [file for entry in entries for file in named_files(entry.get("source", {}))]
    return bool(pretrained_ptlms(study, runs)) or any(PurePath(file).is_relative_to(_world(study)) for file in files)


def _world(study: dict) -> PurePath:
    return PurePath("results", study["name"], "world")


def sampled_runs(study: dict, runs: Mapping[str, Run]) -> list[str]:
    """The runs whose texts the report shows side by side: of the main experiment, on the Short data set."""
    short = [name for name, entry in study["datasets"].items() if entry.get("stands_for") == "AlpacaDataShort"]
    wanted = "alpaca_eval" in study["evaluation"]["benchmarks"]
    return [name for name, run in runs.items() if wanted and run.dataset in short and "main" in run.experiments]

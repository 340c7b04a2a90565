"""What a study consists of: experiments, data sets, batches, and the artifacts that it can make."""

from collections.abc import Iterable, Mapping

from plw.study.runs import Run, batch_of, benchmarks_of, plws_of

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


def sampled_runs(study: dict, runs: Mapping[str, Run]) -> list[str]:
    """The runs whose texts the report shows side by side: of the main experiment, on the Short data set."""
    short = [name for name, entry in study["datasets"].items() if entry.get("stands_for") == "AlpacaDataShort"]
    wanted = "alpaca_eval" in study["evaluation"]["benchmarks"]
    return [name for name, run in runs.items() if wanted and run.dataset in short and "main" in run.experiments]

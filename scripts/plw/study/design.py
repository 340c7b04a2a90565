"""What a study consists of: experiments, data sets, batches, and the artifacts that it can make."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from plw.study.runs import Run, batch_of, benchmarks_of, datasets_of, plws_of, seeds_of
from plw.study.sources import named_files

LEAST_LEVELS = 3  # a parabola in w_p (§5.2) and a smooth over R_g (App. D) need three different values
LEAST_SCORES = 10  # of a data set in the mixed model of §5.2, which has eight parameters


def judged_benchmarks(study: dict) -> list[str]:
    """The benchmarks of the study that a judge scores."""
    return [name for name in study["evaluation"]["benchmarks"] if study["benchmarks"][name]["framework"] != "harness"]


def batches(study: dict, runs: Iterable[Run], benchmark: str) -> dict[str, list[str]]:
    """The ids of those runs that a judged benchmark is asked for, by judging batch."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if benchmark in benchmarks_of(run, study):
            found.setdefault(batch_of(run, study["judges"][benchmark]), []).append(run.run)
    return found


def regressed_datasets(study: dict) -> list[str]:
    """The data sets with a regression of their own: those of the main experiment (§5.2) with enough PLWs and scores."""
    main = study["experiments"]["main"]
    each = len(main["ptlms"]) * len(experiment_benchmarks(study, "main"))  # scores of a PLW and seed
    plws = {name: len(plws_of(main, name)) for name in main["datasets"]}
    scores = {name: each * plws[name] * len(seeds_of(main, name, study)) for name in plws}
    return [name for name in plws if plws[name] >= LEAST_LEVELS and scores[name] >= LEAST_SCORES]


def smoothed_datasets(study: dict) -> list[str]:
    """The data sets that the GAMs join: of the experiments main and ratios (App. D); none where they are too few."""
    joined = study["experiments"]["main"]["datasets"] + experiment_datasets(study, "ratios")
    return joined if regressed_datasets(study) and len(joined) >= LEAST_LEVELS else []


def made_artifacts(study: dict, *, from_scores: bool) -> list[str]:
    """The paper's figures and tables (and ours) that this study has the material for, in the paper's order.

    from_scores  a score table is given: nothing is trained, and what needs runs is left out
    """
    return [name for name, reason in _artifacts(study, from_scores=from_scores).items() if reason is None]


def left_out_artifacts(study: dict, *, from_scores: bool) -> dict[str, str]:
    """The others, each with the reason why this study cannot make it."""
    return {name: reason for name, reason in _artifacts(study, from_scores=from_scores).items() if reason}


def _artifacts(study: dict, *, from_scores: bool) -> dict[str, str | None]:
    """Each artifact with why it is not made, or None."""
    groups = {study["benchmarks"][name]["group"] for name in study["evaluation"]["benchmarks"]}
    unmeasured = {name: f"no benchmark of group {name}" for name in ("I", "II", "III") if name not in groups}
    unrun = {
        name: f"the experiment {name} is not run"
        for name in ("datasets", "regularizers", "losses")
        if name not in study["run_experiments"]
    }
    trained = "scores are given, nothing is trained" if from_scores else None
    few = f"fewer than {LEAST_LEVELS} prompt loss weights or {LEAST_SCORES} scores of a data set"
    regressed = None if regressed_datasets(study) else few
    smoothed = None if smoothed_datasets(study) else regressed or f"fewer than {LEAST_LEVELS} data sets"
    return {
        "figure_1": None,
        "figure_2": trained or (None if "mechanism" in study else "the study measures no mechanism"),
        "figure_3": unrun.get("datasets"),
        "figure_4": None,
        "figure_5": unmeasured.get("I"),
        "figure_6": unmeasured.get("II"),
        "figure_7": unmeasured.get("III"),
        "figure_8": unrun.get("regularizers"),
        "figure_9": unrun.get("datasets"),
        "figure_10": smoothed,
        "figure_claims": None,  # ours
        "table_1": trained,
        "table_2": None,
        "table_3": regressed,
        "table_4": unrun.get("regularizers"),
        "table_5": smoothed,
        "table_6": None,
        "table_losses": unrun.get("losses"),  # ours
    }


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


def judgement_files(study: dict, runs: Iterable[Run]) -> list[str]:
    """BENCHMARK/BATCH.json of every judged benchmark and batch that one of the runs asks for."""
    asked = list(runs)
    return [f"{name}/{batch}.json" for name in judged_benchmarks(study) for batch in batches(study, asked, name)]


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
    files = [file for entry in entries for file in named_files(entry.get("source", {}))]
    files += asked_files(study, runs)
    return bool(pretrained_ptlms(study, runs)) or any(PurePath(file).is_relative_to(_world(study)) for file in files)


def asked_files(study: dict, runs: Iterable[Run]) -> list[str]:
    """Local files of all benchmarks that any of the runs is measured on."""
    asked = dict.fromkeys(name for run in runs for name in benchmarks_of(run, study))
    return list(dict.fromkeys(file for name in asked for file in named_files(study["benchmarks"][name]["source"])))


def world_benchmarks(study: dict, runs: Iterable[Run]) -> list[str]:
    """Files of the benchmarks that any of the runs is measured on and that come from the study's own world."""
    return [file for file in asked_files(study, runs) if PurePath(file).is_relative_to(_world(study))]


def unread_benchmarks(study: dict, run: Run, of_world: list[str]) -> list[str]:
    """Benchmarks of the study's own world for which a run's training has to wait: it reads them before it starts.

    None where its ptlm or its data set comes from that world, which is made as a whole.

    of_world  `world_benchmarks` of the study, found once: thousands of trainings ask
    """
    if world_ptlm(study, study["ptlms"][run.ptlm]["source"]):
        return []
    sources = [study["datasets"][name].get("source", {}) for name in datasets_of([run], study)]
    if any(PurePath(file).is_relative_to(_world(study)) for source in sources for file in named_files(source)):
        return []
    return of_world


def _world(study: dict) -> PurePath:
    return PurePath("results", study["name"], "world")


def sampled_runs(study: dict, runs: Mapping[str, Run]) -> list[str]:
    """The runs whose texts the report shows side by side: of the main experiment, on the Short data set."""
    short = [name for name, entry in study["datasets"].items() if entry.get("stands_for") == "AlpacaDataShort"]
    wanted = "alpaca_eval" in study["evaluation"]["benchmarks"]
    return [name for name, run in runs.items() if wanted and run.dataset in short and "main" in run.experiments]


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

"""`plw methods`: what a study did, as the methods section of a paper; every number is the study's or its records'."""

from collections.abc import Mapping, Sequence
from typing import Any

from plw.files import read_json
from plw.report.page import setting_differences
from plw.report.tables import shown_number
from plw.sharing.origins import origin_of
from plw.sharing.sides import Side
from plw.study.runs import NO_REGULARIZER, read_runs_csv

DENOMINATORS = {
    "nonzero_count": "the number of predicted tokens whose weight is not zero",
    "sum_of_weights": "the sum of the weights",
    "all_count": "the number of predicted tokens",
    "token_sum": "nothing: their sum",
}
UNITS = {"microbatch": "a micro-batch of {} sequences", "update": "all sequences of an update"}
CITED = "Huerta-Enochian and Ko, *Instruction Fine-Tuning: Does Prompt Loss Matter?*, arXiv 2401.13586"
# Points of config/deviations.yaml that hold only of studies with what they name; all others hold of every study.
HOLDS = {
    "PandaLM": lambda study: _judged(study, "pandalm"),
    "PandaLM-7B": lambda study: _judged(study, "pandalm", hub=True),
    "AlpacaEval": lambda study: _judged(study, "alpaca_eval", hub=True),
    "judges are run": lambda study: _judged(study, "alpaca_eval", hub=True),
    "Translation": lambda study: any(name.startswith("wmt") for name in study["evaluation"]["benchmarks"]),
    "sacreBLEU": lambda study: any(name.startswith("wmt") for name in study["evaluation"]["benchmarks"]),
    "AlpacaDataTiny": lambda study: "AlpacaDataTiny" in _roles(study),
    "regularizers": lambda study: "regularizers" in study["run_experiments"],
    "smoothing": lambda study: "regularizers" in study["run_experiments"],
    "GAMs": lambda study: "ratios" in study["run_experiments"],
    "LLaMA 3": lambda study: any("LLaMA 3" in str(study["ptlms"][name]) for name in _used_ptlms(study)),
}
KINDS = {
    "deviation": "Where this differs from the paper",
    "open": "What the paper leaves open, and what was chosen",
    "limit": "What holds for a study of this size only",
}


def _judged(study: Mapping, benchmark: str, *, hub: bool = False) -> bool:
    """Whether the study asks for a judged benchmark; with `hub` by a published judge."""
    asked = benchmark in study["evaluation"]["benchmarks"]
    return asked and (not hub or "hub" in study["judges"][benchmark]["source"])


def _roles(study: Mapping) -> set[str]:
    names = {name for key in study["run_experiments"] for name in study["experiments"][key]["datasets"]}
    return {study["datasets"][name].get("stands_for", name) for name in names}


def _used_ptlms(study: Mapping) -> set[str]:
    return {name for key in study["run_experiments"] for name in study["experiments"][key]["ptlms"]}


def methods(side: Side, *, deviations: Sequence[dict], paper: dict) -> str:
    """The methods section in Markdown.

    deviations  config/deviations.yaml
    paper       the resolved study `paper`, whose settings the study's are compared with
    """
    rows = _runs(side)
    parts = [
        f"# Methods of the study {side.study['name']}",
        f"The design follows {CITED}.",
        "**Models and data.** " + _models(side, rows) + " " + _data(side, rows),
        "**Training.** " + _training(side, rows),
        "**Evaluation.** " + _evaluation(side),
        "**Statistics.** " + _statistics(side),
        "**Software and machines.** " + _software(side),
        *_points(side.study, deviations),
    ]
    if differing := setting_differences(side.study, paper):
        lines = [[cell["text"] for cell in row] for row in differing["rows"]]
        listed = [f"- `{key}`: {theirs} in the paper's study, {ours} here" for key, theirs, ours in lines]
        parts.append("## Settings other than those of the paper's study\n\n" + "\n".join(listed))
    return "\n\n".join(parts) + "\n"


def _runs(side: Side) -> list[dict]:
    """The run table's rows that have scores."""
    scored = set(side.scores["run"])
    return [row for row in read_runs_csv(side.folder / "runs.csv") if row["run"] in scored]


def _listed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _models(side: Side, rows: list[dict]) -> str:
    named = []
    for name in dict.fromkeys(row["ptlm"] for row in rows):
        entry = side.study["ptlms"][name]
        origin = origin_of(entry["source"], {}, kind="model")
        pinned = f", revision {origin.version}" if origin.version else ""
        named.append(f"{entry['label']} ({origin.name}{pinned})")
    return f"{_listed(named)} {'was' if len(named) == 1 else 'were'} fine-tuned."


def _data(side: Side, rows: list[dict]) -> str:
    named = []
    for name in dict.fromkeys(row["dataset"] for row in rows):
        entry, said = side.study["datasets"][name], []
        path = side.folder / "data" / name / "statistics.json"
        if path.is_file():
            counted = read_json(path)
            ratio = counted["r_g"]["ratio_of_mean_tokens"]
            said.append(f"{counted['rows']:,} rows")
            said += [f"R_g {ratio:.3g} (ratio of mean tokens)"] if ratio is not None else []
            said += [f"{counted['rows_inverted']:,} inverted"] if counted["rows_inverted"] else []
        said += ["whole conversations"] if entry.get("turns") == "all" else []
        if "subset" in entry:
            said.append(f"drawn at random from {side.study['datasets'][entry['from']]['label']}")
        elif "from" in entry:
            rule = entry["inversion"]
            said.append(
                f"made from {side.study['datasets'][entry['from']]['label']} by prompt inversion, rule"
                f" `{rule['rule']}`, lengths in {rule['unit']}"
            )
        else:
            said.append(origin_of(entry["source"], {}).name)
        named.append(f"{entry['label']} ({'; '.join(said)})")
    return f"The instruction data were {_listed(named)}."


def _weights(settings: Mapping) -> str:
    """What each kind of token weighs."""
    own = {
        "template_loss_weight": "for tokens of the template",
        "system_loss_weight": "for those of a system turn",
        "earlier_completion_loss_weight": "for those of answers before a conversation's last",
    }
    said = ["the prompt loss weight for tokens of the prompt"]
    said += [f"{settings[key]:g} {words}" for key, words in own.items() if key in settings]
    said.append(f"{settings.get('completion_loss_weight', 1):g} for tokens of the completion")
    return ", ".join(said)


def _training(side: Side, rows: list[dict]) -> str:
    settings = side.study["training"]
    plws = [f"{value:g}" for value in sorted({row["plw"] for row in rows})]
    denominators = [DENOMINATORS.get(name, name) for name in dict.fromkeys(row["normalization"] for row in rows)]
    seeds = sorted({row["seed"] for row in rows})
    sequences = settings["micro_batch"] * settings["micro_batches_per_update"]
    text = (
        f"There were {len(rows)} fine-tunings with prompt loss weights of {_listed(plws)} and the"
        f" {'seed' if len(seeds) == 1 else 'seeds'} {_listed([str(seed) for seed in seeds])}. The loss is the"
        f" cross-entropy of the predicted tokens times their weights ({_weights(settings)}),"
        f" divided by {' or '.join(denominators)} of"
        f" {UNITS[settings['normalization_unit']].format(settings['micro_batch'])}."
        f" Each ran for {shown_number(settings['epochs'])} epochs with AdamW (β {settings['adam_betas'][0]:g} and"
        f" {settings['adam_betas'][1]:g}, ε {settings['adam_eps']:g}), a learning rate of {settings['learning_rate']:g}"
        f" with {settings['lr_scheduler']} schedule and warm-up over {settings['warmup_ratio']:.3g} of the updates,"
        f" weight decay {settings['weight_decay']:g}, gradients clipped at {settings['max_grad_norm']:g}, {sequences}"
        f" sequences of at most {settings['max_length']} tokens an update, in {settings['compute_dtype']}."
    )
    regularized = {(row["regularizer"], row["strength"]) for row in rows if row["regularizer"] != NO_REGULARIZER}
    if regularized:
        named = [f"{name.replace('_', ' ')} {strength:g}" for name, strength in sorted(regularized)]
        text += f" Other regularizers were compared: {_listed(named)}."
    return text


def _evaluation(side: Side) -> str:
    named = []
    items = side.scores.groupby("benchmark")["n"].max()
    for name in dict.fromkeys(side.scores["benchmark"]):
        entry = side.study["benchmarks"][name]
        said = [f"{entry['shots']} {'shot' if entry['shots'] == 1 else 'shots'}"] if entry.get("shots") else []
        said += [str(entry["metric"])]
        said += [f"{items[name]:,.0f} items"] if items[name] == items[name] else []
        named.append(f"{entry['label']} ({', '.join(said)})")
    text = f"Models were scored on {_listed(named)}."
    judged = [name for name in dict.fromkeys(side.scores["benchmark"]) if name in side.study.get("judges", {})]
    for name in judged:
        judge = side.study["judges"][name]
        origin = origin_of(judge["source"], {}, kind="model")
        pinned = f", revision {origin.version}" if origin.version else ""
        text += f" The judge of {side.study['benchmarks'][name]['label']} was {origin.name}{pinned}."
    return text


def _statistics(side: Side) -> str:
    fits = {name: result for name, result in side.results.items() if "fit" in result}
    if not fits:
        return "No regression was fitted."
    first = next(iter(fits.values()))
    settings = first["settings"]
    labels = [side.study["datasets"][result["dataset"]]["label"] for result in fits.values()]
    text = (
        f"For {_listed(labels)}, relative scores were modelled by `{first['fit']['formula']}` (beta family, logit link;"
        f" w_p is the weight to the power 0.30103; scores squeezed by {settings['squeeze'].replace('_', ' ')},"
        f" polynomials {settings['poly']}), at a level of {settings['alpha']:g}"
    )
    checks: dict = next((each for name, each in side.results.items() if name.endswith(".checks.json")), {})
    if checks.get("permutation"):
        text += f", with {checks['permutation']['permutations']:,} permutations"
    failed = [side.study["datasets"][result["dataset"]]["label"] for result in fits.values() if not result["converged"]]
    text += f". Not converged: {_listed(failed)}." if failed else ". All of these fits converged."
    if gam := side.results.get("gam.json"):
        text += f" Optimal weights by R_g come from `{gam['model']}`."
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items() if version)
    return f"{text} ({versions}.)"


def _software(side: Side) -> str:
    if not side.records:
        return "Scores were given as a table; how the models were trained is not recorded."
    commits: set[str] = set()
    machines: set[str] = set()
    versions: dict[str, set[str]] = {}
    for record in side.records.values():
        git, device = record["git"], record["device"]
        commits.add(f"{git['commit']}{' with local changes' if git['dirty'] else ''}")
        machines.add(str(device.get("model") or device.get("cpu")))
        for name, version in record["versions"].items():
            versions.setdefault(name, set()).update([version] if version else [])
    packages = [f"{name} {' or '.join(sorted(found))}" for name, found in versions.items() if found]
    hours = sum(record["seconds_in_all"] for record in side.records.values()) / 3600
    return (
        f"Trainings ran at commit {_listed(sorted(commits))} of the plw workflow with {_listed(packages)}, on"
        f" {_listed(sorted(machines))}, {hours:.3g} hours in all."
    )


def _points(study: Mapping, deviations: Sequence[dict]) -> list[str]:
    """The paper's open choices and our deviations that the study makes."""
    parts = []
    for kind, title in KINDS.items():
        points = [point for point in deviations if point["kind"] == kind and _holds(point, study)]
        if points:
            lines = [f"- {point['what']} ({point['place']}): {point['here']}" for point in points]
            parts.append(f"## {title}\n\n" + "\n".join(lines))
    return parts


def _holds(point: Mapping[str, Any], study: Mapping) -> bool:
    if point["kind"] == "limit":  # of generated worlds, or of one study
        return "world" in study and ("enerated world" in point["what"] or point["place"] == f"study {study['name']}")
    return all(holds(study) for word, holds in HOLDS.items() if word in point["what"])

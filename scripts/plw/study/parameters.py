"""What decides a job's result, as JSON for its program's command line.

Snakemake runs a job again when its parameters change, so each function leaves out what only describes a thing or what a
scheduler grants: another label, runtime or number of threads trains nothing.
"""

import json
import re

from plw.study.runs import Run, run_row

GRANTED = ("runtime_min", "mem_mb", "threads", "gpus")  # by a scheduler
# What says how a thing is called and shown, or what a dry run computes with: it decides no result.
DESCRIBING = {
    "datasets": ("label", "stands_for"),
    "benchmarks": ("label", "group", "type", "version", "cost"),
    "judges": ("parameters", "together", *GRANTED),
}


def as_json(value: object) -> str:
    """JSON with sorted keys: the order of keys in a study file is no reason to run a job again.

    Braces in texts are written as \\u007b and \\u007d: in a parameter Snakemake takes "{word}" for a wildcard.
    """
    text = json.dumps(value, sort_keys=True)
    return re.sub(r'"(?:[^"\\]|\\.)*"', _without_braces, text)


def _without_braces(text: re.Match) -> str:
    return text[0].replace("{", r"\u007b").replace("}", r"\u007d")


def training_row(run: Run) -> str:
    """A run's own factors; the experiments that share it are left out, so naming one more trains nothing."""
    row = run_row(run)
    del row["experiments"]
    return as_json(row)


def training_settings(study: dict) -> str:
    """What changes the training."""
    settings = {key: value for key, value in study["training"].items() if key not in GRANTED}
    # A study file cannot say null (it removes a key), so it says none and 0.
    settings["zero_stage"] = None if settings.get("zero_stage") == "none" else settings.get("zero_stage")
    settings["checkpoint_steps"] = settings.get("checkpoint_steps") or None
    return as_json(settings)


def encoding_settings(study: dict) -> int | str:
    """What decides how rows are encoded: the value of --max-length, and the flag of special tokens where it is set.

    The number alone where the study says nothing of them: data sets that were described before the key stay so.
    """
    training = study["training"]
    length, special = training["max_length"], training.get("special_tokens", "keep")
    return length if special == "keep" else f"{length} --special-tokens {special}"


def ptlm_source(study: dict, ptlm: str) -> str:
    """Source of a pre-trained model."""
    return as_json(study["ptlms"][ptlm]["source"])


def evaluation_settings(study: dict) -> str:
    """What changes the evaluation; the list of benchmarks is a parameter of its own."""
    left_out = ("benchmarks", *GRANTED)
    return as_json({key: value for key, value in study["evaluation"].items() if key not in left_out})


def dataset_entry(study: dict, dataset: str) -> str:
    """Where a data set comes from and how it is derived."""
    return as_json(_deciding(study, "datasets", dataset))


def judge_settings(study: dict, benchmark: str) -> str:
    """What a judge is and how it is asked."""
    return as_json(_deciding(study, "judges", benchmark))


def benchmark_entries(study: dict, names: list[str]) -> str:
    """Registry entries of benchmarks, each with its name and without what only a dry run reads."""
    entries = [{"name": name, **study["benchmarks"][name]} for name in names]
    return as_json([{key: value for key, value in entry.items() if key != "cost"} for entry in entries])


def measured_entries(study: dict, names: list[str]) -> list[dict]:
    """The entries, as values, without the keys that only describe: a new label measures nothing again."""
    return [{"name": name, **_deciding(study, "benchmarks", name)} for name in names]


def scored_entries(study: dict, names: list[str], *roles: str) -> str:
    """Name, framework and primary metric of benchmarks, for scores and fits.

    roles  further keys: group, type, where a fit is of some of them
    """
    keys = ("framework", "metric", *roles)
    entries = [(name, study["benchmarks"][name]) for name in names]
    return as_json([{"name": name, **{key: entry[key] for key in keys if key in entry}} for name, entry in entries])


def _deciding(study: dict, registry: str, name: str) -> dict:
    return {key: value for key, value in study[registry][name].items() if key not in DESCRIBING[registry]}


def memorisation_settings(study: dict, run: Run) -> str:
    """How much of its training data a run's model is asked for; null where the data set is not asked."""
    settings = dict(study["mechanism"].get("memorisation", {}))
    asked = run.dataset in settings.pop("datasets", [])
    return as_json(settings if asked else None)


def statistics_settings(study: dict, *names: str) -> str:
    """Those of the study's statistics settings that are named."""
    return as_json({name: study["statistics"][name] for name in names if name in study["statistics"]})


def described(study: dict, registry: str, names: list[str]) -> str:
    """Name, label, place in the paper and size of ptlms or data sets, for figures and tables."""
    return _entries(study, registry, names, ("label", "stands_for", "parameters"))


def roles(study: dict, registry: str, names: list[str]) -> str:
    """The same without the label, for fits and claims, which are about the paper's sets and models."""
    return _entries(study, registry, names, ("stands_for", "parameters"))


def _entries(study: dict, registry: str, names: list[str], keys: tuple[str, ...]) -> str:
    entries = [(name, study[registry][name]) for name in names]
    return as_json([{"name": name, **{key: entry[key] for key in keys if key in entry}} for name, entry in entries])


def asked_benchmarks(study: dict) -> str:
    """The benchmarks of each experiment that asks for fewer than all."""
    return as_json({name: entry["benchmarks"] for name, entry in study["experiments"].items() if "benchmarks" in entry})


def printed_ratios(study: dict, names: list[str], table_1: dict) -> str:
    """R_g that the paper prints for the sets that these data sets stand for: a score table has no texts.

    table_1  that part of config/paper_numbers.yaml
    """
    known = {name: row["r_g"] for name, row in table_1["rows"].items()} | table_1["text"]["r_g"]
    asked = {name: study["datasets"][name].get("stands_for") for name in names}
    return as_json({name: known[role] for name, role in asked.items() if role in known})

"""Model cards and data cards: what was made of what, with which loss, under which licences, and how it scored.

In the Hub's form: YAML metadata (model-index among them) and Markdown, made with huggingface_hub; the scores once more
as `.eval_results/plw.yaml`, where a benchmark's rows are on the Hub. What is not known is said to be unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from plw.files import read_json
from plw.scores.table import primary_scores, read_scores
from plw.sharing.croissant import CITED, RULES
from plw.sharing.finished import FinishedStudy
from plw.sharing.origins import Origin, dataset_origin, licence_words, origin_of
from plw.study.runs import Run

PAPER = "https://arxiv.org/abs/2401.13586"
LICENCES = {  # of config/sources.yaml, as the Hub names them
    "Apache 2.0": "apache-2.0",
    "MIT": "mit",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-SA 3.0": "cc-by-sa-3.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
}
UNFILTERED = (
    "What a model writes cannot be known beforehand: it may make things up, or offend. The data were made from"
    " published data without any filtering of their content by us (the paper, Ethical Considerations). Check outputs"
    " before people see them."
)
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
EVAL_RESULTS = ".eval_results/plw.yaml"


def model_card(found: FinishedStudy, run: Run, registry: Mapping[str, dict]) -> dict[str, str]:
    """README.md and, where benchmarks are on the Hub, EVAL_RESULTS of a run's model.

    registry  config/sources.yaml, which knows the licences
    """
    from huggingface_hub import EvalResult, ModelCardData

    study = found.study
    record = read_json(found.folder / "runs" / run.run / "run.json")
    ptlm, dataset = study["ptlms"][run.ptlm], study["datasets"][run.dataset]
    chain = licence_chain(study, run, registry)
    scores = _scores(found, run)
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=row["source"].get("hub", row["benchmark"]),
            dataset_name=row["label"],
            dataset_config=row["source"].get("config"),
            dataset_split=row["split"],
            dataset_revision=row["source"].get("revision"),
            metric_type=row["metric"],
            metric_value=row["score"],
            metric_args={key: row[key] for key in ("stderr", "n", "shots") if row[key] is not None},
        )
        for row in scores
    ]
    data = ModelCardData(
        **_hub_licence([origin for _, origin in chain]),
        base_model=ptlm["source"].get("hub"),
        datasets=_hub_ids([origin for part, origin in chain if part != "pretrained model"]),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["prompt-loss-weight", "instruction-tuning"],
        model_name=run.run,
        eval_results=results or None,
    )
    counted = read_json(found.folder / "data" / run.dataset / "statistics.json")
    ratios = ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}" for name, value in counted["r_g"].items() if value is not None
    )
    regularizer = "" if run.regularizer == "none" else f", regularizer {run.regularizer} {run.strength:g}"
    text = [
        f"# {run.run}",
        f"{ptlm['label']} fine-tuned on {dataset['label']} with a **prompt loss weight of {run.plw:g}** (seed"
        f" {run.seed}{regularizer}), in the study {study['name']} of a reproduction of [{CITED}]({PAPER}).",
        f"**The loss.** {record['effective_loss']}",
        f"**The data.** {_data_words(study, run.dataset, registry, counted)} R_g: {ratios}.",
        f"**The training.** {record['updates']:,} updates, {record['tokens']:,} tokens, at commit"
        f" {record['git']['commit']}{' with local changes' if record['git']['dirty'] else ''}, finished"
        f" {record['finished']}.",
        "## Scores",
        _score_table(scores),
        "## Licences",
        *_chain_words(chain),
        f"## Warning\n\n{UNFILTERED}",
    ]
    files = {"README.md": f"---\n{data}\n---\n\n" + "\n\n".join(text) + "\n"}
    entries = _eval_results(scores, record["finished"])
    return files | ({EVAL_RESULTS: yaml.safe_dump(entries, sort_keys=False)} if entries else {})


def data_card(found: FinishedStudy, dataset: str, registry: Mapping[str, dict]) -> str:
    """README.md of a data set that the study derives by prompt inversion."""
    from huggingface_hub import DatasetCardData

    study, origin = found.study, dataset_origin(found.study, dataset, registry)
    counted = read_json(found.folder / "data" / dataset / "statistics.json")
    size = next((words for limit, words in SIZES if counted["rows"] < limit), "n>1M")
    data = DatasetCardData(
        **_hub_licence([origin]),
        pretty_name=study["datasets"][dataset]["label"],
        size_categories=size,
        source_datasets=_hub_ids([origin]),
        task_categories=["text-generation"],
        tags=["prompt-loss-weight", "prompt-inversion"],
    )
    ratios = "\n".join(
        f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in counted["r_g"].items() if value is not None
    )
    text = [
        f"# {study['datasets'][dataset]['label']}",
        f"{_data_words(study, dataset, registry, counted)} Made in the study {study['name']} of a reproduction of"
        f" [{CITED}]({PAPER}), App. A: the completion becomes the input, and the instruction what is to be predicted.",
        "Fields: `instruction`, `input`, `output`, `source_row` (row of the source, from 0), `inverted`."
        " `croissant.json` says the same for programs, with the sum of the rows.",
        f"| R_g | |\n|---|---|\n{ratios}",
        "## Licences",
        *_chain_words([("instruction data", origin)]),
        f"## Warning\n\n{UNFILTERED}",
    ]
    return f"---\n{data}\n---\n\n" + "\n\n".join(text) + "\n"


def licence_chain(study: Mapping, run: Run, registry: Mapping[str, dict]) -> list[tuple[str, Origin]]:
    """What a run's model is made of, each with its origin."""
    return [
        ("pretrained model", origin_of(study["ptlms"][run.ptlm]["source"], registry, kind="model")),
        ("instruction data", dataset_origin(study, run.dataset, registry)),
    ]


def _chain_words(chain: Sequence[tuple[str, Origin]]) -> list[str]:
    lines = []
    for part, origin in chain:
        version = f", {origin.version}" if origin.version else ""
        name = f"[{origin.name}]({origin.url})" if origin.url else origin.name
        lines.append(f"- {part}: {name}{version}: {licence_words(origin)}")
    return ["\n".join(lines), "Whoever uses this is bound by all of them."]


def _hub_licence(origins: Sequence[Origin]) -> dict[str, Any]:
    """The Hub's licence keys: a name that it knows where all links have the same, else `other` with the chain."""
    names = {LICENCES.get(origin.licence or "") for origin in origins}
    if len(names) == 1 and None not in names:
        return {"license": names.pop()}
    chain = " + ".join(dict.fromkeys(origin.licence or "unknown" for origin in origins))
    return {"license": "other", "license_name": chain}


def _hub_ids(origins: Sequence[Origin]) -> list[str] | None:
    found = [origin.name for origin in origins if origin.url and origin.url.startswith("https://huggingface.co/")]
    return found or None


def _data_words(study: Mapping, dataset: str, registry: Mapping[str, dict], counted: Mapping) -> str:
    entry, origin = study["datasets"][dataset], dataset_origin(study, dataset, registry)
    text = f"{entry['label']}: {counted['rows']:,} rows from {origin.name}"
    if "inversion" in entry:
        rule = entry["inversion"]
        text += f", {counted['rows_inverted']:,} of them inverted ({RULES[rule['rule']]}, lengths in {rule['unit']})"
    if "subset" in entry:
        text += f", drawn at random from those of {study['datasets'][entry['from']]['label']}"
    return f"{text}."


def _scores(found: FinishedStudy, run: Run) -> list[dict]:
    """The primary scores of a run, with what the cards say of their benchmarks."""
    benchmarks = found.study["benchmarks"]
    table = read_scores(found.folder / "scores.csv")
    own = primary_scores(table[table["run"] == run.run], {name: each["metric"] for name, each in benchmarks.items()})
    rows = []
    for row in own.to_dict("records"):
        entry = benchmarks[row["benchmark"]]
        known = {key: None if row[key] != row[key] else row[key] for key in ("stderr", "n")}
        known["n"] = None if known["n"] is None else int(known["n"])
        rows.append(
            {"benchmark": row["benchmark"], "metric": row["metric"], "score": row["score"], **known}
            | {key: entry.get(key) for key in ("label", "split", "shots")}
            | {"source": entry.get("source", {})}
        )
    return rows


def _score_table(scores: Sequence[dict]) -> str:
    if not scores:
        return "None were measured."
    lines = ["| benchmark | metric | score | standard error | items |", "|---|---|---|---|---|"]
    for row in scores:
        error = "–" if row["stderr"] is None else f"{row['stderr']:.3f}"
        lines.append(f"| {row['label']} | {row['metric']} | {row['score']:.3f} | {error} | {row['n'] or '–'} |")
    return "\n".join(lines)


def _eval_results(scores: Sequence[dict], when: str) -> list[dict]:
    """The scores on benchmarks of the Hub, in the form of its evaluation results."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=row["source"]["hub"],
            task_id=row["source"].get("config") or "default",
            value=row["score"],
            dataset_revision=row["source"].get("revision"),
            date=when,
            notes=f"{row['metric']}, {row['split']}, {row['shots'] or 0} shots",
        )
        for row in scores
        if "hub" in row["source"]
    ]
    return eval_result_entries_to_yaml(entries)

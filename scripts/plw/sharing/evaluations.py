"""Every Eval Ever records: the scores of a run on a benchmark in the shared schema of the EvalEval coalition.

One record for each run and benchmark, with a result for each metric. Schema: eval.schema.json 0.3.0 of the Python
package every-eval-ever. What the study does not know is left out or said to be unknown.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from plw.files import read_json
from plw.scores.table import read_scores
from plw.sharing.finished import FinishedStudy
from plw.study.runs import RUN_COLUMNS

SCHEMA = "0.3.0"
LIBRARIES = {"harness": "lm_eval", "alpaca_eval": "alpaca_eval", "pandalm": "pandalm"}
UNBOUNDED, SIGNED = ("ter",), "_diff"  # an edit rate may exceed 1, a difference of two scores be negative
LOWER_IS_BETTER = ("ter",)


def evaluation_records(found: FinishedStudy, records: Mapping[str, dict]) -> dict[str, dict]:
    """Records by BENCHMARK/RUN.

    records  run.json of each run; empty where scores were given
    """
    scores = read_scores(found.folder / "scores.csv")
    scores = scores[scores["run"].isin([run.run for run in found.runs])]
    read = partial(_evaluation, found)
    evaluations = {run: read(run) for run in records}
    return {
        f"{benchmark}/{run}": _record(found, rows, records.get(run, {}), evaluations.get(run, {}))
        for (run, benchmark), rows in scores.groupby(["run", "benchmark"], sort=False)
    }


def _evaluation(found: FinishedStudy, run: str) -> dict:
    return read_json(found.folder / "runs" / run / "evaluation.json")


def _record(found: FinishedStudy, rows, trained: dict, evaluation: dict) -> dict:
    first = rows.iloc[0]
    run, benchmark = str(first["run"]), str(first["benchmark"])
    study, entry = found.study, found.study["benchmarks"][benchmark]
    known = evaluation.get("benchmarks", {}).get(benchmark, {})
    library = LIBRARIES.get(entry["framework"], entry["framework"])
    model = f"{study['name']}/{run}"
    if "finished" in trained:
        when = str(int(datetime.fromisoformat(trained["finished"]).timestamp()))
    else:  # of given scores nothing else is known
        when = str(int((found.folder / "scores.csv").stat().st_mtime))
    version = known.get("harness_version") or evaluation.get("versions", {}).get(library) or "unknown"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{benchmark}/{model}/{when}",
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": f"plw, study {study['name']}",
            "source_type": "evaluation_run",
            "source_organization_name": "not stated",
            "evaluator_relationship": "first_party",
        },
        "eval_library": {
            "name": library,
            "version": version,
            "additional_details": _texts({key: known.get(key) for key in ("task", "task_version", "prompt_hash")}),
        },
        "model_info": _model(study, first, model, trained, evaluation),
        "evaluation_results": [
            _result(study, benchmark, row, known.get("metrics", {}).get(row["metric"], {}))
            for _, row in rows.iterrows()
        ],
    }


def _model(study: dict, row, model: str, trained: dict, evaluation: dict) -> dict:
    """The fine-tuned model: what it is made of, and nothing of where it might be had."""
    factors = {key: row[key] for key in RUN_COLUMNS if key != "run"}
    ptlm = study["ptlms"].get(row["ptlm"], {})
    made = {
        **factors,
        "ptlm_label": ptlm.get("label"),
        "dataset_label": study["datasets"].get(row["dataset"], {}).get("label"),
        "effective_loss": trained.get("effective_loss"),
        "commit": trained.get("git", {}).get("commit"),
        "weights_sha256": evaluation.get("model"),
    }
    kind = {"deployment_type": "self_deployed", "model_availability": "unknown"}
    return {"name": str(row["run"]), "id": model, "additional_details": {**kind, **_texts(made)}}


def _result(study: dict, benchmark: str, row, known: dict) -> dict:
    entry, metric = study["benchmarks"][benchmark], str(row["metric"])
    uncertainty: dict = {} if row["stderr"] != row["stderr"] else {"standard_error": {"value": float(row["stderr"])}}
    uncertainty |= {} if row["n"] != row["n"] else {"num_samples": int(row["n"])}
    config = {
        "evaluation_description": f"{entry['label']}, {metric}{' (primary)' if metric == entry['metric'] else ''}",
        "metric_id": metric,
        "metric_unit": "proportion",
        "lower_is_better": not known.get("higher_is_better", metric not in LOWER_IS_BETTER),
        "score_type": "continuous",
        "min_score": -1.0 if metric.endswith(SIGNED) else 0.0,
        "max_score": "Infinity" if metric in UNBOUNDED else 1.0,
    }
    if benchmark in study.get("judges", {}) and entry["framework"] != "harness":
        config["llm_scoring"] = _judged(study["judges"][benchmark])
    return {
        "evaluation_result_id": f"{row['run']}/{benchmark}/{metric}",
        "evaluation_name": benchmark,
        "source_data": _source_data(entry),
        "metric_config": config,
        "score_details": {"score": float(row["score"]), **({"uncertainty": uncertainty} if uncertainty else {})},
        "generation_config": {
            "additional_details": _texts({key: entry.get(key) for key in ("shots", "split", "limit", "max_new_tokens")})
        },
    }


def _judged(judge: dict) -> dict:
    source = judge["source"]
    name = str(source.get("hub") or source.get("url") or source.get("path"))
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if "hub" in source else "unknown",
    }
    details |= _texts({"revision": source.get("revision"), "backend": judge.get("backend")})
    prompt = judge.get("prompt")
    return {
        "judges": [{"model_info": {"name": name, "id": name, "additional_details": details}}],
        "input_prompt": f"config/judges/{prompt}" if prompt else "the benchmark's own, as published",
    }


def _source_data(entry: dict) -> dict:
    source, name = entry.get("source", {}), entry["label"]
    if "hub" in source:
        split = {"hf_split": str(entry["split"])} if "split" in entry else {}
        details = _texts({key: source.get(key) for key in ("revision", "config", "file")})
        return {"dataset_name": name, "source_type": "hf_dataset", "hf_repo": source["hub"], **split,
                "additional_details": details}  # fmt: skip
    if "url" in source:
        return {"dataset_name": name, "source_type": "url", "url": [source["url"]]}
    return {"dataset_name": name, "source_type": "other"}


def _texts(values: Mapping) -> dict[str, str]:
    """What is known, as the schema's texts."""
    return {key: str(value) for key, value in values.items() if value is not None}

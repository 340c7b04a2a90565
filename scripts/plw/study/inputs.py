"""Local files that must exist before a job of a study can run: what its rule names as inputs."""

from collections.abc import Sequence

from plw.study.layout import generations, of_runs, results
from plw.study.parameters import as_json
from plw.study.runs import Run, benchmarks_of, reference_run
from plw.study.sources import named_files


def model_files(source: dict) -> list[str]:
    """What must exist before a model can be loaded: a local model's configuration file."""
    return [f"{source['path']}/config.json"] if "path" in source else []


def counting_tokenizer(study: dict) -> dict:
    """Source of the tokenizer that Table 1, R_g and inversion count with."""
    return study.get("statistics_tokenizer", study["ptlms"][study["tokenizer_of"]]["source"])


def counting_tokenizer_files(study: dict) -> list[str]:
    """Local files that the counting tokenizer needs; only a model folder can be made by a rule."""
    source = counting_tokenizer(study)
    return [] if str(source.get("path", "")).endswith(".model") else model_files(source)


def dataset_files(study: dict, dataset: str) -> list[str]:
    """A derived data set needs its parent's instances and the counting tokenizer, any other its local source files."""
    entry = study["datasets"][dataset]
    if "from" in entry:
        return results(study, f"data/{entry['from']}/instances.jsonl") + counting_tokenizer_files(study)
    return named_files(entry["source"])


def benchmark_files(study: dict, run: Run) -> list[str]:
    """Local files of all benchmarks that a run is measured on."""
    files = [file for name in benchmarks_of(run, study) for file in named_files(study["benchmarks"][name]["source"])]
    preamble = study["evaluation"].get("truthfulqa_preamble")
    return files + ([preamble] if preamble else [])


def judge_reference_files(study: dict, runs: Sequence[Run], benchmark: str) -> list[str]:
    """What a judge compares with: another run's evaluation, or the local files of the benchmark's own outputs."""
    run = reference_run(study, runs, benchmark)
    if run is not None:
        return of_runs(study, [run.run], "evaluation.json")
    return named_files(study["benchmarks"][benchmark]["source"])


def judge_reference_outputs(study: dict, runs: Sequence[Run], benchmark: str) -> str:
    """The outputs that a judge compares with: a file, or a source as JSON."""
    run = reference_run(study, runs, benchmark)
    if run is not None:
        return generations(study, run.run, benchmark)
    source = study["benchmarks"][benchmark]["source"]
    return named_files(source)[0] if "path" in source else as_json(source)

"""
The study of this call and the functions that tell rules their inputs. No rules here.

REQUIRED INPUTS:  config/config.yaml (read by the Snakefile), config/studies/*.yaml, config/benchmarks.yaml,
                  config/sources.yaml, workflow/schemas/study.schema.yaml
PROVIDES:         STUDY, RUNS (by run id), DATASETS, BATCHES, ARTIFACTS and the input functions below
"""

import glob
import json
import re
import sys
from pathlib import Path

ROOT = Path(workflow.current_basedir).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.configuration import load_configuration
from plw.errors import InputError, InputErrors
from plw.runs import (
    batch_of,
    benchmarks_of,
    datasets_of,
    list_runs,
    reference_run,
    run_row,
)

try:
    STUDY = load_configuration(dict(config), root=ROOT)
except (InputError, InputErrors) as error:
    raise WorkflowError(str(error)) from None

STUDY_NAME = STUDY["name"]
RUNS = {run.run: run for run in list_runs(STUDY)}
DATASETS = datasets_of(list(RUNS.values()), STUDY)
BATCHES = {}
for run in RUNS.values():
    BATCHES.setdefault(batch_of(run), []).append(run.run)
FINISHED_ONLY = bool(config.get("finished_only", False))
MEASURED = [
    run for run in RUNS if not FINISHED_ONLY or Path(f"results/{STUDY_NAME}/runs/{run}/evaluation.json").exists()
]
JUDGED = [name for name in STUDY["evaluation"]["benchmarks"] if STUDY["benchmarks"][name]["framework"] != "harness"]
FIGURE_CODE = ["scripts/plw/figure_style.py", "scripts/plw/figure_files.py"]
MAIN = STUDY["experiments"]["main"]
# One regression for each data set of the main experiment (§5.2); a parabola in w_p needs three PLWs.
REGRESSED = MAIN["datasets"] if len(MAIN["plw"]) >= 3 else []
ARTIFACTS = ["figure_1", "figure_4", "table_1", "table_2"] + (["table_3"] if REGRESSED else [])

# How programs are started: $PLW_PYTHON is Python, or Python with the libraries loaded where the study says so. Without
# conda it is the interpreter that runs Snakemake, whether its environment is activated or not. Progress bars are off,
# because they fill log files with control characters.
python = "python scripts/run_preloaded.py" if STUDY.get("preload") else "python"
path = "" if workflow.deployment_settings.deployment_method else f'PATH="{Path(sys.executable).parent}:$PATH" '
shell.prefix(f'export {path}PLW_PYTHON="{python}" TQDM_DISABLE=1; ')


wildcard_constraints:
    study=re.escape(STUDY_NAME),
    run="|".join(map(re.escape, RUNS)),
    dataset="|".join(map(re.escape, STUDY["datasets"])),
    batch="|".join(map(re.escape, BATCHES)),
    judged="|".join(map(re.escape, JUDGED)) or "none",
    ptlm="[a-z0-9_]+",


def as_json(value):
    """JSON with sorted keys: the order of keys in a study file is no reason to run a job again."""
    return json.dumps(value, sort_keys=True)


def results(*paths):
    """Paths inside this study's results folder."""
    return [f"results/{STUDY_NAME}/{path}" for path in paths]


def files_of_runs(name):
    """A file of every run; with finished_only, of the runs that are measured already."""
    return results(*(f"runs/{run}/{name}" for run in MEASURED))


def gpus(settings, count=1):
    """GPUs to ask a scheduler for: `count` where the study says cuda, else none."""
    return count if settings.get("device") == "cuda" else 0


def local_files(source):
    """Files that a local source names, by split or not; patterns are expanded, what a rule will make stays as it is."""
    paths = source.get("path", [])
    if isinstance(paths, dict):
        paths = [path for split in paths.values() for path in ([split] if isinstance(split, str) else split)]
    paths = [paths] if isinstance(paths, str) else paths
    return [file for path in paths for file in (sorted(glob.glob(path)) if "*" in path else [path])]


def files_of_model(source):
    """What must exist before a model can be loaded: a local model's configuration file."""
    return [f"{source['path']}/config.json"] if "path" in source else []


def ptlm_source(ptlm):
    """Source of a pre-trained model as JSON."""
    return as_json(STUDY["ptlms"][ptlm]["source"])


def counting_tokenizer():
    """Source of the tokenizer that Table 1, R_g and inversion count with."""
    return STUDY.get("statistics_tokenizer", STUDY["ptlms"][STUDY["tokenizer_of"]]["source"])


def tokenizer_files():
    """Local files that the counting tokenizer needs; only a model folder can be made by a rule."""
    source = counting_tokenizer()
    return [] if str(source.get("path", "")).endswith(".model") else files_of_model(source)


def prepared_inputs(wildcards):
    """A derived data set needs its parent's instances, any other its local source files; all need the tokenizer."""
    entry = STUDY["datasets"][wildcards.dataset]
    if "from" in entry:
        return results(f"data/{entry['from']}/instances.jsonl") + tokenizer_files()
    return local_files(entry["source"])


def run_instances(wildcards):
    """The instances that a run trains on."""
    return results(f"data/{RUNS[wildcards.run].dataset}/instances.jsonl")


def run_ptlm_files(wildcards):
    """What a run's pre-trained model needs locally."""
    return files_of_model(STUDY["ptlms"][RUNS[wildcards.run].ptlm]["source"])


def benchmark_entries(names):
    """Registry entries of benchmarks as JSON, each with its name."""
    return as_json([{"name": name, **STUDY["benchmarks"][name]} for name in names])


def measured_entries(names):
    """The same without the keys that only describe: a new label measures nothing again."""
    entries = json.loads(benchmark_entries(names))
    return as_json([{k: v for k, v in entry.items() if k not in ("label", "group", "type")} for entry in entries])


def benchmark_files(wildcards):
    """Local files of all benchmarks of a run."""
    names = benchmarks_of(RUNS[wildcards.run], STUDY)
    preamble = STUDY["evaluation"].get("truthfulqa_preamble")
    return [file for name in names for file in local_files(STUDY["benchmarks"][name]["source"])] + (
        [preamble] if preamble else []
    )


def judged_runs(wildcards):
    """The runs of a batch that the judged benchmark is asked for."""
    return [run for run in BATCHES[wildcards.batch] if wildcards.judged in benchmarks_of(RUNS[run], STUDY)]


def judged_outputs(wildcards):
    """Evaluations whose generations a batch judges."""
    return results(*(f"runs/{run}/evaluation.json" for run in judged_runs(wildcards)))


def judge_reference(wildcards):
    """What the judge compares with: another run's generations, or the benchmark's own reference outputs."""
    run = reference_run(STUDY, list(RUNS.values()), wildcards.judged)
    if run is not None:
        return results(f"runs/{run.run}/evaluation.json")
    return local_files(STUDY["benchmarks"][wildcards.judged]["source"])


def judge_model_files(wildcards):
    """Local files of the judge's model."""
    return files_of_model(STUDY["judges"][wildcards.judged]["source"])


def all_judgements():
    """Judgement files of the whole study: each judged benchmark × batch that some run asks for."""
    wanted = dict.fromkeys(
        f"judgements/{name}/{batch_of(run)}.json"
        for run in map(RUNS.get, MEASURED)
        for name in JUDGED
        if name in benchmarks_of(run, STUDY)
    )
    return results(*wanted)


def artifact_files(artifact):
    """All files of a figure or a table."""
    kinds = ("pdf", "png", "csv") if artifact.startswith("figure") else ("csv", "md", "tex")
    folder = "figures" if artifact.startswith("figure") else "tables"
    return results(*(f"{folder}/{artifact}.{kind}" for kind in kinds))


def training_row(wildcards):
    """A run's own factors as JSON; the experiments that share it are left out, so naming one more trains nothing."""
    row = run_row(RUNS[wildcards.run])
    del row["experiments"]
    return as_json(row)


def training_settings():
    """What changes the training as JSON; what a scheduler grants is left out, so raising it trains nothing."""
    granted = ("runtime_min", "mem_mb", "threads")
    settings = {key: value for key, value in STUDY["training"].items() if key not in granted}
    # A study file cannot say null (it removes a key), so it says none and 0.
    settings["zero_stage"] = None if settings.get("zero_stage") == "none" else settings.get("zero_stage")
    settings["checkpoint_steps"] = settings.get("checkpoint_steps") or None
    return as_json(settings)


def training_launcher(wildcards, resources):
    """One rank per GPU under torchrun where there are several, else plain Python."""
    ranks = resources.get("gpu") or STUDY["training"]["processes"]
    # The two dashes keep torchrun from taking the program's options for its own.
    return f"torchrun --standalone --nproc_per_node {ranks} --" if ranks > 1 else "$PLW_PYTHON"


def evaluation_settings():
    """What changes the evaluation as JSON; the list of benchmarks and what a scheduler grants are left out."""
    left_out = ("benchmarks", "runtime_min", "mem_mb", "threads")
    return as_json({key: value for key, value in STUDY["evaluation"].items() if key not in left_out})


def generations(run, benchmark):
    """The texts that a run's model wrote for a judged benchmark."""
    return f"results/{STUDY_NAME}/runs/{run}/benchmarks/{benchmark}.outputs.json"


def judged_output_arguments(wildcards):
    """RUN=FILE for each run of the batch."""
    return " ".join(f"{run}={generations(run, wildcards.judged)}" for run in judged_runs(wildcards))


def judge_reference_outputs(wildcards):
    """The file that the judge compares with."""
    run = reference_run(STUDY, list(RUNS.values()), wildcards.judged)
    if run is not None:
        return generations(run.run, wildcards.judged)
    source = STUDY["benchmarks"][wildcards.judged]["source"]
    return local_files(source)[0] if "path" in source else as_json(source)


def described(registry, names):
    """Name, label and place in the paper of ptlms or data sets, as JSON for figures and tables."""
    keys = ("label", "stands_for")
    entries = [(name, STUDY[registry][name]) for name in names]
    return as_json([{"name": name, **{k: entry[k] for k in keys if k in entry}} for name, entry in entries])


def benchmarks_of_experiments():
    """The benchmarks of each experiment that asks for fewer than all, as JSON."""
    return as_json({name: entry["benchmarks"] for name, entry in STUDY["experiments"].items() if "benchmarks" in entry})

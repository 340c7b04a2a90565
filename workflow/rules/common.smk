"""
The study of this call and the functions that tell rules their inputs. No rules here.

REQUIRED INPUTS:  config/config.yaml (read by the Snakefile), config/studies/*.yaml, config/benchmarks.yaml,
                  config/sources.yaml, workflow/schemas/study.schema.yaml
PROVIDES:         STUDY, RUNS (by run id), DATASETS, BATCHES, ARTIFACTS and the input functions below; on a dry run
                  it prints what the study would cost
"""

import glob
import json
import re
import shlex
import sys
import time
from pathlib import Path

STARTED = time.time()
ROOT = Path(workflow.current_basedir).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.configuration import load_configuration, read_yaml
from plw.errors import InputError, InputErrors
from plw.plan import plan_study, plan_text
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
GIVEN_SCORES = config.get("scores")  # an analyst's table: nothing is trained, what needs runs is left out
FINISHED_ONLY = bool(config.get("finished_only", False))
MEASURED = [
    run for run in RUNS if not FINISHED_ONLY or Path(f"results/{STUDY_NAME}/runs/{run}/evaluation.json").exists()
]
JUDGED = [name for name in STUDY["evaluation"]["benchmarks"] if STUDY["benchmarks"][name]["framework"] != "harness"]
MAIN = STUDY["experiments"]["main"]
EXPERIMENTS = STUDY["run_experiments"]
# One regression for each data set of the main experiment (§5.2); a parabola in w_p needs three PLWs.
REGRESSED = MAIN["datasets"] if len(MAIN["plw"]) >= 3 else []
# The GAMs join the data sets of two experiments (App. D): score by w_p and R_g, at least three of each.
SMOOTHED = MAIN["datasets"] + (STUDY["experiments"]["ratios"]["datasets"] if "ratios" in EXPERIMENTS else [])
SMOOTHED = SMOOTHED if REGRESSED and len(SMOOTHED) >= 3 else []
GROUPS = {STUDY["benchmarks"][name]["group"] for name in STUDY["evaluation"]["benchmarks"]}
# Every artifact of the paper, and whether this study has what it is made of.
MADE_WHERE = {
    "figure_1": True,
    "figure_2": "mechanism" in STUDY and not GIVEN_SCORES,
    "figure_3": "datasets" in EXPERIMENTS,
    "figure_4": True,
    "figure_5": "I" in GROUPS,
    "figure_6": "II" in GROUPS,
    "figure_7": "III" in GROUPS,
    "figure_8": "regularizers" in EXPERIMENTS,
    "figure_9": "datasets" in EXPERIMENTS,
    "figure_10": bool(SMOOTHED),
    "table_1": not GIVEN_SCORES,
    "table_2": True,
    "table_3": bool(REGRESSED),
    "table_4": "regularizers" in EXPERIMENTS,
    "table_5": bool(SMOOTHED),
    "table_6": True,
    "table_losses": "losses" in EXPERIMENTS,  # ours
}
ARTIFACTS = [name for name, made in MADE_WHERE.items() if made]

if any(re.fullmatch(r"-[a-zA-Z]*n[a-zA-Z]*|--dry-?run", word) for word in sys.argv) and not GIVEN_SCORES:
    plan = plan_study(STUDY, list(RUNS.values()), read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]["rows"])
    print(plan_text(plan, STUDY), file=sys.stderr)

# How programs are started: $PLW_PYTHON is Python, or Python with the libraries loaded where the study says so. Without
# conda it is the interpreter that runs Snakemake, whether its environment is activated or not. Progress bars are off,
# because they fill log files with control characters.
python = "python scripts/run_preloaded.py" if STUDY.get("preload") else "python"
path = "" if workflow.deployment_settings.deployment_method else f'PATH="{Path(sys.executable).parent}:$PATH" '
shell.prefix(f'export {path}PLW_PYTHON="{python}" TQDM_DISABLE=1; ')


wildcard_constraints:
    study=re.escape(STUDY_NAME),
    # The form of a run id, not all of them: Snakemake compiles this hundreds of times.
    run=f"(?:{'|'.join(STUDY['ptlms'])})-(?:{'|'.join(STUDY['datasets'])})-plw[^/]+-s[0-9]+",
    dataset="|".join(map(re.escape, STUDY["datasets"])),
    batch="|".join(map(re.escape, BATCHES)),
    judged="|".join(map(re.escape, JUDGED)) or "none",
    ptlm="[a-z0-9_]+",


def what_failed():
    """What the programs that failed in this call said, out of their logs; Snakemake itself shows only their commands."""
    said = []
    for file in sorted(Path(f"results/{STUDY_NAME}/logs").rglob("*.log"), key=lambda file: file.stat().st_mtime):
        if file.stat().st_mtime < STARTED:
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        place = max(text.rfind("\nError:"), text.rfind("\nTraceback"), 0)
        if place or text.startswith(("Error:", "Traceback")):
            lines = text[place:].strip().splitlines()
            said.append("\n".join([f"--- {file}", *(lines if len(lines) < 16 else lines[:1] + ["    …"] + lines[-6:])]))
    return "\n".join([*said, f"All logs: results/{STUDY_NAME}/logs"])


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
    """Registry entries of benchmarks as JSON, each with its name and without what only a dry run reads."""
    entries = [{"name": name, **STUDY["benchmarks"][name]} for name in names]
    return as_json([{key: value for key, value in entry.items() if key != "cost"} for entry in entries])


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


def mechanism_files():
    """mechanism.csv, where the study measures it."""
    return [] if GIVEN_SCORES or "mechanism" not in STUDY else results("mechanism.csv")


def memorisation_settings(wildcards):
    """How much of its training data a run's model is asked for, as JSON; null where the data set is not asked."""
    settings = dict(STUDY["mechanism"].get("memorisation", {}))
    asked = RUNS[wildcards.run].dataset in settings.pop("datasets", [])
    return as_json(settings if asked else None)


def printed_ratios(names):
    """R_g that the paper prints for the sets that these data sets stand for, as JSON: a score table has no texts."""
    printed = read_yaml(ROOT / "config/paper_numbers.yaml")["table_1"]
    known = {name: row["r_g"] for name, row in printed["rows"].items()} | printed["text"]["r_g"]
    roles = {name: STUDY["datasets"][name].get("stands_for") for name in names}
    return as_json({name: known[role] for name, role in roles.items() if role in known})


def experiment_datasets(name):
    """The data sets of an experiment; none where the study does not run it."""
    return STUDY["experiments"][name]["datasets"] if name in EXPERIMENTS else []


def experiment_ptlms(name):
    """The ptlms of an experiment; regularizers are compared with the main experiment's runs, so its ptlms count too."""
    own = STUDY["experiments"].get(name, MAIN)["ptlms"]
    return list(dict.fromkeys([*own, *(MAIN["ptlms"] if name == "regularizers" else [])]))


def run_datasets():
    """All data sets that some run trains on."""
    return list(dict.fromkeys(run.dataset for run in RUNS.values()))


def run_ptlms():
    """All ptlms that some run starts from."""
    return list(dict.fromkeys(run.ptlm for run in RUNS.values()))


def statistics_settings(*names):
    """Those of the study's statistics settings that are named, as JSON."""
    return as_json({name: STUDY["statistics"][name] for name in names if name in STUDY["statistics"]})


def benchmarks_of_experiment(name):
    """The benchmarks that an experiment asks for, in the study's order."""
    asked = STUDY["experiments"].get(name, {}).get("benchmarks", STUDY["evaluation"]["benchmarks"])
    return [benchmark for benchmark in STUDY["evaluation"]["benchmarks"] if benchmark in asked]


def quoted(value):
    """A parameter for the shell; single quotes keep JSON as it is."""
    return shlex.quote(str(value))


def option(name, files):
    """`--name FILES` for one file or several, or nothing where there is none."""
    files = [files] if isinstance(files, str) else files
    return f"--{name} {' '.join(map(shlex.quote, files))}" if files else ""


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


def sampled_runs():
    """The runs whose texts the report shows side by side: of the main experiment, on the Short data set."""
    short = [name for name, entry in STUDY["datasets"].items() if entry.get("stands_for") == "AlpacaDataShort"]
    wanted = "alpaca_eval" in STUDY["evaluation"]["benchmarks"] and not GIVEN_SCORES
    return [run for run in MEASURED if wanted and RUNS[run].dataset in short and "main" in RUNS[run].experiments]


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
    """Name, label, place in the paper and size of ptlms or data sets, as JSON for figures, tables and claims."""
    keys = ("label", "stands_for", "parameters")
    entries = [(name, STUDY[registry][name]) for name in names]
    return as_json([{"name": name, **{k: entry[k] for k in keys if k in entry}} for name, entry in entries])


def benchmarks_of_experiments():
    """The benchmarks of each experiment that asks for fewer than all, as JSON."""
    return as_json({name: entry["benchmarks"] for name, entry in STUDY["experiments"].items() if "benchmarks" in entry})

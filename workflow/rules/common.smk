"""
The study of this call: read here, once, for all rules. What rules are told about it is computed by plain functions in
scripts/plw/study/ (layout, design, inputs, parameters).

REQUIRED INPUTS:  config/config.yaml (read by the Snakefile), config/studies/*.yaml, config/benchmarks.yaml,
                  config/sources.yaml, workflow/schemas/study.schema.yaml
PROVIDES:         STUDY, RUNS (by run id), MEASURED, DATASETS, BATCHES, JUDGEMENTS, ARTIFACTS, REMOTE_SOURCES; on a dry
                  run it prints what the study would cost
"""

import gc
import os
import re
import shlex
import sys
import time
from itertools import chain
from pathlib import Path

from snakemake.io import IOFile

STARTED = time.time()
# A graph of jobs is many objects that stay, and with Python's usual thresholds (700, 10, 10) they are looked through for
# garbage again and again (docs/measurements.md, planning).
gc.set_threshold(50_000, 20, 50)
ROOT = Path(workflow.current_basedir).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.environment import shell_commands
from plw.errors import InputError, InputErrors
from plw.figures.fonts import check_labels
from plw.figures.style import style_with
from plw.study import design, inputs, layout, parameters
from plw.study.configuration import check_links, given_results, load_configuration, read_yaml
from plw.study.fetching import fetch_first, needs_of
from plw.study.logs import WithoutCommands, failures, fetched, finished
from plw.study.parameters import as_json
from plw.study.planning.fit import check_fits, training_fits
from plw.study.planning.machine import measure_speed
from plw.study.planning.plan import plan_study, plan_text
from plw.study.planning.processor import is_planned_so
from plw.study.pretrained import check_folders
from plw.study.records import code, manifest
from plw.study.records.drift import drift_text, find_drift, records_of
from plw.study.records.earlier import Earlier
from plw.study.runs import benchmarks_of, datasets_of, list_runs, reference_run, run_row

try:
    if workflow.is_main_process:
        check_links(ROOT)
    STUDY = load_configuration(dict(config), root=ROOT)
    if workflow.is_main_process:  # jobs need not ask again
        check_labels(STUDY, style_with(STUDY.get("figures")))
except (InputError, InputErrors) as error:
    raise WorkflowError(str(error)) from None

STUDY_NAME = STUDY["name"]
RUNS = {run.run: run for run in list_runs(STUDY)}
DATASETS = datasets_of(list(RUNS.values()), STUDY)
# Nothing is trained where results are given. An analyst's table of scores alone leaves out what needs more; an export
# (plw export) is read in the place of the study's own results, by the same names.
GIVEN_SCORES, GIVEN_RESULTS = given_results(config)
SCORES_ALONE = bool(GIVEN_SCORES) and not GIVEN_RESULTS
REMOTE_SOURCES = [] if GIVEN_SCORES else needs_of(STUDY, list(RUNS.values()))
FETCHED = f"results/{STUDY_NAME}/fetched.json"
FINISHED_ONLY = bool(config.get("finished_only", False))
MEASURED = {
    name: run
    for name, run in RUNS.items()
    if not FINISHED_ONLY or Path(*layout.of_runs(STUDY, [name], "evaluation.json")).exists()
}
# A call for finished runs asks no judge whose reference is still to be measured.
BATCHES = {
    name: design.batches(STUDY, MEASURED.values(), name)
    for name in design.judged_benchmarks(STUDY)
    if not FINISHED_ONLY
    or all(Path(file).exists() for file in inputs.judge_reference_files(STUDY, RUNS.values(), name))
}
JUDGEMENTS = layout.results(
    STUDY, *(f"judgements/{name}/{batch}.json" for name, batches in BATCHES.items() for batch in batches)
)
MAIN = STUDY["experiments"]["main"]
REGRESSED = design.regressed_datasets(STUDY)
SMOOTHED = design.smoothed_datasets(STUDY)
ARTIFACTS = design.made_artifacts(STUDY, from_scores=SCORES_ALONE)
LEFT_OUT = design.left_out_artifacts(STUDY, from_scores=SCORES_ALONE)
for target in sys.argv[1:]:
    if target in LEFT_OUT:
        raise WorkflowError(f"Study {STUDY_NAME} makes no {target}: {LEFT_OUT[target]}.")
PAPER_NUMBERS = "config/paper_numbers.yaml"

if any(re.fullmatch(r"-[a-zA-Z]*n[a-zA-Z]*|--dry-?run", word) for word in sys.argv) and not GIVEN_SCORES:
    # A dry run needs no --cores, and then stands for a call that takes all of them.
    CORES = os.cpu_count() or 1
    if any(re.match(r"-[cj]|--(cores|jobs)", word) for word in sys.argv):
        CORES = int(workflow.cores or CORES)
    plan = plan_study(
        STUDY,
        list(RUNS.values()),
        read_yaml(ROOT / PAPER_NUMBERS)["table_1"]["rows"],
        speed=measure_speed(min(CORES, os.cpu_count() or 1)) if is_planned_so(STUDY) else None,
        cores=CORES,
    )
    print(plan_text(plan, STUDY), file=sys.stderr)
    for reason in dict.fromkeys(LEFT_OUT.values()):
        print(
            f"Left out, {reason}: {', '.join(name for name in LEFT_OUT if LEFT_OUT[name] == reason)}.", file=sys.stderr
        )
    recorded = records_of(STUDY, RUNS, design.judgement_files(STUDY, RUNS.values()))
    if said := drift_text(find_drift(STUDY, recorded)):
        print(said, file=sys.stderr)
    print(
        f"What this design could decide of the paper's claims: plw power {shlex.quote(config['study'])}",
        file=sys.stderr,
    )

# How programs are started: $PLW_PYTHON is Python, or Python with the libraries loaded where the study says so. Without
# conda it is the interpreter that runs Snakemake, whether its environment is activated or not. The library is always
# that of this checkout. Progress bars are off, because they fill log files with control characters. Once the study's
# sources are fetched, its jobs run with the Hub off: what is missing is said in seconds, and nothing changes any more.
# torchrun is started like them.
python = "python -m plw.preload" if STUDY.get("preload") else "python"
binaries = shlex.quote(str(Path(sys.executable).parent))
path = "" if workflow.deployment_settings.deployment_method else f"PATH={binaries}:$PATH "
library = shlex.quote(str(ROOT / "scripts"))
offline = "export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1"
hub_off = f"if [ -e {FETCHED} ]; then {offline}; fi; " if REMOTE_SOURCES else ""
environment = shell_commands(os.environ)  # takes away and sets what plw/environment.py says
exported = f'export {path}PYTHONPATH={library} PLW_PYTHON="{python}" TQDM_DISABLE=1; '
prefix = f'{environment}{exported}torchrun() {{ $PLW_PYTHON -m torch.distributed.run "$@"; }}; {hub_off}'
shell.prefix(prefix.replace("{", "{{").replace("}", "}}"))  # Snakemake formats it

logger.addFilter(WithoutCommands())


wildcard_constraints:
    study=re.escape(STUDY_NAME),
    # The form of a run id, not all of them: Snakemake compiles this hundreds of times.
    run=f"(?:{'|'.join(STUDY['ptlms'])})-(?:{'|'.join(STUDY['datasets'])})-plw[^/]+-s[0-9]+",
    dataset="|".join(map(re.escape, STUDY["datasets"])),
    batch="|".join(map(re.escape, dict.fromkeys(chain.from_iterable(BATCHES.values())))) or "none",
    judged="|".join(map(re.escape, design.judged_benchmarks(STUDY))) or "none",
    ptlm="[a-z0-9_]+",


# What an earlier call recorded of a file; a study that was finished when rules were told more or less stays finished.
EARLIER = Earlier(lambda path: workflow.persistence and workflow.persistence.metadata(IOFile(path)))


def model_inputs(made, source):
    """The files of a local model that decide, as inputs of the job that makes `made`."""
    files = inputs.model_files(STUDY, source)
    return EARLIER.files(made, files, before=inputs.configuration_of(files))


def tokenizer_inputs(made, files):
    """The same of a tokenizer alone."""
    return EARLIER.files(made, files, before=inputs.configuration_of(files))


def task_inputs(made, benchmarks):
    """The harness's tasks of these benchmarks, as inputs of the job that makes `made`."""
    files = EARLIER.project_files(made, inputs.task_files(STUDY, benchmarks), folder=inputs.HARNESS)
    return files + inputs.own_task_files(STUDY, benchmarks)


def prompt_inputs(made, benchmark):
    """The prompt of a benchmark's judge, as input of the job that makes `made`."""
    return EARLIER.project_files(made, inputs.prompt_files(STUDY, benchmark), folder=inputs.PROMPTS)


def weights_inputs(made, ptlm):
    """The weights of a ptlm of the world, as input of the job that makes `made` and names its configuration."""
    folder = f"results/{STUDY_NAME}/world/ptlms/{ptlm}"
    configuration, weights = (f"{folder}/{name}" for name in inputs.MADE_MODEL)
    return EARLIER.files(made, [configuration, weights], before=[configuration])[1:]


def measured_parameter(made, benchmarks):
    """What is measured on these benchmarks, as a parameter of the job that makes `made`."""
    text = as_json(parameters.measured_entries(STUDY, benchmarks))
    return EARLIER.text(made, text, left_out=parameters.DESCRIBING["benchmarks"])


def judged_parameter(made, benchmark):
    """The same of a judged benchmark alone."""
    text = as_json(parameters.measured_entries(STUDY, [benchmark])[0])
    return EARLIER.text(made, text, left_out=parameters.DESCRIBING["benchmarks"])


def judge_parameter(made, benchmark):
    """What a benchmark's judge is, as a parameter of the job that makes `made`."""
    return EARLIER.text(made, parameters.judge_settings(STUDY, benchmark), left_out=parameters.DESCRIBING["judges"])


def measured(*names):
    """Files of what was measured: given ones, or the study's own; none where there is a score table alone."""
    if GIVEN_RESULTS:
        return [f"{GIVEN_RESULTS}/{name}" for name in names if Path(GIVEN_RESULTS, name).exists()]
    return [] if SCORES_ALONE else layout.results(STUDY, *names)


def measured_statistics(datasets):
    """The counts of each data set."""
    return measured(*(f"data/{dataset}/statistics.json" for dataset in datasets))


MECHANISM = measured("mechanism.csv") if "mechanism" in STUDY else []
ITEMS = measured("items.parquet")


def recorded_jobs(jobs):
    """Jobs of Snakemake as the manifest records them: those that make files of this study."""
    own = f"results/{STUDY_NAME}/"
    for job in jobs:
        outputs = [str(file) for file in (*job.output, *([job.benchmark] if job.benchmark else []))]
        if job.output and outputs[0].startswith(own):
            program = re.search(r"scripts/(\S+\.py)", job.shellcmd or "")
            yield manifest.Job(job.rule.name, tuple(outputs), tuple(map(str, job.input)), program and program[1])


def begin_records():
    """Before anything runs: which files this call is about to make."""
    if workflow.is_main_process and not workflow.touch:
        manifest.begin_call(Path(), STUDY_NAME, recorded_jobs(workflow.dag.needrun_jobs()))


def schedule_by_events():
    """Choose jobs when one is done, and not again and again in between.

    Snakemake 9.27 limits the start of jobs to 100 a second and, for that, looks again a second after each look, so every
    job that ends adds one more look a second until the end of the call: after 500 jobs, that many. A limit that was
    asked for stays.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1) and getattr(workflow.scheduler, "job_rate_limiter", None):
        workflow.scheduler.job_rate_limiter = None


def end_records():
    """After a call, whole or not: the sums of what it made. `--touch` made nothing."""
    if workflow.touch or not workflow.is_main_process:
        return
    jobs = [job for job in workflow.dag.needrun_jobs(exclude_finished=False) if workflow.dag.finished(job)]
    manifest.end_call(Path(), STUDY_NAME, recorded_jobs(jobs), since=STARTED)


def what_failed():
    """What the programs that failed in this call said; Snakemake itself shows only their commands."""
    folder = Path(f"results/{STUDY_NAME}/logs")
    return "\n".join([*failures(folder, since=STARTED), f"All logs: {folder}"])


def what_was_made():
    """What was fetched, where the report is and what it says, for the terminal."""
    made = finished(Path(f"results/{STUDY_NAME}"), seconds=time.time() - STARTED)
    return "\n".join(text for text in (fetched(Path(FETCHED), since=STARTED), made) if text)


def check_fetched():
    """On a cluster, what jobs need is fetched before any of them is queued."""
    if not REMOTE_SOURCES or Path(FETCHED).exists() or workflow.local_exec or not workflow.is_main_process:
        return
    if any(not job.is_local for job in workflow.dag.needrun_jobs()):
        raise WorkflowError(fetch_first(REMOTE_SOURCES, config["study"]))


def check_models():
    """Folders of models that this call's jobs will load are looked at before the first of them starts."""
    if not workflow.is_main_process:
        return
    rules = {job.rule.name for job in workflow.dag.needrun_jobs()}
    ptlms = {f"ptlms.{run.ptlm}.source": STUDY["ptlms"][run.ptlm]["source"] for run in RUNS.values()}
    judges = {f"judges.{name}.source": STUDY["judges"][name]["source"] for name in design.judged_benchmarks(STUDY)}
    loaded = (ptlms if "train_model" in rules else {}) | (judges if "judge_outputs" in rules else {})
    brought = {key: it for key, it in loaded.items() if "path" in it and not inputs.is_made(STUDY, Path(it["path"]))}
    try:
        check_folders(brought)
    except InputErrors as errors:
        raise WorkflowError(str(errors)) from None


def check_memory():
    """Trainings that cannot fit their device are refused before the first job starts or is queued."""
    if not workflow.is_main_process or "train_model" not in {job.rule.name for job in workflow.dag.needrun_jobs()}:
        return
    printed = read_yaml(ROOT / PAPER_NUMBERS)["table_1"]["rows"]
    try:
        check_fits(training_fits(STUDY, list(RUNS.values()), printed))
    except InputErrors as errors:
        raise WorkflowError(str(errors)) from None


def judged_runs(wildcards):
    """The runs of a batch that a judged benchmark is asked for."""
    return BATCHES[wildcards.judged][wildcards.batch]


def benchmarks_are_read():
    """What a training asks before it starts; nothing is read again where read_benchmarks (evaluation.smk) has read it.

    As an input of the training, that rule's file would train every finished run again, and so would a parameter: other
    inputs or parameters are another run. So it is text of the command, with the braces doubled that Snakemake would fill.
    """
    program = f"$PLW_PYTHON scripts/evaluation/read_benchmarks.py --config {quoted(CHOSEN)} --local"
    command = f"{program} --known results/{STUDY_NAME}/benchmarks.json"
    return command.replace("{", "{{").replace("}", "}}")


def chosen_study():
    """The study of this call as text of a command: as a parameter it would judge every finished batch again."""
    return f" --config {quoted(CHOSEN)}".replace("{", "{{").replace("}", "}}")


def room_files(room):
    """All files of a room of the library, as inputs of a cheap rule that its whole room decides."""
    files = sorted((ROOT / "scripts/plw" / room).rglob("*.*"))
    return [str(file.relative_to(ROOT)) for file in files if file.suffix in (".py", ".j2", ".R")]


def training_launcher(wildcards, resources):
    """One rank per GPU under torchrun where there are several, else plain Python."""
    ranks = resources.get("gpu") or STUDY["training"]["processes"]
    # The two dashes keep torchrun from taking the program's options for its own.
    return f"torchrun --standalone --nproc_per_node {ranks} --" if ranks > 1 else "$PLW_PYTHON"


def quoted(value):
    """A parameter for the shell; single quotes keep JSON as it is."""
    return shlex.quote(str(value))


def option(name, files):
    """`--name FILES` for one file or several, or nothing where there is none."""
    files = [files] if isinstance(files, str) else files
    return f"--{name} {' '.join(map(shlex.quote, files))}" if files else ""

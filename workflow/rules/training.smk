"""
Fine-tune each ptlm on each data set with each PLW (§4, App. E.1).

REQUIRED INPUTS:  results/STUDY/data/DATASET/instances.jsonl, the ptlm
OUTPUTS:          results/STUDY/runs/RUN/{model/,loss.csv,run.json}, results/STUDY/loss_identities.json
Checkpoints live in results/STUDY/checkpoints/RUN, which no rule declares: Snakemake never wipes them, so an interrupted
training resumes; they go when the training is done. Nor does one declare results/STUDY/encoded, where the rows of a data
set are kept as token ids for all trainings of a tokenizer; it may be deleted at any time.
"""

from plw.study.planning import scheduling
from plw.study.planning.cost import Cost

RUNTIMES = scheduling.Runtimes(STUDY, RUNS, Cost(STUDY, read_yaml(ROOT / PAPER_NUMBERS)["table_1"]["rows"]))

WORLD_BENCHMARKS = design.world_benchmarks(STUDY, RUNS.values())


rule train_model:
    """One fine-tuning, resumed where it stopped."""
    input:
        instances=lambda wildcards: layout.of_datasets(STUDY, [RUNS[wildcards.run].dataset], "instances.jsonl"),
        ptlm=lambda wildcards: model_inputs(
            layout.of_runs(STUDY, [wildcards.run], "run.json")[0],
            STUDY["ptlms"][RUNS[wildcards.run].ptlm]["source"],
        ),
        world=lambda wildcards: ancient(design.unread_benchmarks(STUDY, RUNS[wildcards.run], WORLD_BENCHMARKS)),
    output:
        model=(
            directory("results/{study}/runs/{run}/model")
            if STUDY.get("keep_models")
            else temp(directory("results/{study}/runs/{run}/model"))
        ),
        loss="results/{study}/runs/{run}/loss.csv",
        run_json="results/{study}/runs/{run}/run.json",
    log:
        "results/{study}/logs/train_model/{run}.log",
    benchmark:
        "results/{study}/times/train_model/{run}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: scheduling.training_cores(STUDY)
    resources:
        rank_threads=STUDY["training"].get("threads", 1),
        gpu=scheduling.gpus(STUDY["training"], STUDY["training"]["processes"]),
        runtime=lambda wildcards, attempt: RUNTIMES.training(wildcards.run, attempt),
        mem_mb=STUDY["training"].get("mem_mb", 4000),
    params:
        version=code.training_version(STUDY["training"]),
        launcher=training_launcher,
        run=lambda wildcards: parameters.training_row(RUNS[wildcards.run]),
        training=parameters.training_settings(STUDY),
        ptlm=lambda wildcards: parameters.ptlm_source(STUDY, RUNS[wildcards.run].ptlm),
    shell:
        benchmarks_are_read()
        + " > {log:q} 2>&1 && {params.launcher} scripts/training/train_model.py --run {params.run:q} --training {params.training:q}"
        " --ptlm {params.ptlm:q} --instances {input.instances:q} --model-dir {output.model:q} --loss {output.loss:q}"
        " --run-json {output.run_json:q} --checkpoints results/{wildcards.study}/checkpoints/{wildcards.run}"
        " --encoded results/{wildcards.study}/encoded --threads {resources.rank_threads} >> {log:q} 2>&1"


rule check_loss:
    """What §4.1 says of the loss, tried with this code (a claim of the paper)."""
    input:
        code=layout.code("training/check_loss.py", "plw/training/identities.py", "plw/training/loss.py"),
    output:
        "results/{study}/loss_identities.json",
    log:
        "results/{study}/logs/check_loss.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    shell:
        "$PLW_PYTHON scripts/training/check_loss.py --out {output:q} > {log:q} 2>&1"

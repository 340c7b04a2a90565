"""
Fine-tune each ptlm on each data set with each PLW (§4, App. E.1).

REQUIRED INPUTS:  results/STUDY/data/DATASET/instances.jsonl, the ptlm
OUTPUTS:          results/STUDY/runs/RUN/{model/,loss.csv,run.json}
Checkpoints live in results/STUDY/checkpoints/RUN, which no rule declares: Snakemake never wipes them, so an interrupted
training resumes; they go when the training is done.
"""


rule train_model:
    """One fine-tuning, resumed where it stopped."""
    input:
        instances=run_instances,
        ptlm=run_ptlm_files,
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
    threads: STUDY["training"].get("threads", 1) * (1 if gpus(STUDY["training"]) else STUDY["training"]["processes"])
    resources:
        rank_threads=STUDY["training"].get("threads", 1),
        gpu=gpus(STUDY["training"], STUDY["training"]["processes"]),
        runtime=STUDY["training"].get("runtime_min", 60),
        mem_mb=STUDY["training"].get("mem_mb", 4000),
    params:
        version=1,  # raise it when a change of the training code changes results
        launcher=training_launcher,
        run=training_row,
        training=training_settings(),
        ptlm=lambda wildcards: ptlm_source(RUNS[wildcards.run].ptlm),
    shell:
        "{params.launcher} scripts/train_model.py --run {params.run:q} --training {params.training:q}"
        " --ptlm {params.ptlm:q} --instances {input.instances:q} --model-dir {output.model:q} --loss {output.loss:q}"
        " --run-json {output.run_json:q} --checkpoints results/{wildcards.study}/checkpoints/{wildcards.run}"
        " --threads {resources.rank_threads} > {log:q} 2>&1"

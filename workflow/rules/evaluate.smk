"""
Measure each fine-tuned model on the study's benchmarks (§4.4): the harness's tasks, and the texts that judges compare.

REQUIRED INPUTS:  results/STUDY/runs/RUN/model/, the benchmarks' data
OUTPUTS:          results/STUDY/runs/RUN/evaluation.json (index)
One process loads a model once. Each benchmark's result lies undeclared in runs/RUN/benchmarks/, so a benchmark that is
added later runs alone; the index names the weights and the specification that each result belongs to.
"""


rule evaluate_model:
    """All benchmarks of one model that are not yet measured."""
    input:
        benchmark_files,
        model="results/{study}/runs/{run}/model",
    output:
        index="results/{study}/runs/{run}/evaluation.json",
    log:
        "results/{study}/logs/evaluate_model/{run}.log",
    benchmark:
        "results/{study}/times/evaluate_model/{run}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: STUDY["evaluation"].get("threads", 1)
    resources:
        gpu=gpus(STUDY["evaluation"]),
        runtime=STUDY["evaluation"].get("runtime_min", 60),
        mem_mb=STUDY["evaluation"].get("mem_mb", 4000),
    params:
        version=1,  # raise it when a change of the evaluation code changes results
        benchmarks=lambda wildcards: measured_entries(benchmarks_of(RUNS[wildcards.run], STUDY)),
        evaluation=evaluation_settings(),
        run_dir=lambda wildcards, output: str(Path(output.index).parent),
    shell:
        "$PLW_PYTHON scripts/evaluate_model.py --model {input.model:q} --benchmarks {params.benchmarks:q}"
        " --evaluation {params.evaluation:q} --run-dir {params.run_dir:q} --index {output.index:q}"
        " --threads {threads} > {log:q} 2>&1"

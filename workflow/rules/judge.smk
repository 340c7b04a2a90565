"""
Let the judges compare (§4.4): AlpacaEval 1 and PandaLM.

REQUIRED INPUTS:  results/STUDY/runs/RUN/evaluation.json and the generations that it lists, the judge's model
OUTPUTS:          results/STUDY/judgements/BENCHMARK/PTLM.DATASET.json
One process loads a judge once for all runs of a ptlm on a data set. Verdicts are cached by content, undeclared, in
judgements/BENCHMARK/cache: a new run asks only for its own.
"""


rule judge_outputs:
    """The verdicts on all runs of one ptlm on one data set."""
    input:
        evaluations=judged_outputs,
        reference=judge_reference,
        judge=judge_model_files,
    output:
        "results/{study}/judgements/{judged}/{batch}.json",
    log:
        "results/{study}/logs/judge_outputs/{judged}/{batch}.log",
    benchmark:
        "results/{study}/times/judge_outputs/{judged}/{batch}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: STUDY["evaluation"].get("threads", 1)
    resources:
        gpu=lambda wildcards: STUDY["judges"][wildcards.judged].get("gpus", 0),
        runtime=STUDY["evaluation"].get("runtime_min", 60),
        mem_mb=STUDY["evaluation"].get("mem_mb", 4000),
    params:
        version=1,  # raise it when a change of the judging code changes verdicts
        benchmark=lambda wildcards: as_json(json.loads(measured_entries([wildcards.judged]))[0]),
        judge=lambda wildcards: as_json(STUDY["judges"][wildcards.judged]),
        outputs=judged_output_arguments,
        reference=judge_reference_outputs,
    shell:
        "$PLW_PYTHON scripts/judge_outputs.py --benchmark {params.benchmark:q} --judge {params.judge:q}"
        " --reference {params.reference:q} --outputs {params.outputs}"
        " --work results/{wildcards.study}/judgements/{wildcards.judged}/cache/{wildcards.batch} --out {output:q}"
        " --threads {threads} > {log:q} 2>&1"

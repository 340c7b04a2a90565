"""
Measure each fine-tuned model on the study's benchmarks (§4.4): the harness's tasks, and the texts that judges compare
(AlpacaEval 1 and PandaLM).

REQUIRED INPUTS:  results/STUDY/runs/RUN/model/, the benchmarks' data, the judges' models
OUTPUTS:          results/STUDY/runs/RUN/evaluation.json (index), results/STUDY/judgements/BENCHMARK/PTLM.DATASET.json;
                  results/STUDY/ptlms/ (the generated world's ptlms before fine-tuning); results/STUDY/benchmarks.json
All rows of the benchmarks are read before the first training, so that a fault of theirs costs none.
One process loads a model once. Each benchmark's result lies undeclared in runs/RUN/benchmarks/, so a benchmark that is
added later runs alone; the index names the weights and the specification that each result belongs to. What the harness
asks is kept for all models of a tokenizer in requests/, undeclared; it may be deleted at any time. A judge is loaded
once for all runs of a ptlm on a data set; its verdicts are cached by content, undeclared, in judgements/BENCHMARK/cache,
so a new run asks only for its own.
"""

# What the generated world's ptlms can do before they are fine-tuned, for the report.
UNTUNED = layout.results(STUDY, *(f"ptlms/{ptlm}/evaluation.json" for ptlm in WORLD_PTLMS))
UNTUNED_JUDGEMENTS = layout.results(
    STUDY, *(f"ptlms/judgements/{name}.json" for name in design.judged_benchmarks(STUDY) if WORLD_PTLMS)
)


rule fetch:
    """All of it read once with the network off, as the jobs will; pickled weights are converted before."""
    input:
        f"results/{STUDY_NAME}/sources.json",
    output:
        FETCHED,
    log:
        f"results/{STUDY_NAME}/logs/fetch.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
        sources=as_json([[need.kind, need.source, need.splits] for need in REMOTE_SOURCES]),  # others are fetched anew
    shell:
        "python scripts/evaluation/read_sources.py --config {params.config:q} --sources {input:q} --record {output:q}"
        " > {log:q} 2>&1"


rule read_benchmarks:
    """All rows of all benchmarks of the study, in the form in which they are scored."""
    input:
        list(dict.fromkeys(file for run in RUNS.values() for file in inputs.benchmark_files(STUDY, run))),
        tasks=inputs.own_task_files(STUDY, STUDY["evaluation"]["benchmarks"]),
    output:
        "results/{study}/benchmarks.json",
    log:
        "results/{study}/logs/read_benchmarks.log",
    priority: 200  # before what takes long
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
        benchmarks=as_json(parameters.measured_entries(STUDY, list(STUDY["benchmarks"]))),
        evaluation=parameters.evaluation_settings(STUDY),
    shell:
        "$PLW_PYTHON scripts/evaluation/read_benchmarks.py --config {params.config:q} --record {output:q} > {log:q} 2>&1"


rule evaluate_model:
    """All benchmarks of one model that are not yet measured."""
    input:
        lambda wildcards: inputs.benchmark_files(STUDY, RUNS[wildcards.run]),
        model="results/{study}/runs/{run}/model",
        tasks=lambda wildcards: task_inputs(
            layout.of_runs(STUDY, [wildcards.run], "evaluation.json")[0], benchmarks_of(RUNS[wildcards.run], STUDY)
        ),
    output:
        index="results/{study}/runs/{run}/evaluation.json",
    log:
        "results/{study}/logs/evaluate_model/{run}.log",
    benchmark:
        "results/{study}/times/evaluate_model/{run}.tsv"
    priority: 1  # before further trainings: a model is deleted once it is measured, so that few lie about at once
    conda:
        "../../envs/workflow.yaml"
    threads: STUDY["evaluation"].get("threads", 1)
    resources:
        gpu=scheduling.gpus(STUDY["evaluation"]),
        runtime=lambda wildcards, attempt: RUNTIMES.evaluation(wildcards.run, attempt),
        mem_mb=STUDY["evaluation"].get("mem_mb", 4000),
    params:
        version=code.VERSIONS["evaluate_model"],
        benchmarks=lambda wildcards: measured_parameter(
            layout.of_runs(STUDY, [wildcards.run], "evaluation.json")[0], benchmarks_of(RUNS[wildcards.run], STUDY)
        ),
        evaluation=parameters.evaluation_settings(STUDY),
        run_dir=lambda wildcards, output: str(Path(output.index).parent),
    shell:
        "$PLW_PYTHON scripts/evaluation/evaluate_model.py --model {input.model:q} --benchmarks {params.benchmarks:q}"
        " --evaluation {params.evaluation:q} --run-dir {params.run_dir:q} --index {output.index:q}"
        " --requests results/{wildcards.study}/requests --threads {threads} > {log:q} 2>&1"


rule judge_outputs:
    """The verdicts on all runs of one ptlm on one data set."""
    input:
        evaluations=lambda wildcards: layout.of_runs(STUDY, judged_runs(wildcards), "evaluation.json"),
        reference=lambda wildcards: inputs.judge_reference_files(STUDY, RUNS.values(), wildcards.judged),
        judge=lambda wildcards: model_inputs(
            f"results/{STUDY_NAME}/judgements/{wildcards.judged}/{wildcards.batch}.json",
            STUDY["judges"][wildcards.judged]["source"],
        ),
        prompt=lambda wildcards: prompt_inputs(
            f"results/{STUDY_NAME}/judgements/{wildcards.judged}/{wildcards.batch}.json", wildcards.judged
        ),
    output:
        "results/{study}/judgements/{judged}/{batch}.json",
    log:
        "results/{study}/logs/judge_outputs/{judged}/{batch}.log",
    benchmark:
        "results/{study}/times/judge_outputs/{judged}/{batch}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: lambda wildcards: scheduling.judging_grant(STUDY, wildcards.judged, "threads", 1)
    resources:
        gpu=lambda wildcards: STUDY["judges"][wildcards.judged].get("gpus", 0),
        runtime=lambda wildcards, attempt: RUNTIMES.judging(wildcards.judged, judged_runs(wildcards), attempt),
        mem_mb=lambda wildcards: scheduling.judging_grant(STUDY, wildcards.judged, "mem_mb", 4000),
    params:
        version=code.VERSIONS["judge_outputs"],
        benchmark=lambda wildcards: judged_parameter(
            f"results/{STUDY_NAME}/judgements/{wildcards.judged}/{wildcards.batch}.json", wildcards.judged
        ),
        judge=lambda wildcards: judge_parameter(
            f"results/{STUDY_NAME}/judgements/{wildcards.judged}/{wildcards.batch}.json", wildcards.judged
        ),
        # Which runs are judged decides; the program finds them by the batch, since a command names no thousands of files.
        outputs=lambda wildcards: " ".join(
            f"{run}={layout.generations(STUDY, run, wildcards.judged)}" for run in judged_runs(wildcards)
        ),
        reference=lambda wildcards: inputs.judge_reference_outputs(STUDY, RUNS.values(), wildcards.judged),
    shell:
        "$PLW_PYTHON scripts/evaluation/judge_outputs.py --benchmark {params.benchmark:q} --judge {params.judge:q}"
        " --reference {params.reference:q} --batch {wildcards.batch}"
        + chosen_study()
        + " --work results/{wildcards.study}/judgements/{wildcards.judged}/cache/{wildcards.batch} --out {output:q}"
        " --threads {threads} > {log:q} 2>&1"


rule evaluate_ptlm:
    """What a ptlm can do before it is fine-tuned, on all benchmarks of the study."""
    input:
        lambda wildcards: inputs.benchmark_files(STUDY, next(iter(RUNS.values()))),
        model="results/{study}/world/ptlms/{ptlm}/config.json",
        weights=lambda wildcards: weights_inputs(
            f"results/{STUDY_NAME}/ptlms/{wildcards.ptlm}/evaluation.json", wildcards.ptlm
        ),
        tasks=lambda wildcards: task_inputs(
            f"results/{STUDY_NAME}/ptlms/{wildcards.ptlm}/evaluation.json", STUDY["evaluation"]["benchmarks"]
        ),
    output:
        index="results/{study}/ptlms/{ptlm}/evaluation.json",
    log:
        "results/{study}/logs/evaluate_ptlm/{ptlm}.log",
    benchmark:
        "results/{study}/times/evaluate_ptlm/{ptlm}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: STUDY["evaluation"].get("threads", 1)
    params:
        version=code.VERSIONS["evaluate_model"],
        benchmarks=lambda wildcards: measured_parameter(
            f"results/{STUDY_NAME}/ptlms/{wildcards.ptlm}/evaluation.json", STUDY["evaluation"]["benchmarks"]
        ),
        evaluation=parameters.evaluation_settings(STUDY),
        model=lambda wildcards, input: str(Path(input.model).parent),
        folder=lambda wildcards, output: str(Path(output.index).parent),
    shell:
        "$PLW_PYTHON scripts/evaluation/evaluate_model.py --model {params.model:q} --benchmarks {params.benchmarks:q}"
        " --evaluation {params.evaluation:q} --run-dir {params.folder:q} --index {output.index:q}"
        " --requests results/{wildcards.study}/requests --threads {threads} > {log:q} 2>&1"


rule judge_ptlms:
    """The verdicts on what the ptlms write before they are fine-tuned."""
    input:
        evaluations=expand("results/{{study}}/ptlms/{ptlm}/evaluation.json", ptlm=WORLD_PTLMS),
        reference=lambda wildcards: inputs.judge_reference_files(STUDY, RUNS.values(), wildcards.judged),
        judge=lambda wildcards: model_inputs(
            f"results/{STUDY_NAME}/ptlms/judgements/{wildcards.judged}.json",
            STUDY["judges"][wildcards.judged]["source"],
        ),
        prompt=lambda wildcards: prompt_inputs(
            f"results/{STUDY_NAME}/ptlms/judgements/{wildcards.judged}.json", wildcards.judged
        ),
    output:
        "results/{study}/ptlms/judgements/{judged}.json",
    log:
        "results/{study}/logs/judge_ptlms/{judged}.log",
    benchmark:
        "results/{study}/times/judge_ptlms/{judged}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: STUDY["evaluation"].get("threads", 1)
    params:
        version=code.VERSIONS["judge_outputs"],
        benchmark=lambda wildcards: judged_parameter(
            f"results/{STUDY_NAME}/ptlms/judgements/{wildcards.judged}.json", wildcards.judged
        ),
        judge=lambda wildcards: judge_parameter(
            f"results/{STUDY_NAME}/ptlms/judgements/{wildcards.judged}.json", wildcards.judged
        ),
        outputs=lambda wildcards, input: " ".join(
            f"{Path(file).parent.name}={Path(file).parent}/benchmarks/{wildcards.judged}.outputs.json"
            for file in input.evaluations
        ),
        reference=lambda wildcards: inputs.judge_reference_outputs(STUDY, RUNS.values(), wildcards.judged),
    shell:
        "$PLW_PYTHON scripts/evaluation/judge_outputs.py --benchmark {params.benchmark:q} --judge {params.judge:q}"
        " --reference {params.reference:q} --outputs {params.outputs}"
        " --work results/{wildcards.study}/ptlms/judgements/cache/{wildcards.judged} --out {output:q}"
        " --threads {threads} > {log:q} 2>&1"

"""
What a fine-tuning did to the model (§5.3): distance from the ptlm, memorisation of training data, stability of the loss.

REQUIRED INPUTS:  results/STUDY/runs/RUN/{model/,loss.csv,evaluation.json}, the ptlm, data/DATASET/instances.jsonl
OUTPUTS:          results/STUDY/runs/RUN/mechanism.json, results/STUDY/{mechanism.csv,rsd_windows.csv};
                  results/STUDY/packed/ (on demand: the runs for a machine that is borrowed, docs/borrowed_gpu.md)
Only the first rule needs the model; another window of the loss is another collection and no new measurement. On a borrowed
machine run_packed.py trains, measures and answers multiple choice in one go; take_results.py writes what came back as
the files that the rules here, in training.smk and in evaluation.smk would have made.
"""

if "mechanism" in STUDY:

    rule measure_mechanism:
        """Distance to the ptlm, and completions of training prompts."""
        input:
            instances=lambda wildcards: layout.of_datasets(STUDY, [RUNS[wildcards.run].dataset], "instances.jsonl"),
            ptlm=lambda wildcards: model_inputs(
                layout.of_runs(STUDY, [wildcards.run], "mechanism.json")[0],
                STUDY["ptlms"][RUNS[wildcards.run].ptlm]["source"],
            ),
            model="results/{study}/runs/{run}/model",
        output:
            "results/{study}/runs/{run}/mechanism.json",
        log:
            "results/{study}/logs/measure_mechanism/{run}.log",
        benchmark:
            "results/{study}/times/measure_mechanism/{run}.tsv"
        priority: 1  # as evaluate_model
        conda:
            "../../envs/workflow.yaml"
        threads: STUDY["evaluation"].get("threads", 1)
        resources:
            gpu=lambda wildcards: scheduling.mechanism_gpus(STUDY, RUNS[wildcards.run]),
            runtime=lambda wildcards, attempt: RUNTIMES.mechanism(wildcards.run, attempt),
            mem_mb=STUDY["evaluation"].get("mem_mb", 4000),
        params:
            version=code.VERSIONS["measure_mechanism"],
            ptlm=lambda wildcards: parameters.ptlm_source(STUDY, RUNS[wildcards.run].ptlm),
            weight_distance=as_json(STUDY["mechanism"].get("weight_distance", True)),
            memorisation=lambda wildcards: parameters.memorisation_settings(STUDY, RUNS[wildcards.run]),
            evaluation=as_json({k: v for k, v in STUDY["evaluation"].items() if k in ("batch_size", "dtype", "device")}),
        shell:
            "$PLW_PYTHON scripts/mechanism/measure_mechanism.py --run {wildcards.run} --model {input.model:q}"
            " --ptlm {params.ptlm:q} --instances {input.instances:q}"
            ' --settings \'{{"weight_distance": {params.weight_distance}, "memorisation": {params.memorisation}}}\''
            " --evaluation {params.evaluation:q} --threads {threads} --out {output:q} > {log:q} 2>&1"

    rule collect_mechanism:
        """All measures of all runs in one tidy table."""
        input:
            runs="results/{study}/runs.csv",
            mechanisms=layout.of_runs(STUDY, MEASURED, "mechanism.json"),
            losses=layout.of_runs(STUDY, MEASURED, "loss.csv"),
            evaluations=layout.of_runs(STUDY, MEASURED, "evaluation.json"),
            code=layout.code(
                "mechanism/collect_mechanism.py",
                "plw/mechanism/collection.py",
                "plw/mechanism/stability.py",
            ),
        output:
            table="results/{study}/mechanism.csv",
            windows="results/{study}/rsd_windows.csv",
        log:
            "results/{study}/logs/collect_mechanism.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            settings=as_json(STUDY["mechanism"].get("rsd", {})),
            clipping=STUDY["training"].get("max_grad_norm", 1.0),  # the default of training's settings
        shell:
            "$PLW_PYTHON scripts/mechanism/collect_mechanism.py --runs {input.runs:q}"
            " --folder results/{wildcards.study}/runs --settings {params.settings:q}"
            " --max-grad-norm {params.clipping} --out {output.table:q} --windows {output.windows:q} > {log:q} 2>&1"


rule pack_runs:
    """All that the study's runs need on a machine with a GPU and no network, in one folder."""
    input:
        instances=layout.of_datasets(
            STUDY, list(dict.fromkeys(run.dataset for run in RUNS.values())), "instances.jsonl"
        ),
        ptlms=[file for name in MAIN["ptlms"] for file in inputs.model_files(STUDY, STUDY["ptlms"][name]["source"])],
        benchmarks=list(dict.fromkeys(file for run in RUNS.values() for file in inputs.benchmark_files(STUDY, run))),
    output:
        directory(f"results/{STUDY_NAME}/packed"),
    log:
        f"results/{STUDY_NAME}/logs/pack_runs.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
        gguf=f"{SMOLLM2['folder']}={SMOLLM2['package']}/{SMOLLM2['gguf']}",
    shell:
        "$PLW_PYTHON scripts/mechanism/pack_runs.py --config {params.config:q} --gguf {params.gguf:q} --out {output:q}"
        " > {log:q} 2>&1"

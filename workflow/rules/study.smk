"""
Write down what this study asks for, and fetch what it needs from the network.

REQUIRED INPUTS:  config/ (through the study that the Snakefile has loaded); for `fetch` the Hub, and for gated models a
                  token (HF_TOKEN, or `hf auth login`)
OUTPUTS:          results/STUDY/runs.csv, results/STUDY/study.yaml; results/STUDY/sources.json (repositories, commits,
                  files and their sha256; the files themselves lie in the Hub client's cache, HF_HOME), which `fetch`
                  (evaluation.smk) makes results/STUDY/fetched.json of, once all of it was read
Two rules for the first two, because everything after this reads the run table and only the report reads the rest.
`snakemake --cores 1 fetch --config study=paper` is a call of its own: no job waits for it, so that one figure or table
can be made with only its own sources. On a cluster nothing is queued before it.
"""

CHOSEN = as_json({key: config[key] for key in ("study", "samples", "scores", "results") if key in config})


rule list_runs:
    """The run table: one row for each fine-tuning."""
    output:
        "results/{study}/runs.csv",
    log:
        "results/{study}/logs/list_runs.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
        runs=as_json([run_row(run) for run in RUNS.values()]),  # another run rewrites the table
    shell:
        "python scripts/study/list_runs.py --config {params.config:q} --runs {output:q} > {log:q} 2>&1"


rule write_study:
    """The resolved study, so that results say by themselves what was asked for."""
    output:
        "results/{study}/study.yaml",
    log:
        "results/{study}/logs/write_study.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
        study=as_json(STUDY),  # an edited study rewrites the file
    shell:
        "python scripts/study/list_runs.py --config {params.config:q} --study {output:q} > {log:q} 2>&1"


rule fetch_sources:
    """Models, data, benchmarks and judges at their pinned revisions, each file checked against the repository's sums."""
    output:
        temp(f"results/{STUDY_NAME}/sources.json"),
    log:
        f"results/{STUDY_NAME}/logs/fetch_sources.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=CHOSEN,
    shell:
        "HF_HUB_OFFLINE=0 HF_DATASETS_OFFLINE=0 TRANSFORMERS_OFFLINE=0"
        " python scripts/study/fetch_sources.py --config {params.config:q} --record {output:q} > {log:q} 2>&1"


onstart:
    check_fetched()
    check_models()
    check_memory()
    begin_records()
    schedule_by_events()

"""
Write down what this study asks for.

REQUIRED INPUTS:  config/ (through the study that the Snakefile has loaded)
OUTPUTS:          results/STUDY/runs.csv, results/STUDY/study.yaml
Two rules, because everything after this reads the run table and only the report reads the rest.
"""

CHOSEN = as_json({key: config[key] for key in ("study", "samples", "scores") if key in config})


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

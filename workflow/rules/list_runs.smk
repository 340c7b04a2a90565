"""
Write down what this study asks for.

REQUIRED INPUTS:  config/ (through the study that the Snakefile has loaded)
OUTPUTS:          results/STUDY/runs.csv, results/STUDY/study.yaml
"""


rule list_runs:
    """The run table: one row for each fine-tuning, and the resolved study beside it."""
    output:
        runs="results/{study}/runs.csv",
        study="results/{study}/study.yaml",
    log:
        "results/{study}/logs/list_runs.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        config=as_json(dict(config)),
        study=as_json(STUDY),  # an edited study rewrites the files
    shell:
        "python scripts/list_runs.py --config {params.config:q} --runs {output.runs:q} --study {output.study:q} > {log:q} 2>&1"

"""
Gather every score into one tidy table.

REQUIRED INPUTS:  results/STUDY/runs.csv, runs/RUN/evaluation.json, judgements/BENCHMARK/BATCH.json
OUTPUTS:          results/STUDY/{scores.csv,missing.json}
"""


rule collect_scores:
    """scores.csv, and the list of what is missing."""
    input:
        runs="results/{study}/runs.csv",
        evaluations=files_of_runs("evaluation.json"),
        judgements=all_judgements(),
        code=[
            "scripts/collect_scores.py",
            "scripts/plw/collection.py",
            "scripts/plw/scores.py",
        ],
    output:
        scores="results/{study}/scores.csv",
        missing="results/{study}/missing.json",
    log:
        "results/{study}/logs/collect_scores.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        experiments=benchmarks_of_experiments(),
    shell:
        "python scripts/collect_scores.py --runs {input.runs:q} --evaluations {input.evaluations:q}"
        " --judgements {input.judgements:q} --benchmarks {params.benchmarks:q}"
        " --experiments {params.experiments:q} --scores {output.scores:q} --missing {output.missing:q} > {log:q} 2>&1"

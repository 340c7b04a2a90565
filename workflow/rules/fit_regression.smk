"""
The regression of the paper (§5.2): one beta GLMM for each data set of the main experiment, in R.

REQUIRED INPUTS:  results/STUDY/scores.csv
OUTPUTS:          results/STUDY/regression/DATASET.json
"""


rule fit_glmm:
    """score ~ poly(w_p, 2) + (0 + poly(w_p, 2) | benchmark) + (1 | ptlm), with its checks and sensitivity fits."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        code=["scripts/fit_glmm.py"]
        + [
            f"scripts/plw/{name}"
            for name in ("regression.py", "scores.py", "transform.py", "glmm.R", "residuals.R", "json.R")
        ],
    output:
        "results/{study}/regression/{dataset}.json",
    log:
        "results/{study}/logs/fit_glmm/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        settings=as_json({key: value for key, value in STUDY["statistics"].items() if key != "seed"}),
        seed=STUDY["statistics"]["seed"],
        partial="--allow-partial" if STUDY.get("allow_partial") or FINISHED_ONLY else "",
    shell:
        "python scripts/fit_glmm.py --scores {input.scores:q} --runs {input.runs:q} --dataset {wildcards.dataset}"
        " --benchmarks {params.benchmarks:q} --settings {params.settings:q} --seed {params.seed} --out {output:q}"
        " {params.partial} > {log:q} 2>&1"

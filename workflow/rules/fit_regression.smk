"""
The statistics of the paper, in R: one beta GLMM for each data set of the main experiment (§5.2) with its checks, and the
GAMs of the optimal PLW by R_g (App. D).

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,items.parquet}, data/DATASET/statistics.json
OUTPUTS:          results/STUDY/regression/{DATASET.json,DATASET.checks.json,gam.json}
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
        settings=statistics_settings(
            "alpha",
            "squeeze",
            "squeeze_alternatives",
            "poly",
            "reduced_models",
            "simulations",
        ),
        seed=STUDY["statistics"]["seed"],
        partial="--allow-partial" if STUDY.get("allow_partial") or FINISHED_ONLY else "",
    shell:
        "python scripts/fit_glmm.py --scores {input.scores:q} --runs {input.runs:q} --dataset {wildcards.dataset}"
        " --benchmarks {params.benchmarks:q} --settings {params.settings:q} --seed {params.seed} --out {output:q}"
        " {params.partial} > {log:q} 2>&1"


rule check_regression:
    """What a careful reader asks of the fit: permutations, leave one benchmark out, bootstrap over items."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        item_scores=[] if GIVEN_SCORES else "results/{study}/items.parquet",
        code=["scripts/check_regression.py"]
        + [
            f"scripts/plw/{name}"
            for name in (
                *("regression_checks.py", "items.py", "regression.py", "scores.py", "transform.py"),
                *("glmm.R", "leave_one_out.R", "residuals.R", "json.R"),
            )
        ],
    output:
        "results/{study}/regression/{dataset}.checks.json",
    log:
        "results/{study}/logs/check_regression/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        settings=statistics_settings("squeeze", "poly", "alpha", "permutations", "leave_one_out", "bootstrap"),
        seed=STUDY["statistics"]["seed"],
        item_option=lambda wildcards, input: option("items", input.get("item_scores")),
    shell:
        "python scripts/check_regression.py --scores {input.scores:q} --runs {input.runs:q} {params.item_option}"
        " --dataset {wildcards.dataset} --benchmarks {params.benchmarks:q} --settings {params.settings:q}"
        " --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule fit_gam:
    """score ~ te(w, r, k = 3) + benchmark: the optimal PLW for a completion-prompt ratio (App. D)."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        statistics=[] if GIVEN_SCORES else expand("results/{{study}}/data/{dataset}/statistics.json", dataset=SMOOTHED),
        code=["scripts/fit_gam.py"]
        + [
            f"scripts/plw/{name}"
            for name in (
                *("gam.py", "regression.py", "scores.py", "transform.py"),
                *("gam.R", "glmm.R", "residuals.R", "json.R"),
            )
        ],
    output:
        "results/{study}/regression/gam.json",
    log:
        "results/{study}/logs/fit_gam.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        datasets=described("datasets", SMOOTHED),
        settings=as_json({**STUDY["statistics"].get("gam", {}), "seed": STUDY["statistics"]["seed"]}),
        r_g=lambda wildcards, input: (
            f"--ratios {quoted(printed_ratios(SMOOTHED))}" if GIVEN_SCORES else option("statistics", input.statistics)
        ),
    shell:
        "python scripts/fit_gam.py --scores {input.scores:q} --runs {input.runs:q} --benchmarks {params.benchmarks:q}"
        " --datasets {params.datasets:q} {params.r_g}"
        " --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"

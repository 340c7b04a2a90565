"""
The statistics of the paper, in R: one beta GLMM for each data set of the main experiment (§5.2) with its checks, and the
GAMs of the optimal PLW by R_g (App. D).

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,items.parquet}, data/DATASET/statistics.json
OUTPUTS:          results/STUDY/regression/{DATASET.json,DATASET.checks.json,gam.json}
"""

GLMM_CODE = (
    "plw/statistics/regression.py",
    "plw/statistics/r_calls.py",
    "plw/statistics/glmm.R",
    "plw/statistics/residuals.R",
    "plw/statistics/json.R",
    "plw/scores/flags.py",
    "plw/scores/scale.py",
    "plw/scores/table.py",
    "plw/scores/transform.py",
)


rule fit_glmm:
    """score ~ poly(w_p, 2) + (0 + poly(w_p, 2) | benchmark) + (1 | ptlm), with its checks and sensitivity fits."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        code=layout.code("statistics/fit_glmm.py", *GLMM_CODE),
    output:
        "results/{study}/regression/{dataset}.json",
    log:
        "results/{study}/logs/fit_glmm/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
        settings=parameters.statistics_settings(
            STUDY, "alpha", "squeeze", "squeeze_alternatives", "poly", "reduced_models", "simulations"
        ),
        seed=STUDY["statistics"]["seed"],
        partial="--allow-partial" if STUDY.get("allow_partial") or FINISHED_ONLY else "",
    shell:
        "python scripts/statistics/fit_glmm.py --scores {input.scores:q} --runs {input.runs:q} --dataset {wildcards.dataset}"
        " --benchmarks {params.benchmarks:q} --settings {params.settings:q} --seed {params.seed} --out {output:q}"
        " {params.partial} > {log:q} 2>&1"


rule check_regression:
    """What a careful reader asks of the fit: permutations, leave one benchmark out, bootstrap over items."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        item_scores=ITEMS,
        code=layout.code(
            "statistics/check_regression.py",
            *GLMM_CODE,
            "plw/statistics/checks.py",
            "plw/statistics/item_model.py",
            "plw/statistics/item_model.R",
            "plw/statistics/resampling.py",
            "plw/statistics/runs.py",
            "plw/statistics/seeds.py",
            "plw/statistics/leave_one_out.R",
            "plw/scores/items.py",
            "plw/scores/bleu.py",
        ),
    output:
        "results/{study}/regression/{dataset}.checks.json",
    log:
        "results/{study}/logs/check_regression/{dataset}.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
        settings=parameters.statistics_settings(
            STUDY, "squeeze", "poly", "alpha", "permutations", "leave_one_out", "bootstrap"
        ),
        seed=STUDY["statistics"]["seed"],
        item_option=lambda wildcards, input: option("items", input.get("item_scores")),
    shell:
        "python scripts/statistics/check_regression.py --scores {input.scores:q} --runs {input.runs:q} {params.item_option}"
        " --dataset {wildcards.dataset} --benchmarks {params.benchmarks:q} --settings {params.settings:q}"
        " --seed {params.seed} --out {output:q} > {log:q} 2>&1"


rule fit_gam:
    """score ~ te(w, r, k = 3) + benchmark: the optimal PLW for a completion-prompt ratio (App. D)."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        numbers=PAPER_NUMBERS if SCORES_ALONE else [],
        statistics=measured_statistics(SMOOTHED),
        code=layout.code(
            "statistics/fit_gam.py",
            *GLMM_CODE,
            "plw/statistics/gam.py",
            "plw/statistics/gam.R",
        ),
    output:
        "results/{study}/regression/gam.json",
    log:
        "results/{study}/logs/fit_gam.log",
    conda:
        "../../envs/statistics.yaml"
    params:
        benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"], "group", "type"),
        datasets=parameters.roles(STUDY, "datasets", SMOOTHED),
        settings=as_json({**STUDY["statistics"].get("gam", {}), "seed": STUDY["statistics"]["seed"]}),
        r_g=lambda wildcards, input: (
            f"--ratios {quoted(parameters.printed_ratios(STUDY, SMOOTHED, read_yaml(Path(input.numbers))['table_1']))}"
            if SCORES_ALONE
            else option("statistics", input.statistics)
        ),
    shell:
        "python scripts/statistics/fit_gam.py --scores {input.scores:q} --runs {input.runs:q} --benchmarks {params.benchmarks:q}"
        " --datasets {params.datasets:q} {params.r_g}"
        " --settings {params.settings:q} --out {output:q} > {log:q} 2>&1"

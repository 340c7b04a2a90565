"""
The paper's sentences that a program can judge, evaluated on this study's results.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,mechanism.csv,loss_identities.json}, regression/*.json,
                  data/DATASET/statistics.json, config/{claims,paper_numbers,paper_worlds}.yaml
OUTPUTS:          results/STUDY/claims.{json,md}
"""


rule judge_claims:
    """Each claim with what was computed, the numbers and a verdict."""
    input:
        claims="config/claims.yaml",
        numbers=PAPER_NUMBERS,
        worlds="config/paper_worlds.yaml",
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        mechanism=MECHANISM,
        regressions=layout.regressions(STUDY, REGRESSED),
        checks=layout.regressions(STUDY, REGRESSED, checks=True),
        gam="results/{study}/regression/gam.json" if SMOOTHED else [],
        statistics=measured_statistics(DATASETS),
        loss="results/{study}/loss_identities.json",
        code=layout.code("claims/judge_claims.py", "plw/scores/scale.py", "plw/scores/table.py") + room_files("claims"),
    output:
        json="results/{study}/claims.json",
        md=report(
            "results/{study}/claims.md",
            caption="../report/claims.rst",
            category="Claims",
            labels={"paper": "all claims"},
        ),
    log:
        "results/{study}/logs/judge_claims.log",
    conda:
        "../../envs/workflow.yaml"
    params:
        benchmarks=parameters.benchmark_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
        datasets=parameters.roles(STUDY, "datasets", list(dict.fromkeys(run.dataset for run in RUNS.values()))),
        ptlms=parameters.roles(STUDY, "ptlms", list(dict.fromkeys(run.ptlm for run in RUNS.values()))),
        optional=lambda wildcards, input: " ".join(
            option(name, input.get(name))
            for name in ("mechanism", "regressions", "checks", "gam", "statistics", "loss")
        ),
    shell:
        "$PLW_PYTHON scripts/claims/judge_claims.py --study {wildcards.study} --claims {input.claims:q} --scores {input.scores:q}"
        " --runs {input.runs:q} {params.optional} --benchmarks {params.benchmarks:q} --datasets {params.datasets:q}"
        " --ptlms {params.ptlms:q} --paper-numbers {input.numbers:q} --worlds {input.worlds:q} --out {output.json:q} --md {output.md:q}"
        " > {log:q} 2>&1"

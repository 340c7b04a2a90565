"""
The paper's sentences that a program can judge, evaluated on this study's results.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,mechanism.csv,items.parquet}, regression/*.json,
                  data/DATASET/statistics.json, config/{claims,paper_numbers}.yaml
OUTPUTS:          results/STUDY/claims.{json,md}
"""


rule judge_claims:
    """Each claim with what was computed, the numbers and a verdict."""
    input:
        claims="config/claims.yaml",
        numbers="config/paper_numbers.yaml",
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        mechanism=mechanism_files(),
        item_scores=[] if GIVEN_SCORES else "results/{study}/items.parquet",
        regressions=expand("results/{{study}}/regression/{dataset}.json", dataset=REGRESSED),
        checks=expand("results/{{study}}/regression/{dataset}.checks.json", dataset=REGRESSED),
        gam="results/{study}/regression/gam.json" if SMOOTHED else [],
        statistics=[] if GIVEN_SCORES else expand("results/{{study}}/data/{dataset}/statistics.json", dataset=DATASETS),
        code=[
            "scripts/judge_claims.py",
            *(f"scripts/plw/{name}.py" for name in ("findings", "evidence", "evidence_files", "loss")),
            *sorted(str(Path(file).relative_to(ROOT)) for file in glob.glob(str(ROOT / "scripts/plw/claim*.py"))),
        ],
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
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        datasets=described("datasets", run_datasets()),
        ptlms=described("ptlms", run_ptlms()),
        optional=lambda wildcards, input: " ".join(
            option(name, input.get("item_scores" if name == "items" else name))
            for name in ("mechanism", "items", "regressions", "checks", "gam", "statistics")
        ),
    shell:
        "$PLW_PYTHON scripts/judge_claims.py --study {wildcards.study} --claims {input.claims:q} --scores {input.scores:q}"
        " --runs {input.runs:q} {params.optional} --benchmarks {params.benchmarks:q} --datasets {params.datasets:q}"
        " --ptlms {params.ptlms:q} --paper-numbers {input.numbers:q} --out {output.json:q} --md {output.md:q}"
        " > {log:q} 2>&1"

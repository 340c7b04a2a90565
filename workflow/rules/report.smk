"""
Everything on one page.

REQUIRED INPUTS:  all figures, tables, regressions and claims of the study, the records of its runs
OUTPUTS:          results/STUDY/report.html
"""

SAMPLED = [] if GIVEN_SCORES else design.sampled_runs(STUDY, MEASURED)


rule build_report:
    """report.html: opens from disk, without a network."""
    input:
        study="results/{study}/study.yaml",
        runs="results/{study}/runs.csv",
        scores="results/{study}/scores.csv",
        missing="results/{study}/missing.json",
        claims="results/{study}/claims.json",
        artifacts="config/artifacts.yaml",
        sentences="config/paper_sentences.yaml",
        contradictions="config/contradictions.yaml",
        deviations="config/deviations.yaml",
        paper_study="config/studies/paper.yaml",
        files=[layout.artifact(STUDY, artifact)[1] for artifact in ARTIFACTS],
        all_artifacts=[file for artifact in ARTIFACTS for file in layout.artifact(STUDY, artifact)],
        run_records=[] if GIVEN_SCORES else layout.of_runs(STUDY, MEASURED, "run.json"),
        mechanism=MECHANISM,
        mechanisms=layout.of_runs(STUDY, SAMPLED, "mechanism.json") if MECHANISM else [],
        preflights=[] if GIVEN_SCORES else layout.of_datasets(STUDY, DATASETS, "preflight.json"),
        regressions=layout.regressions(STUDY, REGRESSED),
        checks=layout.regressions(STUDY, REGRESSED, checks=True),
        gam="results/{study}/regression/gam.json" if SMOOTHED else [],
        code=layout.code("report/build_report.py") + room_files("report"),
    output:
        report(
            "results/{study}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"paper": "whole paper"},
        ),
    log:
        "results/{study}/logs/build_report.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        named=lambda wildcards, input: " ".join(
            option(name.replace("_", "-"), input.get(name))
            for name in (
                *("study", "runs", "scores", "missing", "claims", "artifacts", "sentences", "contradictions"),
                *("deviations", "paper_study", "files", "run_records", "mechanism", "mechanisms", "preflights"),
                *("regressions", "checks", "gam"),
            )
        ),
        generations=option("generations", [f"{run}={layout.generations(STUDY, run, 'alpaca_eval')}" for run in SAMPLED]),
        planned=len(RUNS),
    shell:
        "$PLW_PYTHON scripts/report/build_report.py {params.named} {params.generations} --planned {params.planned}"
        " --times results/{wildcards.study}/times --out {output:q} > {log:q} 2>&1"

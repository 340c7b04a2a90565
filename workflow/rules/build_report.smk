"""
Everything on one page.

REQUIRED INPUTS:  all figures, tables and regressions of the study, the records of its runs
OUTPUTS:          results/STUDY/report.html
"""


rule build_report:
    """report.html: opens from disk, without a network."""
    input:
        study="results/{study}/study.yaml",
        scores="results/{study}/scores.csv",
        missing="results/{study}/missing.json",
        artifacts="config/artifacts.yaml",
        files=[artifact_files(artifact)[1] for artifact in ARTIFACTS],
        all_artifacts=[file for artifact in ARTIFACTS for file in artifact_files(artifact)],
        run_records=[file for run in RUNS for file in results(f"runs/{run}/run.json")],
        preflights=expand("results/{{study}}/data/{dataset}/preflight.json", dataset=DATASETS),
        regressions=expand("results/{{study}}/regression/{dataset}.json", dataset=REGRESSED),
        code=[
            "scripts/build_report.py",
            "scripts/plw/report.py",
            "scripts/plw/report.html.j2",
        ],
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
        planned=len(RUNS),
    shell:
        "python scripts/build_report.py --study {input.study:q} --artifacts {input.artifacts:q} --files {input.files:q}"
        " --run-records {input.run_records:q} --planned {params.planned} --scores {input.scores:q}"
        " --missing {input.missing:q} --preflights {input.preflights:q} --regressions {input.regressions:q}"
        " --out {output:q} > {log:q} 2>&1"

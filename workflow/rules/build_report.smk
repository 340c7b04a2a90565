"""
Everything on one page.

REQUIRED INPUTS:  all figures, tables, regressions and claims of the study, the records of its runs
OUTPUTS:          results/STUDY/report.html
"""


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
        files=[artifact_files(artifact)[1] for artifact in ARTIFACTS],
        all_artifacts=[file for artifact in ARTIFACTS for file in artifact_files(artifact)],
        run_records=[] if GIVEN_SCORES else files_of_runs("run.json"),
        mechanism=mechanism_files(),
        mechanisms=results(*(f"runs/{run}/mechanism.json" for run in sampled_runs())) if mechanism_files() else [],
        preflights=[] if GIVEN_SCORES else expand("results/{{study}}/data/{dataset}/preflight.json", dataset=DATASETS),
        regressions=expand("results/{{study}}/regression/{dataset}.json", dataset=REGRESSED),
        checks=expand("results/{{study}}/regression/{dataset}.checks.json", dataset=REGRESSED),
        gam="results/{study}/regression/gam.json" if SMOOTHED else [],
        code=["scripts/build_report.py"]
        + sorted(str(Path(file).relative_to(ROOT)) for file in glob.glob(str(ROOT / "scripts/plw/report*"))),
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
        generations=option("generations", [f"{run}={generations(run, 'alpaca_eval')}" for run in sampled_runs()]),
        planned=len(RUNS),
    shell:
        "$PLW_PYTHON scripts/build_report.py {params.named} {params.generations} --planned {params.planned}"
        " --times results/{wildcards.study}/times --out {output:q} > {log:q} 2>&1"

"""
Everything on one page.

REQUIRED INPUTS:  all figures, tables, regressions and claims of the study, the records of its runs
OUTPUTS:          results/STUDY/{report.html,showing.json,planned_and_measured.md,rates.json}
Of an export (plw export): `--config results=FOLDER` makes figures, tables, claims and the report from that folder.
"""

# The main experiment's data sets, by the paper's whose place they take.
SHOWN = {
    STUDY["datasets"][name]["stands_for"]: name for name in MAIN["datasets"] if "stands_for" in STUDY["datasets"][name]
}
BESIDE = str(config.get("beside") or "").rstrip("/")  # another study, which is only read
if BESIDE and not Path(BESIDE, "claims.json").is_file():
    where, hint = "config/config.yaml or --config, key beside", "Give the folder of a finished study: results/OTHER."
    raise WorkflowError(str(InputError("There are no verdicts to show beside.", value=BESIDE, where=where, hint=hint)))
SAMPLED = [] if GIVEN_SCORES else design.sampled_runs(STUDY, MEASURED)


if not GIVEN_SCORES:

    rule compare_plan:
        """What the study took beside what was planned, and its rates for later plans (`plan.measured`)."""
        input:
            numbers=PAPER_NUMBERS,
            runs="results/{study}/runs.csv",
            records=layout.of_runs(STUDY, MEASURED, "run.json"),
            evaluations=layout.of_runs(STUDY, MEASURED, "evaluation.json"),
            mechanisms=layout.of_runs(STUDY, MEASURED, "mechanism.json") if MECHANISM else [],
            judgements=JUDGEMENTS,
            code=layout.code(
                "report/compare_plan.py",
                *(
                    "plw/report/comparison.py",
                    "plw/study/planning/cost.py",
                    "plw/study/planning/device.py",
                    "plw/study/planning/machine.py",
                    "plw/study/planning/plan.py",
                    "plw/study/planning/processor.py",
                    "plw/study/planning/workload.py",
                ),
            ),
        output:
            table="results/{study}/planned_and_measured.md",
            rates="results/{study}/rates.json",
        log:
            "results/{study}/logs/compare_plan.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            config=CHOSEN,
            plan=as_json(STUDY["plan"]),  # another assumption makes the table anew
        shell:
            "$PLW_PYTHON scripts/report/compare_plan.py --config {params.config:q} --numbers {input.numbers:q}"
            " --table {output.table:q} --rates {output.rates:q} > {log:q} 2>&1"

    rule check_showing:
        """Whether the study's scores could move at all: what it can and cannot show (docs/demo.md)."""
        input:
            scores="results/{study}/scores.csv",
            runs="results/{study}/runs.csv",
            targets="config/showing.yaml",
            numbers=PAPER_NUMBERS,
            mechanism=MECHANISM,
            statistics=layout.of_datasets(STUDY, SHOWN.values(), "statistics.json"),
            evaluations=UNTUNED,
            judgements=UNTUNED_JUDGEMENTS,
            judge=JUDGE_RECORD,
            code=layout.code(
                *("report/check_showing.py", "plw/report/showing.py"),
                *("plw/scores/collection.py", "plw/scores/scale.py"),
            ),
        output:
            "results/{study}/showing.json",
        log:
            "results/{study}/logs/check_showing.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            benchmarks=parameters.scored_entries(STUDY, design.experiment_benchmarks(STUDY, "main")),
            named=lambda wildcards, input: " ".join(
                option(name, input.get(name)) for name in ("mechanism", "evaluations", "judgements", "judge")
            ),
            statistics=lambda wildcards, input: option(
                "statistics", [f"{role}={file}" for role, file in zip(SHOWN, input.statistics, strict=True)]
            ),
            ptlms=option("ptlms", WORLD_PTLMS),
        shell:
            "$PLW_PYTHON scripts/report/check_showing.py --scores {input.scores:q} --runs {input.runs:q}"
            " --benchmarks {params.benchmarks:q} --targets {input.targets:q} --numbers {input.numbers:q} {params.named}"
            " {params.statistics} {params.ptlms} --out {output:q} > {log:q} 2>&1"


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
        readings=measured(*(f"data/{dataset}/rows.json" for dataset in DATASETS)),
        preflights=[] if GIVEN_SCORES else layout.of_datasets(STUDY, DATASETS, "preflight.json"),
        regressions=layout.regressions(STUDY, REGRESSED),
        checks=layout.regressions(STUDY, REGRESSED, checks=True),
        gam="results/{study}/regression/gam.json" if SMOOTHED else [],
        showing=[] if GIVEN_SCORES else "results/{study}/showing.json",
        beside=f"{BESIDE}/claims.json" if BESIDE else [],
        planned=[] if GIVEN_SCORES else "results/{study}/planned_and_measured.md",  # made with it, not shown on it
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
                *("deviations", "paper_study", "files", "mechanism", "mechanisms", "readings"),
                *("preflights", "regressions", "checks", "gam", "showing", "beside"),
            )
        ),
        generations=option("generations", [f"{run}={layout.generations(STUDY, run, 'alpaca_eval')}" for run in SAMPLED]),
        folder=[] if GIVEN_SCORES else ["--folder", f"results/{STUDY_NAME}/runs"],
        planned=len(RUNS),
    shell:
        "$PLW_PYTHON scripts/report/build_report.py {params.named} {params.generations} {params.folder}"
        " --planned {params.planned}"
        " --times results/{wildcards.study}/times --out {output:q} > {log:q} 2>&1"

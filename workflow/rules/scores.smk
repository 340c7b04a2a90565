"""
Gather every score into one tidy table, or take the table that an analyst gives.

REQUIRED INPUTS:  results/STUDY/runs.csv, runs/RUN/evaluation.json, judgements/BENCHMARK/BATCH.json
                  (with `--config scores=FILE`: that file alone)
OUTPUTS:          results/STUDY/{scores.csv,missing.json,items.parquet}
"""

if GIVEN_SCORES:

    rule take_scores:
        """A given score table, checked against the study and completed with its run ids."""
        input:
            runs="results/{study}/runs.csv",
            scores=GIVEN_SCORES,
            code=layout.code(
                "scores/take_scores.py", "plw/scores/given.py", "plw/scores/scale.py", "plw/scores/table.py"
            ),
        output:
            scores="results/{study}/scores.csv",
            missing="results/{study}/missing.json",
        log:
            "results/{study}/logs/take_scores.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
            experiments=parameters.asked_benchmarks(STUDY),
            normalization=STUDY["training"]["normalization"],
        shell:
            "$PLW_PYTHON scripts/scores/take_scores.py --given {input.scores:q} --runs {input.runs:q}"
            " --benchmarks {params.benchmarks:q} --experiments {params.experiments:q}"
            " --normalization {params.normalization} --scores {output.scores:q} --missing {output.missing:q}"
            " > {log:q} 2>&1"

else:
    # The benchmarks are read before anything trains (evaluation.smk), whatever a call asks for. A study that was finished
    # without is not asked: its benchmarks may lie on another machine.
    BENCHMARKS_FIRST = layout.results(STUDY, "benchmarks.json")
    if all(map(os.path.exists, layout.of_runs(STUDY, MEASURED, "evaluation.json"))):
        BENCHMARKS_FIRST = [file for file in BENCHMARKS_FIRST if os.path.exists(file)]

    rule collect_scores:
        """scores.csv, and the list of what is missing."""
        input:
            runs="results/{study}/runs.csv",
            benchmarks=ancient(BENCHMARKS_FIRST),
            evaluations=layout.of_runs(STUDY, MEASURED, "evaluation.json"),
            judgements=JUDGEMENTS,
            code=layout.code(
                "scores/collect_scores.py", "plw/scores/collection.py", "plw/scores/scale.py", "plw/scores/table.py"
            ),
        output:
            scores="results/{study}/scores.csv",
            missing="results/{study}/missing.json",
        log:
            "results/{study}/logs/collect_scores.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
            experiments=parameters.asked_benchmarks(STUDY),
        shell:
            "$PLW_PYTHON scripts/scores/collect_scores.py --runs {input.runs:q} --folder results/{wildcards.study}/runs"
            " --judgements {input.judgements:q} --benchmarks {params.benchmarks:q}"
            " --experiments {params.experiments:q} --scores {output.scores:q} --missing {output.missing:q} > {log:q} 2>&1"

    rule collect_items:
        """The scores of single benchmark items, where a benchmark's score is their mean."""
        input:
            runs="results/{study}/runs.csv",
            evaluations=layout.of_runs(STUDY, MEASURED, "evaluation.json"),
            judgements=JUDGEMENTS,
            code=layout.code("scores/collect_items.py", "plw/scores/items.py", "plw/scores/bleu.py"),
        output:
            "results/{study}/items.parquet",
        log:
            "results/{study}/logs/collect_items.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            benchmarks=parameters.scored_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
        shell:
            "$PLW_PYTHON scripts/scores/collect_items.py --runs {input.runs:q} --folder results/{wildcards.study}/runs"
            " --judgements {input.judgements:q} --benchmarks {params.benchmarks:q} --out {output:q} > {log:q} 2>&1"

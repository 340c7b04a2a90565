"""
The paper's tables, with the paper's printed values beside ours.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,missing.json}, regression/*.json, data/DATASET/statistics.json,
                  config/{paper_numbers,sources}.yaml
OUTPUTS:          results/STUDY/tables/table_N.{csv,md,tex}; table_losses is ours
"""

# What a table is made of, as options of its program: inputs, parameters, code. All else is the same for all tables.
TABLES = {
    "table_1": (
        {
            "statistics": measured_statistics(DATASETS),
            "rows": measured(*(f"data/{dataset}/rows.json" for dataset in DATASETS)),
        },
        {"datasets": parameters.described(STUDY, "datasets", DATASETS)},
    ),
    "table_2": (
        {"missing": "results/{study}/missing.json"},
        {"benchmarks": parameters.benchmark_entries(STUDY, STUDY["evaluation"]["benchmarks"])},
    ),
    "table_3": (
        {
            "regressions": layout.regressions(STUDY, REGRESSED),
            "checks": layout.regressions(STUDY, REGRESSED, checks=True),
        },
        {"datasets": parameters.described(STUDY, "datasets", REGRESSED), "alpha": STUDY["statistics"]["alpha"]},
    ),
    "table_4": (
        {"scores": "results/{study}/scores.csv", "runs": "results/{study}/runs.csv"},
        {
            "benchmarks": parameters.benchmark_entries(STUDY, design.experiment_benchmarks(STUDY, "regularizers")),
            "datasets": parameters.described(STUDY, "datasets", design.experiment_datasets(STUDY, "regularizers")),
            "ptlms": parameters.described(STUDY, "ptlms", design.experiment_ptlms(STUDY, "regularizers")),
        },
    ),
    "table_5": (
        {"gam": "results/{study}/regression/gam.json"},
        {"datasets": parameters.described(STUDY, "datasets", SMOOTHED)},
    ),
    "table_6": ({"sources": "config/sources.yaml"}, {}),
    "table_losses": (
        {"scores": "results/{study}/scores.csv", "runs": "results/{study}/runs.csv", "mechanism": MECHANISM},
        {
            "benchmarks": parameters.benchmark_entries(STUDY, STUDY["evaluation"]["benchmarks"]),
            "datasets": parameters.described(STUDY, "datasets", design.experiment_datasets(STUDY, "losses")),
        },
    ),
}

SCORE_CODE = ["plw/scores/flags.py", "plw/scores/scale.py", "plw/scores/table.py"]
TABLE_CODE = {
    "table_1": ["plw/data/reading.py"],
    "table_4": [*SCORE_CODE, "plw/scores/regularizer_comparison.py", "plw/scores/pooled.py"],
    "table_losses": SCORE_CODE,
}

for artifact, (files, settings) in TABLES.items():
    if artifact not in ARTIFACTS:
        continue

    rule:
        name:
            f"make_{artifact}"
        input:
            **files,
            numbers=PAPER_NUMBERS,
            code=layout.code(
                f"tables/make_{artifact}.py",
                *(f"plw/tables/{module}.py" for module in (artifact, "table", "flags")),
                *TABLE_CODE.get(artifact, []),
            ),
        output:
            csv=report(
                f"results/{{study}}/tables/{artifact}.csv",
                caption=f"../report/{artifact}.rst",
                category="Tables",
                labels={"paper": artifact.replace("_", " ").capitalize()},
            ),
            md=f"results/{{study}}/tables/{artifact}.md",
            tex=f"results/{{study}}/tables/{artifact}.tex",
        log:
            f"results/{{study}}/logs/make_{artifact}.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            program=f"make_{artifact}.py",
            files=lambda wildcards, input, names=tuple(files): " ".join(option(name, input.get(name)) for name in names),
            settings=" ".join(f"--{name} {quoted(value)}" for name, value in settings.items()),
        shell:
            "$PLW_PYTHON scripts/tables/{params.program} {params.files} {params.settings} --paper-numbers {input.numbers:q}"
            " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"

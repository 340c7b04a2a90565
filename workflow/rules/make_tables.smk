"""
The paper's tables, with the paper's printed values beside ours.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,missing.json}, regression/*.json, data/DATASET/statistics.json,
                  config/{paper_numbers,sources}.yaml
OUTPUTS:          results/STUDY/tables/table_N.{csv,md,tex}; table_losses is ours
"""

# What a table is made of, as options of its program: inputs, parameters, code. All else is the same for all tables.
TABLES = {
    "table_1": (
        {"statistics": expand("results/{{study}}/data/{dataset}/statistics.json", dataset=DATASETS)},
        {"datasets": described("datasets", DATASETS)},
    ),
    "table_2": (
        {"missing": "results/{study}/missing.json"},
        {"benchmarks": benchmark_entries(STUDY["evaluation"]["benchmarks"])},
    ),
    "table_3": (
        {"regressions": expand("results/{{study}}/regression/{dataset}.json", dataset=REGRESSED)},
        {"datasets": described("datasets", REGRESSED), "alpha": STUDY["statistics"]["alpha"]},
    ),
    "table_4": (
        {"scores": "results/{study}/scores.csv", "runs": "results/{study}/runs.csv"},
        {
            "benchmarks": benchmark_entries(benchmarks_of_experiment("regularizers")),
            "datasets": described("datasets", experiment_datasets("regularizers")),
            "ptlms": described("ptlms", experiment_ptlms("regularizers")),
        },
    ),
    "table_5": ({"gam": "results/{study}/regression/gam.json"}, {"datasets": described("datasets", SMOOTHED)}),
    "table_6": ({"sources": "config/sources.yaml"}, {}),
    "table_losses": (
        {"scores": "results/{study}/scores.csv", "runs": "results/{study}/runs.csv", "mechanism": mechanism_files()},
        {
            "benchmarks": benchmark_entries(STUDY["evaluation"]["benchmarks"]),
            "datasets": described("datasets", experiment_datasets("losses")),
        },
    ),
}

TABLE_CODE = {"table_4": ["regularizer_comparison", "pooled_scores", "plw_axes", "scores"]}

for artifact, (files, settings) in TABLES.items():
    if artifact not in ARTIFACTS:
        continue

    rule:
        name:
            f"make_{artifact}"
        input:
            **files,
            numbers="config/paper_numbers.yaml",
            code=[
                f"scripts/make_{artifact}.py",
                "scripts/command_line.py",
                *(f"scripts/plw/{module}.py" for module in (artifact, "tables", *TABLE_CODE.get(artifact, []))),
            ],
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
            "$PLW_PYTHON scripts/{params.program} {params.files} {params.settings} --paper-numbers {input.numbers:q}"
            " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"

"""
The paper's figures, each with the data behind it.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,mechanism.csv,rsd_windows.csv,claims.json}, regression/*.json
OUTPUTS:          results/STUDY/figures/figure_N.{pdf,png,csv}
Their programs are inputs: an edited colour remakes its figure and nothing else.
"""

FIGURE_CODE = [f"plw/figures/{name}.py" for name in ("flags", "style", "fonts", "saving", "axes")]

# Figures that are drawn from the scores of one experiment: its name, the program with its own options, its code.
# Data sets and ptlms are those of the experiment.
SCORE_FIGURES = {
    "figure_1": ("main", "draw_figure_1.py", ["figures/figure_1"]),
    "figure_3": ("datasets", "draw_datasets.py --figure 3", ["figures/datasets", "scores/pooled"]),
    "figure_5": ("main", "draw_benchmarks.py --group I", ["figures/benchmarks"]),
    "figure_6": ("main", "draw_benchmarks.py --group II", ["figures/benchmarks"]),
    "figure_7": ("main", "draw_benchmarks.py --group III", ["figures/benchmarks"]),
    "figure_8": (
        "regularizers",
        "draw_figure_8.py",
        ["figures/figure_8", "scores/regularizer_comparison", "scores/pooled"],
    ),
    "figure_9": ("datasets", "draw_datasets.py --figure 9", ["figures/datasets", "scores/pooled"]),
}

for artifact, (experiment, program, modules) in SCORE_FIGURES.items():
    if artifact not in ARTIFACTS:
        continue

    rule:
        name:
            f"draw_{artifact}"
        input:
            scores="results/{study}/scores.csv",
            runs="results/{study}/runs.csv",
            regressions=layout.regressions(STUDY, REGRESSED) if artifact == "figure_1" else [],
            code=layout.code(
                f"figures/{program.split()[0]}",
                *("plw/scores/flags.py", "plw/scores/scale.py", "plw/scores/table.py"),
                *FIGURE_CODE,
                *(f"plw/{module}.py" for module in modules),
            ),
        output:
            pdf=report(
                f"results/{{study}}/figures/{artifact}.pdf",
                caption=f"../report/{artifact}.rst",
                category="Figures",
                labels={"paper": artifact.replace("_", " ").capitalize()},
            ),
            png=f"results/{{study}}/figures/{artifact}.png",
            csv=f"results/{{study}}/figures/{artifact}.csv",
        log:
            f"results/{{study}}/logs/draw_{artifact}.log",
        localrule: True
        conda:
            "../../envs/workflow.yaml"
        params:
            program=program,
            experiment=experiment,
            regressions="--regressions" if artifact == "figure_1" else "",
            benchmarks=parameters.benchmark_entries(STUDY, design.experiment_benchmarks(STUDY, experiment)),
            datasets=parameters.described(STUDY, "datasets", STUDY["experiments"][experiment]["datasets"]),
            ptlms=parameters.described(STUDY, "ptlms", design.experiment_ptlms(STUDY, experiment)),
            style=as_json(STUDY.get("figures", {})),
        shell:
            "$PLW_PYTHON scripts/figures/{params.program} --scores {input.scores:q} --runs {input.runs:q}"
            " --experiment {params.experiment} --benchmarks {params.benchmarks:q} --datasets {params.datasets:q}"
            " --ptlms {params.ptlms:q} --style {params.style:q} {params.regressions} {input.regressions:q}"
            " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_2:
    """What the fine-tunings did to the models (§5.3)."""
    input:
        mechanism=MECHANISM,
        windows=measured("rsd_windows.csv"),
        runs="results/{study}/runs.csv",
        code=layout.code("figures/draw_figure_2.py", "plw/figures/figure_2.py", *FIGURE_CODE),
    output:
        pdf=report(
            "results/{study}/figures/figure_2.pdf",
            caption="../report/figure_2.rst",
            category="Figures",
            labels={"paper": "Figure 2"},
        ),
        png="results/{study}/figures/figure_2.png",
        csv="results/{study}/figures/figure_2.csv",
    log:
        "results/{study}/logs/draw_figure_2.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        datasets=parameters.described(STUDY, "datasets", MAIN["datasets"]),
        ptlms=parameters.described(STUDY, "ptlms", MAIN["ptlms"]),
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/figures/draw_figure_2.py --mechanism {input.mechanism:q} --windows {input.windows:q}"
        " --runs {input.runs:q} --datasets {params.datasets:q} --ptlms {params.ptlms:q} --style {params.style:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_4:
    """Examples of prompt inversion (App. A)."""
    input:
        code=layout.code(
            *("figures/draw_figure_4.py", "plw/figures/figure_4.py", "plw/data/inversion.py"),
            *FIGURE_CODE,
        ),
    output:
        pdf=report(
            "results/{study}/figures/figure_4.pdf",
            caption="../report/figure_4.rst",
            category="Figures",
            labels={"paper": "Figure 4"},
        ),
        png="results/{study}/figures/figure_4.png",
        csv="results/{study}/figures/figure_4.csv",
    log:
        "results/{study}/logs/draw_figure_4.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/figures/draw_figure_4.py --style {params.style:q} --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_10:
    """Scores by PLW and completion-prompt ratio, smoothed (App. D)."""
    input:
        gam="results/{study}/regression/gam.json",
        code=layout.code("figures/draw_figure_10.py", "plw/figures/figure_10.py", *FIGURE_CODE),
    output:
        pdf=report(
            "results/{study}/figures/figure_10.pdf",
            caption="../report/figure_10.rst",
            category="Figures",
            labels={"paper": "Figure 10"},
        ),
        png="results/{study}/figures/figure_10.png",
        csv="results/{study}/figures/figure_10.csv",
    log:
        "results/{study}/logs/draw_figure_10.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        datasets=parameters.described(STUDY, "datasets", SMOOTHED),
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/figures/draw_figure_10.py --gam {input.gam:q} --datasets {params.datasets:q} --style {params.style:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_claims:
    """The claims at a glance (ours)."""
    input:
        claims="results/{study}/claims.json",
        code=layout.code("figures/draw_figure_claims.py", "plw/figures/figure_claims.py", *FIGURE_CODE),
    output:
        pdf=report(
            "results/{study}/figures/figure_claims.pdf",
            caption="../report/figure_claims.rst",
            category="Figures",
            labels={"paper": "Claims at a glance"},
        ),
        png="results/{study}/figures/figure_claims.png",
        csv="results/{study}/figures/figure_claims.csv",
    log:
        "results/{study}/logs/draw_figure_claims.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/figures/draw_figure_claims.py --claims {input.claims:q} --style {params.style:q} --pdf {output.pdf:q}"
        " --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"

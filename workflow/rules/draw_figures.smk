"""
The paper's figures, each with the data behind it.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv,mechanism.csv,rsd_windows.csv}, regression/gam.json
OUTPUTS:          results/STUDY/figures/figure_N.{pdf,png,csv}
Their programs are inputs: an edited colour remakes its figure and nothing else.
"""

FIGURE_CODE = [
    f"scripts/{name}.py" for name in ("command_line", "plw/figure_style", "plw/figure_files", "plw/plw_axes")
]

# Figures that are drawn from the scores of one experiment: its name, the program with its own options, its code.
# Data sets and ptlms are those of the experiment.
SCORE_FIGURES = {
    "figure_1": ("main", "draw_figure_1.py", ["figure_1"]),
    "figure_3": ("datasets", "draw_datasets.py --figure 3", ["dataset_figure", "pooled_scores"]),
    "figure_5": ("main", "draw_benchmarks.py --group I", ["benchmark_figure"]),
    "figure_6": ("main", "draw_benchmarks.py --group II", ["benchmark_figure"]),
    "figure_7": ("main", "draw_benchmarks.py --group III", ["benchmark_figure"]),
    "figure_8": ("regularizers", "draw_figure_8.py", ["figure_8", "regularizer_comparison", "pooled_scores"]),
    "figure_9": ("datasets", "draw_datasets.py --figure 9", ["dataset_figure", "pooled_scores"]),
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
            code=[f"scripts/{program.split()[0]}", "scripts/plw/scores.py", *FIGURE_CODE]
            + [f"scripts/plw/{module}.py" for module in modules],
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
            benchmarks=benchmark_entries(benchmarks_of_experiment(experiment)),
            datasets=described("datasets", STUDY["experiments"][experiment]["datasets"]),
            ptlms=described("ptlms", experiment_ptlms(experiment)),
            style=as_json(STUDY.get("figures", {})),
        shell:
            "$PLW_PYTHON scripts/{params.program} --scores {input.scores:q} --runs {input.runs:q}"
            " --experiment {params.experiment} --benchmarks {params.benchmarks:q} --datasets {params.datasets:q}"
            " --ptlms {params.ptlms:q} --style {params.style:q} --pdf {output.pdf:q} --png {output.png:q}"
            " --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_2:
    """What the fine-tunings did to the models (§5.3)."""
    input:
        mechanism="results/{study}/mechanism.csv",
        windows="results/{study}/rsd_windows.csv",
        runs="results/{study}/runs.csv",
        code=["scripts/draw_figure_2.py", "scripts/plw/figure_2.py", *FIGURE_CODE],
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
        datasets=described("datasets", MAIN["datasets"]),
        ptlms=described("ptlms", MAIN["ptlms"]),
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/draw_figure_2.py --mechanism {input.mechanism:q} --windows {input.windows:q}"
        " --runs {input.runs:q} --datasets {params.datasets:q} --ptlms {params.ptlms:q} --style {params.style:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_4:
    """Examples of prompt inversion (App. A)."""
    input:
        code=[
            "scripts/draw_figure_4.py",
            "scripts/plw/figure_4.py",
            "scripts/plw/inversion.py",
            *FIGURE_CODE,
        ],
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
        "$PLW_PYTHON scripts/draw_figure_4.py --style {params.style:q} --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule draw_figure_10:
    """Scores by PLW and completion-prompt ratio, smoothed (App. D)."""
    input:
        gam="results/{study}/regression/gam.json",
        code=["scripts/draw_figure_10.py", "scripts/plw/figure_10.py", *FIGURE_CODE],
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
        datasets=described("datasets", SMOOTHED),
        style=as_json(STUDY.get("figures", {})),
    shell:
        "$PLW_PYTHON scripts/draw_figure_10.py --gam {input.gam:q} --datasets {params.datasets:q} --style {params.style:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"

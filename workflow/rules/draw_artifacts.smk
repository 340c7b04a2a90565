"""
The paper's figures and tables, each with the data behind it and the paper's printed values beside ours.

REQUIRED INPUTS:  results/STUDY/{scores.csv,runs.csv}, regression/DATASET.json, data/DATASET/statistics.json
OUTPUTS:          results/STUDY/figures/figure_N.{pdf,png,csv}, results/STUDY/tables/table_N.{csv,md,tex}
Their programs are inputs: an edited colour remakes its figure and nothing else.
"""


rule draw_figure_1:
    """Performance by transformed PLW (§5)."""
    input:
        scores="results/{study}/scores.csv",
        runs="results/{study}/runs.csv",
        code=[
            "scripts/draw_figure_1.py",
            "scripts/plw/figure_1.py",
            "scripts/plw/scores.py",
            *FIGURE_CODE,
        ],
    output:
        pdf=report(
            "results/{study}/figures/figure_1.pdf",
            caption="../report/figure_1.rst",
            category="Figures",
            labels={"paper": "Figure 1"},
        ),
        png="results/{study}/figures/figure_1.png",
        csv="results/{study}/figures/figure_1.csv",
    log:
        "results/{study}/logs/draw_figure_1.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
        datasets=described("datasets", MAIN["datasets"]),
        ptlms=described("ptlms", MAIN["ptlms"]),
        style=as_json(STUDY.get("figures", {})),
    shell:
        "python scripts/draw_figure_1.py --scores {input.scores:q} --runs {input.runs:q}"
        " --benchmarks {params.benchmarks:q} --datasets {params.datasets:q} --ptlms {params.ptlms:q}"
        " --style {params.style:q} --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


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
        "python scripts/draw_figure_4.py --style {params.style:q} --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule make_table_1:
    """Data set statistics (§4.3)."""
    input:
        statistics=expand("results/{{study}}/data/{dataset}/statistics.json", dataset=DATASETS),
        numbers="config/paper_numbers.yaml",
        code=[
            "scripts/make_table_1.py",
            "scripts/plw/table_1.py",
            "scripts/plw/tables.py",
        ],
    output:
        csv="results/{study}/tables/table_1.csv",
        md="results/{study}/tables/table_1.md",
        tex="results/{study}/tables/table_1.tex",
    log:
        "results/{study}/logs/make_table_1.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        datasets=described("datasets", DATASETS),
    shell:
        "python scripts/make_table_1.py --statistics {input.statistics:q} --datasets {params.datasets:q}"
        " --paper-numbers {input.numbers:q} --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"


rule make_table_2:
    """Benchmarks (§4.4)."""
    input:
        missing="results/{study}/missing.json",
        numbers="config/paper_numbers.yaml",
        code=[
            "scripts/make_table_2.py",
            "scripts/plw/table_2.py",
            "scripts/plw/tables.py",
        ],
    output:
        csv="results/{study}/tables/table_2.csv",
        md="results/{study}/tables/table_2.md",
        tex="results/{study}/tables/table_2.tex",
    log:
        "results/{study}/logs/make_table_2.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        benchmarks=benchmark_entries(STUDY["evaluation"]["benchmarks"]),
    shell:
        "python scripts/make_table_2.py --missing {input.missing:q} --benchmarks {params.benchmarks:q}"
        " --paper-numbers {input.numbers:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"


rule make_table_3:
    """Regression of the relative scores on w_p (§5.2)."""
    input:
        regressions=expand("results/{{study}}/regression/{dataset}.json", dataset=REGRESSED),
        numbers="config/paper_numbers.yaml",
        code=[
            "scripts/make_table_3.py",
            "scripts/plw/table_3.py",
            "scripts/plw/tables.py",
        ],
    output:
        csv="results/{study}/tables/table_3.csv",
        md="results/{study}/tables/table_3.md",
        tex="results/{study}/tables/table_3.tex",
    log:
        "results/{study}/logs/make_table_3.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        datasets=described("datasets", REGRESSED),
    shell:
        "python scripts/make_table_3.py --regressions {input.regressions:q} --datasets {params.datasets:q}"
        " --paper-numbers {input.numbers:q} --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q} > {log:q} 2>&1"

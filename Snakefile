# The paper, end to end. The study (config/config.yaml, config/studies/) says what; the rules, included here in the
# order in which they run, say how. `snakemake --cores all` makes everything, `snakemake --cores all figure_1` one piece.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/list_runs.smk"
include: "workflow/rules/make_world.smk"
include: "workflow/rules/fetch_models.smk"
include: "workflow/rules/prepare_data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/measure_mechanism.smk"
include: "workflow/rules/collect_scores.smk"
include: "workflow/rules/fit_regression.smk"
include: "workflow/rules/draw_figures.smk"
include: "workflow/rules/make_tables.smk"
include: "workflow/rules/judge_claims.smk"
include: "workflow/rules/build_report.smk"


rule all:
    default_target: True
    input:
        f"results/{STUDY_NAME}/report.html",


# One target for each artifact of the paper: figure_1, table_3, …
for artifact in ARTIFACTS:

    rule:
        name:
            artifact
        input:
            artifact_files(artifact),


rule scores:
    input:
        f"results/{STUDY_NAME}/scores.csv",


rule claims:
    input:
        f"results/{STUDY_NAME}/claims.json",


rule report:
    input:
        f"results/{STUDY_NAME}/report.html",


onerror:
    print(what_failed(), file=sys.stderr)

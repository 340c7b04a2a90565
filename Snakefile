# The paper, end to end. The study (config/config.yaml, config/studies/) says what; the rules, included here in the
# order in which they run, say how. `snakemake --cores all` makes everything, `snakemake --cores all figure_1` one piece.
import os

from snakemake.utils import min_version

min_version("9.0")
CHECKOUT = str(workflow.current_basedir)
if not os.path.samefile(CHECKOUT, os.getcwd()):  # results, programs and your files are named from there
    raise WorkflowError(f"Run this in the project's folder: cd {CHECKOUT}, or add --directory {CHECKOUT}")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/world.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/mechanism.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"


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
            layout.artifact(STUDY, artifact),


rule scores:
    input:
        f"results/{STUDY_NAME}/scores.csv",


rule claims:
    input:
        f"results/{STUDY_NAME}/claims.json",


rule report:
    input:
        f"results/{STUDY_NAME}/report.html",


onsuccess:
    print(what_was_made(), file=sys.stderr)
    end_records()


onerror:
    print(what_failed(), file=sys.stderr)
    end_records()

"""report.html: figures and tables beside the paper's sentences, verdicts, samples and cost on one page."""

from plw.program import run_program

import argparse
from pathlib import Path

from plw.files import write_text
from plw.report.inputs import read_inputs
from plw.report.page import build_page, page_context
from plw.study.layout import of_measured_runs
from plw.study.runs import read_runs_csv

REQUIRED = {
    "study": "the resolved study (YAML)",
    "scores": "scores.csv",
    "artifacts": "titles and captions of the artifacts (YAML)",
    "out": "page to write",
}
FILES = {
    "sentences": "what the paper says of each artifact, and its headline claims (YAML)",
    "runs": "runs.csv",
    "missing": "missing.json",
    "gam": "regression/gam.json",
    "claims": "claims.json",
    "contradictions": "the paper's own contradictions (YAML)",
    "deviations": "where this differs from the paper, with reasons (YAML)",
    "paper-study": "config/studies/paper.yaml, to show where the study's settings differ",
    "mechanism": "mechanism.csv",
    "showing": "showing.json",
    "beside": "claims.json of another study, whose verdicts are shown beside",
    "times": "folder of Snakemake's benchmark files, RULE/JOB.tsv",
}
MANY = {
    "files": "figures (PNG) and tables (Markdown), in any order",
    "readings": "rows.json of every data set",
    "preflights": "preflight.json of every data set",
    "regressions": "regression/DATASET.json",
    "checks": "regression/DATASET.checks.json",
    "mechanisms": "mechanism.json of runs, for samples of what was learnt by heart",
}


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=__doc__)
    for name, about in REQUIRED.items():
        flags.add_argument(f"--{name}", type=Path, required=True, help=about)
    for name, about in FILES.items():
        flags.add_argument(f"--{name}", type=Path, help=about)
    for name, about in MANY.items():
        flags.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=about)
    flags.add_argument(
        "--folder",
        type=Path,
        help="of the runs, with run.json of those that there are; none: a score table alone is shown",
    )
    flags.add_argument("--generations", nargs="*", default=[], metavar="RUN=FILE", help="alpaca_eval.outputs.json")
    flags.add_argument("--planned", type=int, help="number of runs that the study plans (default: rows of --runs)")
    return flags


def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    folder = given.pop("folder")
    runs = [row["run"] for row in read_runs_csv(given["runs"])] if folder else []
    given["run_records"] = of_measured_runs(folder, runs, "run.json") if folder else []
    write_text(given.pop("out"), build_page(page_context(**read_inputs(**given))))


if __name__ == "__main__":
    run_program(main)

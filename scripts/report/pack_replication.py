"""Pack the small results of a finished study, to be committed: numbers alone, no data and no texts.

Figures and verdicts are made from the folder by `snakemake … --config results=FOLDER`.
"""

from plw.program import run_program

import argparse
from pathlib import Path

from plw.report.replication import check_run_table, pack
from plw.study.configuration import load_configuration
from plw.study.runs import datasets_of, list_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--study", required=True, help="name of a file in config/studies")
    flags.add_argument("--results", type=Path, help="its folder of results; default: results/STUDY")
    flags.add_argument("--seeds", type=int, nargs="+", help="only these, where the others are not finished")
    flags.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    flags.add_argument("--out", required=True, type=Path, help="folder to write, e.g. docs/replications/STUDY_DATE")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Write the folder and see that its study plans what is packed."""
    arguments = parser().parse_args(argv)
    name, root = arguments.study, arguments.root
    # Sources are not read, so the folder of samples need not be known.
    study = load_configuration({"study": name, "samples": "samples"}, root=root)
    runs = list_runs(study)
    if arguments.seeds:
        runs = [run for run in runs if run.seed in arguments.seeds]
    results = arguments.results or root / "results" / study["name"]
    pack(name, runs, results, arguments.out, datasets=datasets_of(runs, study), seeds=arguments.seeds)
    check_run_table(arguments.out, list_runs(load_configuration({"results": str(arguments.out)}, root=root)))
    size = sum(file.stat().st_size for file in arguments.out.rglob("*") if file.is_file())
    print(f"{arguments.out}: {len(runs)} runs, {size / 1000:.0f} kB")


if __name__ == "__main__":
    run_program(main)

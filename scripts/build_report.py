"""report.html: what was run, every figure and table, the regressions and the pre-flight table on one page."""

import argparse
from pathlib import Path

import yaml
from plw.errors import run_program
from plw.files import read_json, write_text
from plw.report import build_page, fit_lines, missing_groups, png_address, preflight_table, read_table, run_summary

TEMPLATE = Path(__file__).parent / "plw" / "report.html.j2"
SECTIONS = [
    ("study", "What was run"),
    ("results", "Results"),
    ("regression", "Regression"),
    ("data", "Before training"),
    ("versions", "Versions"),
]


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--study", type=Path, required=True, help="the resolved study (YAML)")
    flags.add_argument("--artifacts", type=Path, required=True, help="titles and captions of the artifacts (YAML)")
    flags.add_argument(
        "--files", nargs="+", type=Path, required=True, help="figures (PNG) and tables (Markdown), in order"
    )
    flags.add_argument("--run-records", nargs="+", type=Path, required=True, help="run.json of every run that there is")
    flags.add_argument("--planned", type=int, required=True, help="number of runs that the study plans")
    flags.add_argument("--scores", type=Path, required=True, help="scores.csv")
    flags.add_argument("--missing", type=Path, required=True, help="missing.json")
    flags.add_argument("--preflights", nargs="+", type=Path, required=True, help="preflight.json of every data set")
    flags.add_argument("--regressions", nargs="*", type=Path, required=True, help="regression/DATASET.json")
    flags.add_argument("--out", required=True, help="page to write")
    return flags


def shown(path: Path, titles: dict) -> dict:
    """One artifact as the template wants it."""
    image = png_address(path.read_bytes()) if path.suffix == ".png" else None
    table = None if image else read_table(path.read_text(encoding="utf-8"))
    return {"name": path.stem, "image": image, "table": table, **titles[path.stem]}


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    study = yaml.safe_load(arguments.study.read_text(encoding="utf-8"))
    titles = yaml.safe_load(arguments.artifacts.read_text(encoding="utf-8"))
    preflights, fits = [[read_json(path) for path in paths] for paths in (arguments.preflights, arguments.regressions)]
    labels = {name: entry["label"] for name, entry in study["datasets"].items()}
    main_experiment = study["experiments"]["main"]
    missing = read_json(arguments.missing)["missing"]
    context = {
        "study": study,
        "sections": [(name, title) for name, title in SECTIONS if fits or name != "regression"],
        "ptlms": [study["ptlms"][name] for name in main_experiment["ptlms"]],
        "datasets": [study["datasets"][name] for name in main_experiment["datasets"]],
        "planned": arguments.planned,
        "summary": run_summary([read_json(path) for path in arguments.run_records]),
        "n_scores": len(arguments.scores.read_text(encoding="utf-8").splitlines()) - 1,
        "missing": missing,
        "missing_groups": missing_groups(missing),
        "artifacts": [shown(path, titles) for path in arguments.files],
        "preflight": preflight_table(preflights, labels),
        "fits": [
            {"dataset": labels[fit["dataset"]], "n": fit["design"]["rows"], "lines": fit_lines(fit)} for fit in fits
        ],
    }
    write_text(arguments.out, build_page(TEMPLATE, context=context))


if __name__ == "__main__":
    run_program(main)

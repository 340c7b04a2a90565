"""What a study took beside what its plan said, and its rates for later plans."""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.files import read_json, write_json, write_text
from plw.report.comparison import as_markdown, compare, cost_without_pilot, processor_factors, rates, read_job_seconds
from plw.study.configuration import load_configuration, read_yaml
from plw.study.layout import results
from plw.study.planning.cost import Cost
from plw.study.planning.machine import measure_speed
from plw.study.planning.plan import plan_study
from plw.study.runs import list_runs


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    flags.add_argument("--numbers", type=Path, required=True, help="config/paper_numbers.yaml, for Table 1's lengths")
    flags.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    flags.add_argument("--table", type=Path, required=True, help="planned beside measured, to write (Markdown)")
    flags.add_argument("--rates", type=Path, required=True, help="measured rates, to write (JSON)")
    arguments = flags.parse_args(argv)

    study = load_configuration(arguments.config, root=arguments.root)
    runs = {run.run: run for run in list_runs(study)}
    printed = read_yaml(arguments.numbers)["table_1"]["rows"]
    (folder,) = (arguments.root / path for path in results(study, "."))

    def of_runs(name: str) -> dict[str, dict]:
        files = {run: folder / "runs" / run / name for run in runs}
        return {run: read_json(file) for run, file in files.items() if file.is_file()}

    records = of_runs("run.json")
    judgements = [read_json(file) for file in sorted(folder.glob("judgements/*/*.json"))]
    seconds = read_job_seconds(folder / "times")
    cost = Cost(without := cost_without_pilot(study), printed, arguments.root)
    speed = measure_speed() if cost.on_processor else None
    plan = plan_study(without, list(runs.values()), printed, arguments.root, speed=speed)
    found = rates(
        study,
        runs,
        records=records,
        evaluations=of_runs("evaluation.json"),
        mechanisms=of_runs("mechanism.json"),
        judgements=judgements,
        seconds=seconds,
    )
    if cost.on_processor:
        found["processor"] = processor_factors(cost, runs, plan["judgements"], seconds)
    rows = compare(study, plan, records=records, judgements=judgements, seconds=seconds)
    write_text(arguments.table, as_markdown(rows, name=study["name"], devices=found["devices"]))
    write_json(arguments.rates, found)


if __name__ == "__main__":
    run_program(main)

"""Let a judge compare what several runs wrote with a reference (§4.4): AlpacaEval 1 or PandaLM.

The judge is loaded once, and only if a verdict is missing: answers are kept by content in the folder --work.
"""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.evaluation import alpaca_eval, pandalm
from plw.evaluation.judge import Judge
from plw.evaluation.judgements import pair_outputs, read_outputs, refuse_unparsed
from plw.files import write_json
from plw.models.flags import thread_flag, use_threads
from plw.study import design, layout
from plw.study.configuration import load_configuration
from plw.study.records.code import VERSIONS, code_record
from plw.study.runs import list_runs
from plw.study.sources import source_argument

JUDGES_FOLDER = Path(__file__).resolve().parents[2] / "config" / "judges"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--benchmark", required=True, type=json.loads, help="registry entry with name, as JSON")
    flags.add_argument("--judge", required=True, type=json.loads, help="the study's judge entry as JSON")
    flags.add_argument(
        "--reference",
        required=True,
        type=source_argument,
        help="a run's outputs, a file of rows with outputs, or its source as JSON",
    )
    judged = flags.add_mutually_exclusive_group(required=True)
    judged.add_argument("--batch", help="judging batch of the study of --config, whose evaluated runs are judged")
    judged.add_argument("--outputs", nargs="+", metavar="NAME=FILE", help="outputs of models that are no runs")
    flags.add_argument(
        "--config", type=json.loads, default={}, help="with --batch: keys of config/config.yaml, as JSON"
    )
    flags.add_argument("--work", required=True, type=Path, help="folder where answers are kept")
    flags.add_argument("--out", required=True, type=Path, help="written: verdicts and win rates of all runs")
    flags.add_argument("--prompts", type=Path, default=JUDGES_FOLDER, help="folder with the judges' prompts")
    thread_flag(flags)
    return flags


def outputs_of_batch(config: dict, benchmark: str, batch: str) -> dict[str, str]:
    """File of what each evaluated run of a batch wrote, by run id: more files than a command could name.

    config  keys of config/config.yaml: which study
    """
    study = load_configuration(config, root=Path())
    (folder,) = layout.results(study, "runs")
    runs = {run.run: run for run in list_runs(study)}
    evaluated = [file.parent.name for file in layout.of_measured_runs(folder, runs, "evaluation.json")]
    judged = design.batches(study, [runs[run] for run in evaluated], benchmark)[batch]
    return {run: layout.generations(study, run, benchmark) for run in judged}


def main(argv: list[str] | None = None) -> None:
    """Judge, and write the verdicts of all runs."""
    arguments = parser().parse_args(argv)
    use_threads(arguments.threads)
    code = code_record("judge_outputs", VERSIONS["judge_outputs"])
    framework, settings = arguments.benchmark["framework"], arguments.judge
    reference = read_outputs(arguments.reference, framework)
    if arguments.batch:
        files = outputs_of_batch(arguments.config, arguments.benchmark["name"], arguments.batch)
    else:
        files = dict(output.split("=", 1) for output in arguments.outputs)
    pairs = {run: pair_outputs(read_outputs(file, framework), reference, run=run) for run, file in files.items()}
    with Judge(settings, arguments.work) as judge:
        if framework == "alpaca_eval":
            prompt = alpaca_eval.read_prompt(settings.get("prompt", "mixtral"), arguments.prompts)
            runs = alpaca_eval.judge_pairs(pairs, judge, prompt=prompt, folder=arguments.work)
        else:
            prompt, runs = pandalm.TASK, pandalm.judge_pairs(pairs, judge)
    refuse_unparsed(runs, min_parsed=settings.get("min_parsed", 0.0), answers=judge.file)
    described = {"settings": settings, "model": judge.model, "fingerprint": judge.fingerprint(prompt)}
    described["overridden"] = judge.overridden()
    write_json(
        arguments.out, {"benchmark": arguments.benchmark["name"], "judge": described, "code": code, "runs": runs}
    )


if __name__ == "__main__":
    run_program(main)

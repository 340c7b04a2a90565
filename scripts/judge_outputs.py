"""Let a judge compare what several runs wrote with a reference (§4.4): AlpacaEval 1 or PandaLM.

The judge is loaded once, and only if a verdict is missing: answers are kept by content in the folder --work.
"""

import argparse
import json
from pathlib import Path

import torch
from plw import alpaca_eval_judge, pandalm
from plw.errors import run_program
from plw.files import write_json
from plw.judge_model import Judge
from plw.judgements import pair_outputs, read_outputs, refuse_unparsed

JUDGES_FOLDER = Path(__file__).resolve().parents[1] / "config" / "judges"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--benchmark", required=True, type=json.loads, help="registry entry with `name` as JSON"
    )
    parser.add_argument("--judge", required=True, type=json.loads, help="the study's judge entry as JSON")
    parser.add_argument(
        "--reference", required=True, type=Path, help="texts to compare with: a run's outputs, or rows"
    )
    parser.add_argument("--outputs", required=True, nargs="+", metavar="RUN=FILE", help="outputs of each run")
    parser.add_argument("--work", required=True, type=Path, help="folder where answers are kept")
    parser.add_argument("--out", required=True, type=Path, help="verdicts and win rates of all runs")
    parser.add_argument("--prompts", type=Path, default=JUDGES_FOLDER, help="folder with the judges' prompts")
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's own choice")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    framework = arguments.benchmark["framework"]
    reference = read_outputs(arguments.reference, framework)
    files = dict(output.split("=", 1) for output in arguments.outputs)
    pairs = {
        run: pair_outputs(read_outputs(file, framework), reference, run=run) for run, file in files.items()
    }
    judge = Judge(arguments.judge, arguments.work)
    if framework == "alpaca_eval":
        prompt = alpaca_eval_judge.read_prompt(arguments.judge.get("prompt", "mixtral"), arguments.prompts)
        runs = alpaca_eval_judge.judge_pairs(pairs, judge, prompt=prompt, folder=arguments.work)
    else:
        prompt = pandalm.TASK
        runs = pandalm.judge_pairs(pairs, judge)
    refuse_unparsed(
        runs, min_parsed=arguments.judge.get("min_parsed", 0.0), answers=arguments.work / "answers.jsonl"
    )
    described = {"settings": arguments.judge, "model": judge.model, "fingerprint": judge.fingerprint(prompt)}
    write_json(arguments.out, {"benchmark": arguments.benchmark["name"], "judge": described, "runs": runs})


if __name__ == "__main__":
    run_program(main)

"""Train the small judge of the demo study on pairs of answers from the generated world.

    train_judge.py --data WORLD/judge/train.jsonl --heldout WORLD/judge/heldout.jsonl --tokenizer TOKENIZER \\
        --init STRONG_PTLM --alpaca-eval-prompt config/judges/demo_alpaca_eval.txt --out JUDGE

JUDGE gets weights, tokenizer, pretraining.csv (training curve) and judge.json (settings, held-out accuracy of each
attempt).
"""

from plw.program import run_program

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from plw.files import read_jsonl, write_json
from plw_world.folders import whole_folder
from plw_world.judge_training import JudgeTraining, train_comparing_judge
from plw_world.pretraining import Pretraining, new_model, write_curve
from transformers import AutoTokenizer, LlamaForCausalLM


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pairs to train on (JSON Lines)")
    parser.add_argument("--heldout", type=Path, help="pairs to measure the accuracy on")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer directory")
    parser.add_argument("--init", type=Path, help="model to start from; without it a new one with --shape")
    parser.add_argument(
        "--shape", type=json.loads, default={}, help="JSON: shape of a new model, keys as in pretraining"
    )
    parser.add_argument("--alpaca-eval-prompt", type=Path, required=True, help="prompt file of the judge configuration")
    parser.add_argument("--training", type=json.loads, default={},
                        help=f"JSON: changes to the default settings {JudgeTraining()}")  # fmt: skip
    parser.add_argument("--tokens", type=int, help="training budget in tokens (instead of the key in --training)")
    parser.add_argument("--threads", type=int, default=1, help="threads")
    parser.add_argument("--out", type=Path, required=True, help="model directory to write")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    budget = {} if arguments.tokens is None else {"tokens": arguments.tokens}
    settings = JudgeTraining.from_settings({**arguments.training, **budget})
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)

    def start() -> LlamaForCausalLM:
        if arguments.init:
            return LlamaForCausalLM.from_pretrained(arguments.init, dtype=torch.float32)
        return new_model(Pretraining.from_settings(arguments.shape), vocabulary=len(tokenizer))

    pairs = read_jsonl(arguments.data)
    heldout = read_jsonl(arguments.heldout) if arguments.heldout else []
    template = arguments.alpaca_eval_prompt.read_text(encoding="utf-8")
    model, curve, attempts = train_comparing_judge(start, tokenizer, pairs, heldout, template, settings)
    chosen = next(attempt for attempt in attempts if attempt["chosen"])
    with whole_folder(arguments.out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_curve(folder / "pretraining.csv", curve)
        write_json(folder / "judge.json", {"settings": asdict(settings), "tokens": curve[-1]["tokens"],
                                           **chosen, "attempts": attempts})  # fmt: skip


if __name__ == "__main__":
    run_program(main)

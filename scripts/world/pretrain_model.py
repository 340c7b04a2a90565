"""Pretrain a small LLaMA model on the corpus of the generated world.

    pretrain_model.py --corpus WORLD/corpus.jsonl --tokenizer TOKENIZER --out MODEL \\
        --pretraining '{"hidden_size": 64, "layers": 2, "tokens": 3000000}'

MODEL gets weights (safetensors), tokenizer, pretraining.csv (training curve) and pretrain.json (settings).
"""

from plw.program import run_program

import argparse
import json
from pathlib import Path

import torch
from plw.files import read_jsonl
from plw_world.folders import whole_folder
from plw_world.pretraining import Pretraining, pretrain, save_pretrained
from transformers import AutoTokenizer


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="JSON Lines with the key text")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer directory")
    parser.add_argument("--pretraining", type=json.loads, default={},
                        help=f"JSON: changes to the default settings {Pretraining()}")  # fmt: skip
    parser.add_argument("--tokens", type=int, help="training budget in tokens (instead of the key in --pretraining)")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads; the result is the same only for the same number"
    )
    parser.add_argument("--out", type=Path, required=True, help="model directory to write")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    changes = dict(arguments.pretraining)
    if arguments.tokens is not None:
        changes["tokens"] = arguments.tokens
    settings = Pretraining.from_settings(changes)
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    texts = [row["text"] + tokenizer.eos_token for row in read_jsonl(arguments.corpus)]
    model, curve = pretrain(tokenizer(texts)["input_ids"], settings, vocabulary=len(tokenizer))
    with whole_folder(arguments.out) as folder:
        save_pretrained(folder, model, tokenizer, settings, curve)


if __name__ == "__main__":
    run_program(main)

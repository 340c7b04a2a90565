"""Train the tokenizer of the generated world and save it as a Hugging Face tokenizer directory.

train_tokenizer.py --corpus WORLD/corpus.jsonl --instructions WORLD/instruct/*.jsonl --out TOKENIZER
"""

from plw.program import run_program

import argparse
from itertools import chain
from pathlib import Path

from plw.data.template import format_prompt
from plw.files import read_jsonl
from plw_world.folders import whole_folder
from plw_world.tokenizer import train_tokenizer


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="JSON Lines with the key text")
    parser.add_argument("--instructions", type=Path, nargs="*", default=[], help="Alpaca triples (JSON Lines)")
    parser.add_argument("--prompts", type=Path, nargs="*", default=[], help="judge prompts (plain text)")
    parser.add_argument("--vocabulary", type=int, default=1400, help="number of tokens")
    parser.add_argument("--max-length", type=int, default=1024, help="longest sequence of the models")
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    arguments = parser.parse_args(argv)
    rows = [row for path in arguments.instructions for row in read_jsonl(path)]
    texts = chain(
        (row["text"] for row in read_jsonl(arguments.corpus)),
        (format_prompt(row["instruction"], row["input"]) + row["output"] for row in rows),
        (path.read_text(encoding="utf-8") for path in arguments.prompts for _ in range(100)),
    )
    tokenizer = train_tokenizer(texts, vocabulary=arguments.vocabulary, max_length=arguments.max_length)
    with whole_folder(arguments.out) as folder:
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    run_program(main)

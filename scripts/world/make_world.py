"""Make all files of the generated world of the demo study: corpus, instruction data, benchmarks, judge pairs.

make_world.py --seed 42 --size '{"documents": 60000}' --out results/demo/world
"""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.files import write_jsonl, write_text
from plw_world.files import world_files
from plw_world.sizes import DEMO_SIZE, TEST_SIZE, complete_size


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=42, help="the same seed gives byte-identical files")
    parser.add_argument("--size", type=json.loads, default={}, help=f"JSON: changes to the size; default {DEMO_SIZE}")
    parser.add_argument("--tiny", action="store_true", help="start from the size of the test study instead")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args(argv)
    size = complete_size(arguments.size, base=TEST_SIZE if arguments.tiny else DEMO_SIZE)
    for name, content in world_files(seed=arguments.seed, size=size):
        write = write_text if isinstance(content, str) else write_jsonl
        write(arguments.out / name, content)


if __name__ == "__main__":
    run_program(main)

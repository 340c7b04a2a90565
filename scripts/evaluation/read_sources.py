"""Read all that was fetched for a study once, as its jobs will: with the network switched off, by the same readers.

Pickled weights become safetensors before, in a folder of their own beside the Hub client's cache.
"""

from plw.program import run_program

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from plw.errors import InputError, InputErrors
from plw.evaluation.checking import check_benchmark
from plw.files import read_json, write_json
from plw.study.configuration import load_configuration
from plw.study.fetching import Need, needs_of
from plw.study.hub import download, list_files, switched_off
from plw.study.pretrained import PICKLED, converted_folder, load_pretrained, small_files, weight_files
from plw.study.runs import list_runs

HARNESS_FOLDER = Path("config") / "harness"


def main(argv: list[str] | None = None) -> None:
    """Convert, read, and write the record of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    parser.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    parser.add_argument("--sources", required=True, help="what fetch_sources.py wrote (JSON)")
    parser.add_argument("--record", required=True, help="that, and what reading gave (JSON)")
    arguments = parser.parse_args(argv)

    study = load_configuration(arguments.config, root=arguments.root)
    needs = needs_of(study, list_runs(study))
    with switched_off():
        for need in (need for need in needs if need.kind == "model"):
            convert(need)
        found = check_all(needs, study, arguments.root / HARNESS_FOLDER)
    write_json(arguments.record, {**read_json(arguments.sources), "read": found})
    _say("Fetched and read. The jobs of this study now run without the network.")


def convert(need: Need) -> None:
    """Pickled weights as safetensors, in a folder of their own beside the Hub client's cache."""
    listing = list_files(need.source["hub"], need.source["revision"], "model", where=need.where)
    weights = [name for name in weight_files(listing, where=need.where) if name.endswith(PICKLED)]
    if not weights:
        return
    from plw.models.pickled import convert_pickled  # torch, which most studies do not need here

    _say(f"{listing.repository}: pickled weights as safetensors")
    convert_pickled(
        [download(listing, name) for name in weights],
        [download(listing, name) for name in small_files(listing)],
        converted_folder(listing),
        origin={"hub": listing.repository, "revision": listing.revision, "commit": listing.commit},
    )


def check_all(needs: Sequence[Need], study: dict, harness_folder: Path) -> dict[str, dict]:
    """Read everything with the readers of the jobs; what each gave, by the key of the study that names it."""
    checks: dict[str, Callable[[Need], dict]] = {
        "model": check_model,
        "tokenizer": check_model,
        "data": lambda need: check_dataset(need, study),
        "benchmark": lambda need: check_benchmark(
            {"name": need.name, **study["benchmarks"][need.name], "source": need.source},
            folder=harness_folder,
            evaluation=study["evaluation"],
            judge=study["judges"].get(need.name),
        ),
    }
    found, errors = {}, []
    for need in needs:
        _say(f"{need.where}: reading")
        try:
            found[need.where] = checks[need.kind](need)
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputErrors(errors)
    return found


def check_model(need: Need) -> dict:
    """A model's configuration, known to the installed Transformers, and its tokenizer."""
    from plw.data.tokenizers import load_tokenizer
    from transformers import AutoConfig

    tokenizer = load_tokenizer(need.source)
    config = load_pretrained(AutoConfig, need.source, "model")
    return {"model_type": config.model_type, "vocabulary": len(tokenizer)}


def check_dataset(need: Need, study: dict) -> dict:
    """Rows of instruction data, and how many of them become instances."""
    from plw.data.preparation import read_dataset

    _, report = read_dataset(need.name, study["datasets"][need.name], {})
    return {"rows_read": report["rows_read"], "rows_kept": report["rows_kept"]}


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_program(main)

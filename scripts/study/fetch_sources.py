"""Fetch all that a study needs from the network, at its pinned revisions, into the Hub client's cache.

A token for gated models comes from the environment (HF_TOKEN) or from `hf auth login`; it is never shown.
"""

from plw.program import run_program

import argparse
import json
from pathlib import Path

from plw.files import write_json
from plw.study.configuration import load_configuration
from plw.study.fetching import fetch_sources, needs_of, unpinned
from plw.study.runs import list_runs


def main(argv: list[str] | None = None) -> None:
    """Fetch, and write what was fetched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="keys of config/config.yaml, as JSON")
    parser.add_argument("--root", type=Path, default=Path("."), help="the project's root folder")
    parser.add_argument("--record", required=True, help="repositories, commits, files and their sha256 (JSON)")
    arguments = parser.parse_args(argv)

    study = load_configuration(arguments.config, root=arguments.root)
    sources = fetch_sources(needs_of(study, list_runs(study)), say=lambda line: print(line, flush=True))
    print(*unpinned(sources), sep="\n", flush=True)
    write_json(arguments.record, {"study": study["name"], "sources": sources})


if __name__ == "__main__":
    run_program(main)

"""What `plw export`, `plw compare`, `plw methods` and `plw publish` print and write, and their flags.

Light: what is heavy is imported inside the function that needs it.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from plw.errors import InputError
from plw.study.configuration import checkout


def export(study: str, output: str | None, seeds: list[int] | None, root: str) -> None:
    """Write a finished study into one folder that others can check, and say how large it is."""
    from plw.sharing.exporting import export as write
    from plw.sharing.finished import find_study

    found = find_study(study, checkout(root), seeds)
    folder = Path(output or f"exports/{found.study['name']}")
    write(found, folder, root=Path(root))
    files = [file for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(
        f"{folder}: {len(found.runs)} runs, {len(files)} files, {size / 1e6:.2f} MB. What is what: {folder}/README.md"
    )


def compare(first: str, second: str, json_: bool, root: str) -> None:
    """Print in what two studies differ beyond noise."""
    import json

    from plw.sharing.comparing import compare as find
    from plw.sharing.comparison_text import comparison_text
    from plw.sharing.sides import read_side

    found = find(*(read_side(name, checkout(root)) for name in (first, second)))
    print(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) if json_ else comparison_text(found))


def methods(study: str, root: str) -> None:
    """Print what a study did, as the methods section of a paper."""
    import yaml

    from plw.sharing.methods import methods as describe_study
    from plw.sharing.sides import read_side
    from plw.study.configuration import load_configuration

    config = checkout(root) / "config"
    deviations = yaml.safe_load((config / "deviations.yaml").read_text(encoding="utf-8"))
    side = read_side(study, Path(root))
    print(
        describe_study(side, deviations=deviations, paper=load_configuration({"study": "paper"}, root=Path(root))),
        end="",
    )


def publish(study: str, what: str, repo: str | None, upload: bool, public: bool, output: str | None, root: str) -> None:
    """Say what would be published of a run or an inverted data set, and with --upload send it."""
    from plw.sharing.finished import find_study
    from plw.sharing.publishing import prepare, write_cards
    from plw.sharing.publishing import upload as send
    from plw.study.configuration import read_yaml

    if upload and not repo:
        raise InputError("Nobody said where to.", where="--repo", hint="Name a repository: --repo OWNER/NAME")
    found = find_study(study, checkout(root))
    publication = prepare(found, what, read_yaml(Path(root) / "config/sources.yaml"))
    place = f"{repo or 'OWNER/NAME'} ({publication.kind}, {'public' if public else 'private'} where it is new)"
    print(f"{'Sending to' if upload else 'Would be sent to'} {place}:")
    for name, size in publication.sizes().items():
        print(f"  {name}  {size:,} bytes")
    if output:
        write_cards(publication, Path(output))
        print(f"Cards: {output}")
    if upload:
        print(f"Sent: {send(publication, str(repo), public=public)}")
    else:
        print("Nothing was sent: read the cards (-o FOLDER), then --upload.")


def _export_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument("study", help="name of a finished study, its study file, or its folder (results/NAME)")
    flags.add_argument("-o", "--output", help="folder to write; must not be there (default: exports/NAME)")
    flags.add_argument("--seeds", type=int, nargs="+", help="only the runs of these, where others are not finished")


def add_sharing(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The subcommands; `command` makes one by its name and its line in the list."""
    _export_flags(
        command(
            "export",
            "one folder of a finished study that others can check (docs/sharing.md)",
            example="plw export demo -o demo_export",
            root=True,
        )
    )
    asked = command(
        "compare",
        "in what two studies, or a study and an export, differ beyond noise (docs/sharing.md)",
        example="plw compare demo demo_export",
        root=True,
    )
    for name in ("first", "second"):
        asked.add_argument(name, help="a finished study by name, file or folder, or the folder of an export")
    asked.add_argument("--json", dest="json_", action="store_true", help="for programs")
    asked = command(
        "methods",
        "what a finished study did, as the methods section of a paper (Markdown)",
        example="plw methods demo",
        root=True,
    )
    asked.add_argument("study", help="a finished study by name, file or folder, or the folder of an export")
    asked = command(
        "publish",
        "a run's model or an inverted data set with its card, for the Hub; nothing is sent without --upload",
        example="plw publish demo short -o cards",
        root=True,
    )
    asked.add_argument("study", help="a finished study by name, file or folder")
    asked.add_argument("what", help="id of a run, or name of a data set that the study inverts")
    asked.add_argument("--repo", help="OWNER/NAME on the Hub")
    asked.add_argument("--upload", action="store_true", help="send it (token: HF_TOKEN, or hf auth login)")
    asked.add_argument("--public", action="store_true", help="a new repository is public (default: private)")
    asked.add_argument("-o", "--output", help="folder to write the cards to")


SHARING: dict[str, Callable[..., None]] = {"export": export, "compare": compare, "methods": methods, "publish": publish}

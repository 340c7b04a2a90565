"""The command `plw`."""

from plw.program import close_off, run_program

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plw.errors import InputError, nearest_hint
from plw.sharing.commands import SHARING, add_sharing
from plw.study.configuration import checkout

VERIFY_EXAMPLE = """\
It reads results/STUDY/manifest.json, which each call of snakemake brings up to date, and runs nothing. Named are files
that are truncated, swapped, edited, missing, foreign, made from other inputs or by other code. Exit status: 0 if there
is none, 1 if there is one. A study from before sums were recorded is only looked at by form.

example:
  $ plw verify demo
  edited: results/demo/scores.csv: changed after it was made.
  demo: 2847 files, 2846 as they were made, 1 with faults.
"""


def doctor(vllm_python: str | None = None) -> None:
    """Print versions and what is missing; fail if the default study cannot run."""
    from plw.study.doctor import as_text, cluster_findings, device_findings, missing, python_findings, r_findings

    cluster = cluster_findings(Path(), vllm_python)
    findings = [*python_findings(), *r_findings(), *device_findings(), *cluster]
    print(as_text(findings))
    lacking = missing(findings)
    if lacking:
        sys.exit(f"{len(lacking)} things are missing: {', '.join(finding.name for finding in lacking)}.")
    print("Everything that the default study needs is here.")


def power(study: str, results: str | None, root: str) -> None:
    """Print what a study's design could decide of each claim, from a finished study's noise where there is one."""
    import yaml

    from plw.claims.evidence_files import evidence_of_folder
    from plw.claims.power import planned_evidence, power_of, power_text
    from plw.claims.reading import read_claims
    from plw.claims.simulation.noise import estimate_noise
    from plw.study.configuration import load_configuration
    from plw.study.runs import list_runs

    config = checkout(root) / "config"
    claims = read_claims(config / "claims.yaml")
    worlds = yaml.safe_load((config / "paper_worlds.yaml").read_text(encoding="utf-8"))
    plan = load_configuration({"study": study}, root=Path(root))
    folder = Path(results) if results else Path(root) / "results" / plan["name"]
    if results or (folder / "scores.csv").is_file():
        evidence = evidence_of_folder(folder, config)
        noise = estimate_noise(evidence.scores, evidence.mechanism)
        found = power_of(claims, evidence, None, worlds)
    else:
        numbers = yaml.safe_load((config / "paper_numbers.yaml").read_text(encoding="utf-8"))
        evidence, noise = planned_evidence(plan, list_runs(plan), numbers)
        found = power_of(claims, evidence, noise, worlds)
    measured = bool(results) or (folder / "scores.csv").is_file()
    print(power_text(plan["name"], found, noise, measured=measured))


def verify(study: str | None, root: str) -> None:
    """Print what of a study's results is not as it was made; exit status 1 if anything is."""
    from plw.study.configuration import read_yaml
    from plw.study.records.verification import verification_text, verify_study

    place = Path(root)
    name = study or str(read_yaml(place / "config" / "config.yaml").get("study", "demo"))
    if name.endswith((".yaml", ".yml")):
        name = str(read_yaml(Path(name)).get("name", Path(name).stem))
    name = name.rstrip("/").removeprefix("results/")
    if not (place / "results" / name).is_dir():
        known = sorted(folder.name for folder in (place / "results").glob("*/"))
        hint = nearest_hint(name, known) or f"There are: {', '.join(known) or 'none'}."
        raise InputError("This study has no results.", value=str(place / "results" / name), where="STUDY", hint=hint)
    found = verify_study(place, name)
    print(verification_text(found))
    if found.findings:
        sys.exit(1)


def _snakemake(root: str, *arguments: str) -> None:
    """Run the workflow of a checkout; its exit status becomes ours."""
    import subprocess

    done = subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=checkout(root))
    if done.returncode:
        sys.exit(done.returncode)


def plan(study: str, root: str) -> None:
    """Print what a study would run and cost, and run nothing."""
    _snakemake(root, "--dry-run", "--quiet", "rules", "--config", f"study={study}")


def fetch(study: str, root: str) -> None:
    """Download all models and data that a study names, so that its jobs need no network."""
    _snakemake(root, "--cores", "1", "fetch", "--config", f"study={study}")


def recommend(file: str, json_: bool, html: str | None, **options: Any) -> None:
    """Print a prompt loss weight for a file of instruction data, with what speaks for and against it."""
    import json

    from plw.files import write_text
    from plw.recommend.decision import recommend as decide
    from plw.recommend.page import as_page
    from plw.recommend.words import as_text

    found = decide(file, **options)
    print(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) if json_ else as_text(found))
    if html:
        write_text(html, as_page(found))


def describe(file: str, json_: bool, **options: Any) -> None:
    """Print Table 1's row of a file of instruction data, and what training will make of it."""
    import json

    from plw.recommend.describing import describe as find
    from plw.recommend.describing import description_text

    found = find(file, **options)
    print(json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) if json_ else description_text(found))


def invert(file: str, output: str, **options: Any) -> None:
    """Write a file of instruction data with its prompts inverted, and say what became of its ratio."""
    from plw.files import write_jsonl
    from plw.recommend.inverting import invert_file

    inverted = invert_file(file, **options)
    write_jsonl(output, inverted)
    print(f"{output}: {inverted.said}")


def new(model: str, data: str, output: str, gpu: int | None, root: str, **options: Any) -> None:
    """Write a study file of one's own model and data, and say what it would cost and how to run it."""
    from plw.recommend.new_study import new_study

    print(new_study(model, data, output, gpus=gpu, root=checkout(root), **options))


def completion(shell: str) -> None:
    """Print what a shell reads to complete the command's words."""
    print(_argcomplete().shellcode(["plw"], shell=shell))


def _argcomplete() -> Any:
    try:
        import argcomplete
    except ImportError:
        hint = "pip install argcomplete (make setup has it)"
        raise InputError("Completion needs the package argcomplete.", where="plw completion", hint=hint) from None
    return argcomplete


def _data_flags(flags: argparse.ArgumentParser) -> None:
    """A file of instruction data and how it is read."""
    flags.add_argument("file", help="JSON Lines, JSON, CSV, TSV or Parquet; gzipped or not")
    flags.add_argument("--format", help="alpaca, dolly, ultrafeedback, messages or sharegpt (default: by the fields)")
    flags.add_argument(
        "--most-left-out", type=float, default=0.1, help="share of the rows that may be unreadable (default: 0.1)"
    )
    flags.add_argument("--tokenizer", help="folder, SentencePiece file (.model) or Hub id that counts tokens")


def _turns_flag(flags: argparse.ArgumentParser) -> None:
    flags.add_argument("--turns", default="first", help="of conversations: first (exchange, the default) or all")


def _training_flags(flags: argparse.ArgumentParser) -> None:
    """What training will see of the rows, and the answer for programs."""
    _turns_flag(flags)
    flags.add_argument("--max-length", type=int, default=512, help="tokens of an example in training (default: 512)")
    flags.add_argument("--json", dest="json_", action="store_true", help="for programs")


def _recommend_flags(flags: argparse.ArgumentParser) -> None:
    _data_flags(flags)
    _training_flags(flags)
    flags.add_argument(
        "--purpose", default="all", help="all (default), multiple_choice (and short answers) or generation"
    )
    flags.add_argument("--study", help="folder of a finished study (results/NAME) whose own runs are asked")
    flags.add_argument("--html", help="written: the recommendation as a page")


def _describe_flags(flags: argparse.ArgumentParser) -> None:
    _data_flags(flags)
    _training_flags(flags)


def _invert_flags(flags: argparse.ArgumentParser) -> None:
    _data_flags(flags)
    flags.add_argument("-o", "--output", required=True, help="written: one row a line, with where it came from")
    flags.add_argument("--r-g", type=float, help="invert only as many rows as bring R_g to this (needs --tokenizer)")
    flags.add_argument("--seed", type=int, default=42, help="of the order in which rows are tried (default: 42)")


def _new_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--model", required=True, help="folder, ORGANISATION/NAME[@COMMIT] on the Hub, or weak or strong of the demo"
    )
    flags.add_argument("--data", required=True, help="file of instruction data, in any format that a study reads")
    flags.add_argument(
        "--benchmark", dest="benchmarks", nargs="+", default=[], metavar="FILE",
        help="questions (JSONL: question, answer, and choices), TASK.yaml=ROWS.jsonl for a task of the harness, or"
        " names in config/benchmarks.yaml (default: three)",
    )  # fmt: skip
    _turns_flag(flags)
    flags.add_argument("--judge", help="model that judges answers, as --model; demo: that of the demo (default: none)")
    flags.add_argument(
        "--plw", nargs="+", type=float, default=[], help="prompt loss weights (default: 0, the paper's, 1)"
    )
    flags.add_argument(
        "--gpu", type=int, metavar="COUNT", help="GPUs of a run; 0: none (default: those of this machine)"
    )
    flags.add_argument("-o", "--output", required=True, help="written: the study file; it must not be there")


def _parser() -> argparse.ArgumentParser:
    """The command line, a subcommand for each of COMMANDS."""
    parser = argparse.ArgumentParser(
        prog="plw",
        description=__doc__,
        epilog="Exit status: 0 when all is well; 1 for a fault of what was given or found, said in one message; 2 for a"
        " wrong call.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str, about: str, *, example: str = "", more: str = "", root: bool = False
    ) -> argparse.ArgumentParser:
        """A subcommand: its line in the list, and below its own help `more` or an example."""
        flags = commands.add_parser(
            name,
            help=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=more or f"example:\n  $ {example or f'plw {name}'}",
        )
        if root:
            flags.add_argument("--root", default=".", help="the project's folder")
        return flags

    study = "name of a study in config/studies, or the path of a study file"
    asked = command("doctor", "versions of everything, what is missing and how to get it")
    asked.add_argument("--vllm-python", help="interpreter of vLLM's own environment, to look into as well")
    asked = command("plan", "what a study would run and cost; nothing is run", example="plw plan paper", root=True)
    asked.add_argument("study", help=study)
    asked = command(
        "power",
        "what a study's design could decide of each claim, before anything trains",
        example="plw power demo",
        root=True,
    )
    asked.add_argument("study", help=study)
    asked.add_argument(
        "--results", help="folder of a finished study whose noise is used (default: results/STUDY if there)"
    )
    asked = command(
        "fetch",
        "download all models and data that a study names (docs/cluster.md)",
        example="plw fetch paper",
        root=True,
    )
    asked.add_argument("study", help=study)
    asked = command(
        "verify",
        "whether every file of a study's results is whole, belongs to its inputs and was made by this code",
        more=VERIFY_EXAMPLE,
        root=True,
    )
    asked.add_argument("study", nargs="?", help="its name, or its study file (default: that of config/config.yaml)")
    _recommend_flags(
        command(
            "recommend",
            "a prompt loss weight for a file of instruction data, with what speaks for and against it",
            example="plw recommend my_data.jsonl --tokenizer models/llama --purpose generation",
        )
    )
    _describe_flags(
        command(
            "describe",
            "Table 1's row of a file of instruction data; with a tokenizer, what training makes of it",
            example="plw describe my_data.jsonl --tokenizer models/llama",
        )
    )
    _invert_flags(
        command(
            "invert",
            "prompt inversion (App. A): the output becomes the input and the prompt is what is to be predicted",
            example="plw invert my_data.jsonl --r-g 1.0 --tokenizer models/llama -o shorter.jsonl",
        )
    )
    _new_flags(
        command(
            "new",
            "a study file of your own model and data, with what it would cost and how to run it",
            example="plw new --model models/mine --data my_data.jsonl --benchmark quiz.jsonl -o my_study.yaml",
            root=True,
        )
    )
    asked = command(
        "completion",
        "what bash or zsh reads to complete the words of this command",
        example='eval "$(plw completion bash)"  # in ~/.bashrc',
    )
    asked.add_argument("shell", choices=["bash", "zsh"])
    add_sharing(command)
    return parser


def parse_and_run(argv: list[str] | None = None) -> None:
    """Run the subcommand that `argv` names."""
    arguments = vars(_parser().parse_args(argv))
    COMMANDS[arguments.pop("command")](**arguments)


COMMANDS: dict[str, Callable[..., None]] = {
    "doctor": doctor,
    "power": power,
    "verify": verify,
    "plan": plan,
    "fetch": fetch,
    "recommend": recommend,
    "describe": describe,
    "invert": invert,
    "new": new,
    "completion": completion,
    **SHARING,
}


def main() -> None:
    """Entry point of the installed command."""
    if "_ARGCOMPLETE" in os.environ:  # a shell asks which words could follow, and reads nothing else
        _argcomplete().autocomplete(_parser())
    close_off()
    run_program(parse_and_run)

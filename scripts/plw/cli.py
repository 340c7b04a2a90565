"""The command `plw`."""

from plw.program import close_off, run_program

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from plw.errors import InputError, nearest_hint

VERIFY_EXAMPLE = """\
It reads results/STUDY/manifest.json, which each call of snakemake brings up to date, and runs nothing. Named are files
that are truncated, swapped, edited, missing, foreign, made from other inputs or by other code. Exit status: 0 if there
is none, 1 if there is one. A study from before sums were recorded is only looked at by form.

example:
  $ plw verify demo
  edited: results/demo/scores.csv was changed after it was made.
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

    config = Path(root) / "config"
    if not (config / "claims.yaml").is_file():
        raise InputError(
            "This is no checkout of the project.", value=root, where="--root", hint="It needs config/claims.yaml."
        )
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


def parse_and_run(argv: list[str] | None = None) -> None:
    """Run the subcommand that `argv` names."""
    parser = argparse.ArgumentParser(prog="plw", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("doctor", help="versions of everything, what is missing and how to get it")
    asked.add_argument("--vllm-python", help="interpreter of vLLM's own environment, to look into as well")
    asked = commands.add_parser(
        "power", help="what a study's design could decide of each claim, before anything trains"
    )
    asked.add_argument("study", help="name of a study in config/studies, or the path of a study file")
    asked.add_argument(
        "--results", help="folder of a finished study whose noise is used (default: results/STUDY if there)"
    )
    asked.add_argument("--root", default=".", help="the project's folder")
    asked = commands.add_parser(
        "verify",
        help="whether every file of a study's results is whole, belongs to its inputs and was made by this code",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=VERIFY_EXAMPLE,
    )
    asked.add_argument("study", nargs="?", help="its name, or its study file (default: that of config/config.yaml)")
    asked.add_argument("--root", default=".", help="the project's folder")
    arguments = vars(parser.parse_args(argv))
    command: Callable[..., None] = COMMANDS[arguments.pop("command")]
    command(**arguments)


COMMANDS: dict[str, Callable[..., None]] = {"doctor": doctor, "power": power, "verify": verify}


def main() -> None:
    """Entry point of the installed command."""
    close_off()
    run_program(parse_and_run)

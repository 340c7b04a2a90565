"""The command `plw`."""

from plw.program import close_off, run_program

import argparse
import sys
from pathlib import Path


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


def parse_and_run(argv: list[str] | None = None) -> None:
    """Run the subcommand that `argv` names."""
    parser = argparse.ArgumentParser(prog="plw", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("doctor", help="versions of everything, what is missing and how to get it")
    asked.add_argument("--vllm-python", help="interpreter of vLLM's own environment, to look into as well")
    arguments = vars(parser.parse_args(argv))
    {"doctor": doctor}[arguments.pop("command")](**arguments)


def main() -> None:
    """Entry point of the installed command."""
    close_off()
    run_program(parse_and_run)

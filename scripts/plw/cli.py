"""The command `plw`."""

import argparse
import sys

from plw.errors import run_program


def doctor() -> None:
    """Print versions and what is missing; fail if the default study cannot run."""
    from plw.study.doctor import as_text, device_findings, missing, python_findings, r_findings

    findings = [*python_findings(), *r_findings(), *device_findings()]
    print(as_text(findings))
    lacking = missing(findings)
    if lacking:
        sys.exit(f"{len(lacking)} things are missing: {', '.join(finding.name for finding in lacking)}.")
    print("Everything that the default study needs is here.")


def parse_and_run(argv: list[str] | None = None) -> None:
    """Run the subcommand that `argv` names."""
    parser = argparse.ArgumentParser(prog="plw", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="versions of everything, what is missing and how to get it")
    arguments = parser.parse_args(argv)
    {"doctor": doctor}[arguments.command]()


def main() -> None:
    """Entry point of the installed command."""
    run_program(parse_and_run)

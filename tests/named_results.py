"""A study that is finished in name: every file that its rules make is there, empty, and Snakemake takes it for done.

What would run again after a change is then seen without training anything.
"""

from pathlib import Path

from checkout import planned_jobs, snakemake

READ = {"rates.json": "{}", "claims.json": '{"summary": {}}'}  # what Snakemake itself reads: the plan, the last message
FOLDERS = ("model", "tokenizer", "packed")  # outputs that are folders


def finish_in_name(project: Path, *study: str) -> None:
    """Make every output of the study as an empty file, taken for finished by the project's own workflow."""
    listed = snakemake("--summary", *study, folder=project)
    assert listed.returncode == 0, listed.stderr
    for line in listed.stdout.splitlines()[1:]:
        path = project / line.split("\t")[0]
        if path.name in FOLDERS:
            path.mkdir(parents=True, exist_ok=True)
            (path / "weights").touch()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(READ.get(path.name, ""))
    done = snakemake("--touch", "--forceall", "--notemp", "--cores", "1", *study, folder=project)
    assert done.returncode == 0, done.stderr


def planned_again(project: Path, *study: str) -> dict[str, int]:
    """Jobs by rule that a dry run plans, without the target."""
    done = snakemake("--dry-run", *study, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return {rule: n for rule, n in planned_jobs(done.stdout + done.stderr).items() if rule not in ("all", "total")}
